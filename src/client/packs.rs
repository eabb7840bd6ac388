//! Packs: to load one, and to fetch its archive.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::client::{ApiClient, ClientError, ObjectPath};

/// How long the server may take to receive, check and store an archive.
const LOADED_WITHIN: Duration = Duration::from_secs(300);

impl ApiClient {
    /// Has the server load a pack from its archive.
    ///
    /// # Errors
    /// What the server or the network says: every fault of the pack.
    pub async fn push_pack(&self, archive: Vec<u8>) -> Result<Value, ClientError> {
        let request = self.request(Method::POST, "/packs").header(CONTENT_TYPE, "application/zstd");
        self.fetch(request.timeout(LOADED_WITHIN).body(archive)).await
    }

    /// The archive of a pack.
    ///
    /// # Errors
    /// What the server or the network says.
    pub async fn pack_archive(&self, pack: &ObjectPath) -> Result<Vec<u8>, ClientError> {
        self.send(self.request(Method::GET, &pack.with("/archive"))).await?.bytes().await
    }

    /// What the lints find in a pack.
    ///
    /// # Errors
    /// What the server or the network says.
    pub async fn pack_findings(&self, pack: &ObjectPath) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::GET, &pack.with("/findings"))).await
    }
}
