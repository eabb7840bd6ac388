//! The calls of an agent: ask for work, report, send the log.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use crate::client::{ApiClient, ClientError, ObjectPath};
use crate::model::{AgentReport, AgentTokenReissue, JobOffer, JobReport, LogEnd, TokenGrant};

/// When to ask again if the server does not say.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Longest pause that a server can ask for.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(3600);
/// How much longer than the requested wait a long poll may take.
const POLL_MARGIN: Duration = Duration::from_secs(30);

/// The answer to a request for work.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentWork {
    Offer(JobOffer),
    /// No work now.
    Nothing {
        ask_again_after: Duration,
    },
}

impl ApiClient {
    /// Asks for work; the server may delay the answer as long as the report allows.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn next_job(&self, machine: Uuid, report: &AgentReport) -> Result<AgentWork, ClientError> {
        let request = self.request(Method::POST, &format!("/machines/{machine}/jobs/next")).json(report);
        let within = Duration::from_secs(report.wait_seconds.into()) + POLL_MARGIN;
        let answer = self.send(request.timeout(within)).await?;
        if answer.response.status() != StatusCode::NO_CONTENT {
            return answer.json().await.map(AgentWork::Offer);
        }
        let seconds =
            answer.response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let ask_again_after = seconds.map_or(ASK_AGAIN_AFTER, Duration::from_secs).min(ASK_AGAIN_MAX);
        Ok(AgentWork::Nothing { ask_again_after })
    }

    /// Reports that a job runs, or how it ended. Returns the job afterwards.
    ///
    /// # Errors
    /// An error of the server or the network; 409 if the job is in another state than expected.
    pub async fn report_job(&self, job: Uuid, report: &JobReport) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::PATCH, &format!("/jobs/{job}")).json(report)).await
    }

    /// Sends a piece of a job's log. Returns the length of the log and the state of the job. Sending the same
    /// piece at the same offset again changes nothing.
    ///
    /// # Errors
    /// An error of the server or the network; 409 for an offset beyond the end of the log.
    pub async fn put_log(&self, job: Uuid, offset: u64, piece: Vec<u8>) -> Result<LogEnd, ClientError> {
        let request = self.request(Method::PUT, &format!("/jobs/{job}/log")).query(&[("offset", offset)]);
        let request = request.header(CONTENT_TYPE, "application/octet-stream").body(piece);
        self.fetch(request).await
    }

    /// A fresh token for the machine's agent, in exchange for a valid one.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn renew_token(&self, machine: Uuid) -> Result<TokenGrant, ClientError> {
        self.fetch(self.request(Method::POST, &format!("/machines/{machine}/token"))).await
    }

    /// A new token for a machine's agent, which an operator puts on the machine. Those that it had end.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn reissue_token(&self, machine: &ObjectPath) -> Result<AgentTokenReissue, ClientError> {
        self.fetch(self.request(Method::POST, &machine.with("/agent_token"))).await
    }
}
