//! The tokens of a machine's agent: the first one, which is in a file that the machine fetches during its
//! installation, and those that the agent exchanges it for while it works.

use jiff::SignedDuration;
use uuid::Uuid;

use crate::access::Access;
use crate::kernel::scope::agent_scope;
use crate::kernel::{Caller, Error};
use crate::model::{Input, Machine, Stored, Token, TokenGrant};
use crate::objects::write::{ExpectedRevision, WriteTarget};

/// Hours until an agent must have renewed its first token.
const AGENT_TOKEN_HOURS: i64 = 24;
/// Hours that a renewed token is valid: a machine may be switched off for a while.
const RENEWED_HOURS: i64 = 30 * 24;
/// Most renewed tokens of one machine; a further exchange ends the oldest.
const RENEWED_MAX: usize = 3;
impl Access {
    /// A new token for a machine's agent, which replaces the previous one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn agent_token(&self, machine: &Stored<Machine>) -> Result<String, Error> {
        let caller = Caller::server(self.kernel.now());
        let name = format!("agent-{}", machine.key);
        match self
            .objects
            .delete::<Token>(&caller, &WriteTarget { reference: &name, expected: ExpectedRevision::Any })
            .await
        {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let expires_at = caller.now.saturating_add(SignedDuration::from_hours(AGENT_TOKEN_HOURS));
        let spec = Token {
            name,
            scopes: vec![agent_scope(&machine.key)],
            expires_at: expires_at.ok(),
            sha256: String::new(),
        };
        let input = Input { spec, labels: Default::default() };
        Ok(self.issue_token(&caller, input).await?.secret)
    }

    /// A fresh token for a machine's agent. The token of the request stays valid until its own end, so that a
    /// lost answer does no harm.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for the agent of another machine, or those of the store.
    pub async fn renew_agent_token(&self, caller: &Caller, machine: &str) -> Result<TokenGrant, Error> {
        let machine = self.kernel.read(|world| caller.find_own_machine(world, machine).cloned())?;
        let server = Caller { request_id: caller.request_id.clone(), ..Caller::server(caller.now) };
        let prefix = format!("agent-{}-", machine.key);
        let renewed: Vec<String> = self.kernel.read(|world| {
            let later = world.tokens.after(&prefix).take_while(|token| token.key.starts_with(&prefix));
            later.map(|token| token.key.clone()).collect()
        });
        for name in renewed.iter().take((renewed.len() + 1).saturating_sub(RENEWED_MAX)) {
            match self
                .objects
                .delete::<Token>(&server, &WriteTarget { reference: name, expected: ExpectedRevision::Any })
                .await
            {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let expires_at = caller.now.saturating_add(SignedDuration::from_hours(RENEWED_HOURS));
        let expires_at = expires_at.unwrap_or(jiff::Timestamp::MAX);
        let spec = Token {
            // The names sort in the order of creation.
            name: format!("{prefix}{}", Uuid::now_v7().simple()),
            scopes: vec![agent_scope(&machine.key)],
            expires_at: Some(expires_at),
            sha256: String::new(),
        };
        let made = self.issue_token(&server, Input { spec, labels: Default::default() }).await?;
        Ok(TokenGrant { token: made.secret, expires_at })
    }
}
