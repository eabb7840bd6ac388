//! The tokens of a machine's agent: the first one, which is in a file that the machine fetches during its
//! installation, those that the agent exchanges it for while it works, and one that an operator puts on the
//! machine.
//!
//! The first token may lie unused for months, because a machine may be installed long before it is cabled.
//! Its life begins when an agent first asks for work. It knows its boot attempt, and so do the tokens that it
//! is exchanged for: their holder runs in what that attempt installed.

use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::access::Access;
use crate::access::tokens::token_text;
use crate::kernel::scope::agent_scope;
use crate::kernel::{Actor, Caller, Changeset, Error};
use crate::model::event::MachineAgentTokenReissued;
use crate::model::{
    AgentTokenReissue, Environment, Input, Machine, Stored, Token, TokenGrant, settings, sha256_hex,
};
use crate::objects::write::{ExpectedRevision, WriteTarget};
use crate::rate_limit::{AllowanceAnswer, AllowanceRate};

/// Hours after its first use until an agent must have renewed its first token.
const AGENT_TOKEN_HOURS: i64 = 24;
/// Most days that a first token may stay unused, whatever the setting says.
const FIRST_USE_DAYS_MAX: u64 = 3_650;
/// Hours that a renewed token is valid: a machine may be switched off for a while.
const RENEWED_HOURS: i64 = 30 * 24;
/// Most tokens of one machine's agent that are ended or begun at once.
const TOKENS_OF_ONE_MAX: usize = 64;
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
        token.spec.expires_at.filter(|ends| *ends > now)?;
        // Tokens of earlier versions have an end from the beginning.
        let made_until = token.spec.first_use_by.or(token.spec.expires_at)?;
        let secret = self.attempt_secret(machine, made_until);
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
        let first_use_by = self.first_use_by(caller.now);
        let spec = Token {
            attempt: machine.status.boot_attempt.as_ref().map(|attempt| attempt.id),
            first_use_by: Some(first_use_by),
            ..Token::expiring(name, vec![agent_scope(&machine.key)], first_use_by)
        };
        let secret = self.attempt_secret(machine, first_use_by);
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
        let mut renewed = self.tokens_of(&machine.key);
        renewed.retain(|token| token.key.starts_with(&prefix));
        let renewed: Vec<String> = renewed.into_iter().map(|token| token.key.clone()).collect();
        for name in renewed.iter().take((renewed.len() + 1).saturating_sub(RENEWED_MAX)) {
            self.delete_token(&server, name).await?;
        }
        let expires_at = caller.now.saturating_add(SignedDuration::from_hours(RENEWED_HOURS));
        let expires_at = expires_at.unwrap_or(Timestamp::MAX);
        let spec = Token {
            attempt: caller.attempt,
            ..Token::expiring(later_name(&machine.key), vec![agent_scope(&machine.key)], expires_at)
        };
        let made = self.issue_token(&server, Input { spec, labels: Default::default() }).await?;
        Ok(TokenGrant { token: made.secret, expires_at })
    }

    /// Begins the life of the tokens that an agent of this attempt has not used yet: it asks for work. In the
    /// installer it does not begin, because the agent of the installed system has the same token.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn begin_life(&self, caller: &Caller, environment: Environment) -> Result<(), Error> {
        let Actor::Machine(machine) = caller.actor else { return Ok(()) };
        if environment == Environment::Installer {
            return Ok(());
        }
        let mut unused = self.tokens_of(&machine.to_string());
        unused.retain(|token| token.spec.is_unused() && token.spec.attempt == caller.attempt);
        for token in unused {
            let ends = caller.now.saturating_add(SignedDuration::from_hours(AGENT_TOKEN_HOURS));
            let ends = ends.unwrap_or(Timestamp::MAX).min(token.spec.first_use_by.unwrap_or(Timestamp::MAX));
            let begun = self.kernel.change::<Token>(&token.key, caller.now, |next| {
                if next.spec.is_unused() {
                    next.spec.expires_at = Some(ends);
                }
                Ok(Vec::new())
            });
            match begun.await {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A new token for a machine's agent, for an operator to put on the machine. All tokens that the agent
    /// had end. It belongs to no boot attempt: an agent that has it does not show that an installation ended.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for a caller that may not give the scope of the agent, or
    /// those of the store.
    pub async fn reissue_agent_token(
        &self,
        caller: &Caller,
        machine: &str,
    ) -> Result<AgentTokenReissue, Error> {
        let machine = self.kernel.read(|world| caller.find_own_machine(world, machine).cloned())?;
        let before = self.tokens_of(&machine.key);
        let (name, first_use_by) = (later_name(&machine.key), self.first_use_by(caller.now));
        let spec = Token {
            first_use_by: Some(first_use_by),
            ..Token::expiring(name.clone(), vec![agent_scope(&machine.key)], first_use_by)
        };
        let made = self.issue_token(caller, Input { spec, labels: Default::default() }).await?;
        let mut ended = Vec::with_capacity(before.len());
        let server = Caller { request_id: caller.request_id.clone(), ..Caller::server(caller.now) };
        for token in before {
            self.delete_token(&server, &token.key).await?;
            ended.push(token.key.clone());
        }
        let reissued = MachineAgentTokenReissued { name, ended: ended.clone(), first_use_by };
        let event = caller.event_about(&*machine, reissued);
        self.kernel.commit(Changeset::default().event(event)).await?;
        let machine = machine.key.parse().unwrap_or_default();
        Ok(AgentTokenReissue { machine, token: made.secret, first_use_by, ended })
    }

    /// The tokens that this house made for a machine's agent, in the order of their names.
    fn tokens_of(&self, machine: &str) -> Vec<Arc<Stored<Token>>> {
        let first = format!("agent-{machine}");
        self.kernel.read(|world| {
            let later = world.tokens.after(&first).take_while(|token| token.key.starts_with(&first));
            world.tokens.get(&first).into_iter().chain(later).take(TOKENS_OF_ONE_MAX).cloned().collect()
        })
    }

    fn first_use_by(&self, now: Timestamp) -> Timestamp {
        let days = self.kernel.read(|world| world.setting(settings::AGENT_FIRST_USE_DAYS));
        let days = days.as_u64().unwrap_or_default().clamp(1, FIRST_USE_DAYS_MAX);
        let hours = i64::try_from(days).unwrap_or_default() * 24;
        now.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MAX)
    }
}

/// The name of a token after the first one. Such names sort in the order of creation.
fn later_name(machine: &str) -> String {
    format!("agent-{machine}-{}", Uuid::now_v7().simple())
}
