//! The agent's connection to the server: the API, with a token that is renewed meanwhile.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::agent::config::{AgentConfig, keep_authority, keep_token, kept_authority};
use crate::agent::run::{AgentServer, WorkAnswer};
use crate::agent::step::CallError;
use crate::client::{self, AgentWork, ApiClient, AuthorityKeeper, BearerToken, Fingerprint, ServerTarget};
use crate::model::{AgentReport, JobReport, LogEnd, TokenGrant};

/// The server, and the machine that talks to it.
#[derive(Debug)]
pub struct RemoteServer {
    machine: Uuid,
    client: Mutex<ApiClient>,
    /// The file of the renewed token, and the configured token that it came from.
    kept: PathBuf,
    written: String,
}

impl RemoteServer {
    /// Creates the client; nothing is sent yet.
    ///
    /// # Errors
    /// An invalid address, fingerprint or token.
    pub fn new(config: &AgentConfig) -> Result<Self, client::ClientError> {
        let invalid = client::ClientError::Invalid;
        let fingerprint: Fingerprint = config.fingerprint.parse().map_err(invalid)?;
        let token: BearerToken = config.token.parse().map_err(invalid)?;
        let learned = kept_authority(&config.state_dir, &config.fingerprint);
        let learned = learned.and_then(|key| key.parse::<Fingerprint>().ok());
        let trusted = [fingerprint].into_iter().chain(learned).collect();
        let target = ServerTarget { url: config.server.clone(), trusted, token: Some(token) };
        let client = ApiClient::new(&target)?.with_keeper(keeper(config));
        Ok(RemoteServer {
            machine: config.machine,
            client: Mutex::new(client),
            kept: config.state_dir.clone(),
            written: config.written.clone(),
        })
    }

    fn client(&self) -> ApiClient {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps the authority of the server, so that it is known when its certificate was renewed.
fn keeper(config: &AgentConfig) -> AuthorityKeeper {
    let (folder, fingerprint) = (config.state_dir.clone(), config.fingerprint.clone());
    AuthorityKeeper::new(move |key| match keep_authority(&folder, (&fingerprint, &key.to_string())) {
        Ok(()) => tracing::info!(authority = %key, "the server's authority is trusted from now on"),
        Err(error) => tracing::warn!(%error, "the server's authority cannot be kept"),
    })
}

impl AgentServer for RemoteServer {
    async fn next_job(&self, report: &AgentReport) -> Result<WorkAnswer, CallError> {
        match self.client().next_job(self.machine, report).await.map_err(trouble)? {
            AgentWork::Offer(offer) => Ok(WorkAnswer::Offer(offer)),
            AgentWork::Nothing { ask_again_after } => Ok(WorkAnswer::Nothing { ask_again_after }),
        }
    }

    async fn report_job(&self, job: Uuid, report: &JobReport) -> Result<(), CallError> {
        self.client().report_job(job, report).await.map(drop).map_err(trouble)
    }

    async fn put_log(&self, job: Uuid, offset: u64, piece: Vec<u8>) -> Result<LogEnd, CallError> {
        self.client().put_log(job, offset, piece).await.map_err(trouble)
    }

    async fn renew_token(&self) -> Result<TokenGrant, CallError> {
        let client = self.client();
        let grant = client.renew_token(self.machine).await.map_err(trouble)?;
        let token: BearerToken = grant.token.parse().map_err(CallError::Refused)?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client.with_token(token.clone());
        if let Err(error) = keep_token(&self.kept, (&self.written, token.reveal())) {
            tracing::warn!(%error, "the renewed token cannot be kept");
        }
        Ok(grant)
    }
}

/// A failing server may work later; one that refuses will not.
fn trouble(error: client::ClientError) -> CallError {
    let said = error.to_string();
    match error.status() {
        Some(409) => CallError::Conflict(said),
        Some(500..) => CallError::Passing(said),
        _ if error.is_passing() => CallError::Passing(said),
        _ => CallError::Refused(said),
    }
}
