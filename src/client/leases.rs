//! Calls that end, import and list leases.

use reqwest::Method;
use serde_json::Value;

use crate::client::{ApiClient, ClientError, ObjectPath, UsedObject};

/// The way in which a lease is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    Release,
    Expire,
}

impl LeaseAction {
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseAction::Release => "release",
            LeaseAction::Expire => "expire",
        }
    }
}

impl ApiClient {
    /// Ends a lease now; returns the lease afterwards.
    ///
    /// # Errors
    /// An error of the server or the network; 409 if the lease has ended already.
    pub async fn end_lease(
        &self,
        lease: &ObjectPath,
        action: LeaseAction,
        used: UsedObject,
    ) -> Result<Value, ClientError> {
        let path = lease.with(&format!("/actions/{}", action.as_str()));
        self.fetch(used.allowed(self.request(Method::POST, &path))).await
    }

    /// Who had an address, or which addresses a MAC had; one page, the latest first.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn lease_history(&self, of: &ObjectPath, before: Option<u64>) -> Result<Value, ClientError> {
        let request = self.request(Method::GET, &of.with("/history"));
        self.fetch(request.query(&before.map(|seq| ("before", seq)).into_iter().collect::<Vec<_>>())).await
    }

    /// Sends the lease files of another server: `{"format": …, "files": [{"name": …, "text": …}]}`.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn import_leases(&self, import: &Value) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::POST, "/leases/import").json(import)).await
    }
}
