//! The tokens of a machine's agent: the first one, which is in a file that the machine fetches during its
//! installation, and those that the agent exchanges it for while it works.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::access::Access;
use crate::access::tokens::token_text;
use crate::kernel::scope::agent_scope;
use crate::kernel::{Caller, Error};
use crate::model::{Input, Machine, Stored, Token, TokenGrant, sha256_hex};
use crate::objects::write::{ExpectedRevision, WriteTarget};
use crate::rate_limit::{AllowanceAnswer, AllowanceRate};

/// Hours until an agent must have renewed its first token.
const AGENT_TOKEN_HOURS: i64 = 24;
/// Hours that a renewed token is valid: a machine may be switched off for a while.
const RENEWED_HOURS: i64 = 30 * 24;
/// Most renewed tokens of one machine; a further exchange ends the oldest.
const RENEWED_MAX: usize = 3;
/// A renewal costs sixty: an agent may renew sixteen times at once, and then once a minute.
pub const RENEWALS: AllowanceRate = AllowanceRate { burst_max: 16 * RENEWAL_COST, a_second: 1 };
const RENEWAL_COST: u64 = 60;
/// How often the token is looked up anew when another fetch made one meanwhile.
const TRIES_MAX: usize = 4;

impl Access {
    /// The token for a machine's agent in its present boot attempt. Whoever asks again in the same attempt
    /// gets the same token, so that a second fetch of the configuration does not end the agent that runs.
    /// Another attempt has another token, which replaces the first.
    ///
    /// The text is not stored: it is derived from the key of secrets, the attempt and the end of the stored
    /// token. A token that was deleted therefore does not come back.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn agent_token(&self, machine: &Stored<Machine>) -> Result<String, Error> {
        let caller = Caller::server(self.kernel.now());
        let name = format!("agent-{}", machine.key);
        for _ in 0..TRIES_MAX {
            let known = self.kernel.read(|world| world.tokens.get(&name).cloned());
            if let Some(secret) =
                known.as_ref().and_then(|token| self.known_secret(machine, token, caller.now))
            {
                return Ok(secret);
            }
            if known.is_some() {
                self.delete_token(&caller, &name).await?;
            }
            match self.first_agent_token(&caller, machine, name.clone()).await {
                // Another fetch of the same file was faster.
                Err(Error::Conflict(..)) => {}
                made => return made,
            }
        }
        Err(Error::Busy("the token of this machine's agent is being made by others; try again".to_owned()))
    }

    /// The text of a token that was made for the machine's present attempt and has not ended.
    fn known_secret(
        &self,
        machine: &Stored<Machine>,
        token: &Stored<Token>,
        now: Timestamp,
    ) -> Option<String> {
        let ends = token.spec.expires_at.filter(|ends| *ends > now)?;
        let secret = self.attempt_secret(machine, ends);
        (token.spec.sha256 == sha256_hex(&secret)).then_some(secret)
    }

    fn attempt_secret(&self, machine: &Stored<Machine>, ends: Timestamp) -> String {
        let attempt = machine.status.boot_attempt.as_ref().map(|attempt| attempt.id).unwrap_or_default();
        let purpose = format!("agent token of {} in {attempt} until {ends}", machine.key);
        token_text(self.kernel.secrets.derive(&purpose))
    }

    async fn first_agent_token(
        &self,
        caller: &Caller,
        machine: &Stored<Machine>,
        name: String,
    ) -> Result<String, Error> {
        let expires_at = caller.now.saturating_add(SignedDuration::from_hours(AGENT_TOKEN_HOURS));
        let expires_at = expires_at.unwrap_or(Timestamp::MAX);
        let spec = Token {
            name,
            scopes: vec![agent_scope(&machine.key)],
            expires_at: Some(expires_at),
            sha256: String::new(),
        };
        let secret = self.attempt_secret(machine, expires_at);
        Ok(self.store_token(caller, Input { spec, labels: Default::default() }, secret).await?.secret)
    }

    async fn delete_token(&self, caller: &Caller, name: &str) -> Result<(), Error> {
        let target = WriteTarget { reference: name, expected: ExpectedRevision::Any };
        match self.objects.delete::<Token>(caller, &target).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A fresh token for a machine's agent. The token of the request stays valid until its own end, so that a
    /// lost answer does no harm.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for the agent of another machine, [`Error::TooMuch`] for an
    /// agent that renews too often, or those of the store.
    pub async fn renew_agent_token(&self, caller: &Caller, machine: &str) -> Result<TokenGrant, Error> {
        let machine = self.kernel.read(|world| caller.find_own_machine(world, machine).cloned())?;
        if let AllowanceAnswer::Refused { wait, .. } =
            self.renewals.take(&machine.key, RENEWAL_COST, Instant::now())
        {
            let why = format!(
                "the agent of {} renews its token all the time: go on with the last one",
                machine.spec.name
            );
            return Err(Error::TooMuch { why, retry_after: wait });
        }
        let server = Caller { request_id: caller.request_id.clone(), ..Caller::server(caller.now) };
        let prefix = format!("agent-{}-", machine.key);
        let renewed: Vec<String> = self.kernel.read(|world| {
            let later = world.tokens.after(&prefix).take_while(|token| token.key.starts_with(&prefix));
            later.map(|token| token.key.clone()).collect()
        });
        for name in renewed.iter().take((renewed.len() + 1).saturating_sub(RENEWED_MAX)) {
            self.delete_token(&server, name).await?;
        }
        let expires_at = caller.now.saturating_add(SignedDuration::from_hours(RENEWED_HOURS));
        let expires_at = expires_at.unwrap_or(Timestamp::MAX);
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
