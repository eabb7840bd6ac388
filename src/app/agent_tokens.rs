//! The token a machine's agent gets in a file of its own, when it is installed.

use jiff::SignedDuration;

use super::auth::agent_scope;
use super::objects::{Expected, Target};
use super::{App, Ctx, Error};
use crate::model::{BootTemplate, Input, Machine, Stored, Token};

/// How long an agent has until it must have renewed its token.
const AGENT_TOKEN_HOURS: i64 = 24;
/// How a template asks for the token.
const CALL: &str = "agent_token(";

impl App {
    /// Whether a file of a bootenv holds the agent's token.
    pub(super) fn hands_out_token(&self, file: &BootTemplate) -> bool {
        let asks = |body: &str| body.contains(CALL);
        if file.inline.as_deref().is_some_and(asks) {
            return true;
        }
        let world = self.world();
        let mut open: Vec<String> = file.template.iter().cloned().collect();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some(template) = world.templates.get(&name).filter(|_| seen.insert(name.clone())) else {
                continue;
            };
            if asks(&template.spec.body) {
                return true;
            }
            open.extend(crate::render::included(&template.spec.body));
        }
        false
    }

    /// A new token for a machine's agent, in place of the one it was given before.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn agent_token(&self, machine: &Stored<Machine>) -> Result<String, Error> {
        let ctx = Ctx::server(self.now());
        let name = format!("agent-{}", machine.key);
        match self.delete::<Token>(&ctx, &Target { reference: &name, expected: Expected::Any }).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let expires_at = ctx.now.saturating_add(SignedDuration::from_hours(AGENT_TOKEN_HOURS));
        let spec = Token {
            name,
            scopes: vec![agent_scope(&machine.key)],
            expires_at: expires_at.ok(),
            sha256: String::new(),
        };
        let input = Input { spec, labels: Default::default() };
        Ok(self.issue_token(&ctx, input).await?.secret)
    }
}
