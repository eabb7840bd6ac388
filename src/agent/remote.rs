//! The server as the client sees it: calls, with troubles sorted by what an agent can do about them.

use std::sync::{PoisonError, RwLock};

use uuid::Uuid;

use crate::agent::config::{AgentConfig, keep_token};
use crate::agent::run::{Asked, Server};
use crate::agent::step::Trouble;
use crate::client::{Client, Error, Target, Work};
use crate::model::{AgentReport, JobReport, LogEnd, TokenGrant};

/// The agent's own server.
pub struct Remote {
    client: RwLock<Client>,
    config: AgentConfig,
}

impl Remote {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// A URL, fingerprint or token that is none.
    pub fn new(config: &AgentConfig) -> Result<Self, String> {
        let target = Target {
            url: config.server.clone(),
            fingerprint: config.fingerprint.parse()?,
            token: Some(config.token.parse()?),
        };
        let client = Client::new(&target).map_err(|error| error.to_string())?;
        Ok(Remote { client: RwLock::new(client), config: config.clone() })
    }

    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on with a new token, and keeps it for the next start.
    fn take(&self, grant: &TokenGrant) -> Result<(), Trouble> {
        let token = grant.token.parse().map_err(Trouble::Refused)?;
        let renewed = self.client().with_token(token);
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        if let Err(error) = keep_token(&self.config.state_dir, &self.config.written_token, &grant.token) {
            tracing::warn!(%error, "the renewed token cannot be kept for the next start");
        }
        Ok(())
    }
}

/// A server that failed may do better later; one that refuses will not.
fn trouble(error: Error) -> Trouble {
    match error.status() {
        Some(409) => Trouble::Conflict(error.to_string()),
        Some(500..) => Trouble::Passing(error.to_string()),
        _ if error.is_passing() => Trouble::Passing(error.to_string()),
        _ => Trouble::Refused(error.to_string()),
    }
}

impl Server for Remote {
    async fn next_job(&self, report: &AgentReport) -> Result<Asked, Trouble> {
        match self.client().next_job(self.config.machine, report).await.map_err(trouble)? {
            Work::Offer(offer) => Ok(Asked::Offer(offer)),
            Work::Nothing { ask_again_after } => Ok(Asked::Nothing { ask_again_after }),
        }
    }

    async fn report_job(&self, job: Uuid, report: &JobReport) -> Result<(), Trouble> {
        self.client().report_job(job, report).await.map(drop).map_err(trouble)
    }

    async fn put_log(&self, job: Uuid, offset: u64, piece: Vec<u8>) -> Result<LogEnd, Trouble> {
        self.client().put_log(job, offset, piece).await.map_err(trouble)
    }

    async fn renew_token(&self) -> Result<TokenGrant, Trouble> {
        let grant = self.client().renew_token(self.config.machine).await.map_err(trouble)?;
        self.take(&grant)?;
        Ok(grant)
    }
}
