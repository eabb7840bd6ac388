//! Calls that move channels and check upgrades.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::client::objects::segment;
use crate::client::{ApiClient, ClientError, ObjectPath};

/// How long one page of a check may take.
const PAGE_WITHIN: Duration = Duration::from_secs(60);

/// The actions on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelVerbCall {
    Promote,
    Withdraw,
    Rollback,
}

impl ChannelVerbCall {
    fn as_str(self) -> &'static str {
        match self {
            ChannelVerbCall::Promote => "promote",
            ChannelVerbCall::Withdraw => "withdraw",
            ChannelVerbCall::Rollback => "rollback",
        }
    }
}

impl ApiClient {
    /// Moves a channel; returns the channel afterwards.
    ///
    /// # Errors
    /// What the server or the network says.
    pub async fn move_channel(
        &self,
        channel: &ObjectPath,
        action: ChannelVerbCall,
        details: &Value,
    ) -> Result<Value, ClientError> {
        let path = channel.with(&format!("/actions/{}", action.as_str()));
        self.fetch(self.request(Method::POST, &path).json(details)).await
    }

    /// One page of the check of an upgrade of a pack.
    ///
    /// # Errors
    /// What the server or the network says.
    pub async fn check_upgrade(&self, pack: &str, question: &Value) -> Result<Value, ClientError> {
        let path = format!("/packs/{}/actions/check", segment(pack));
        self.fetch(self.request(Method::POST, &path).timeout(PAGE_WITHIN).json(question)).await
    }
}
