//! The call that does one thing with many objects.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{ApiClient, ClientError};
use crate::model::{Kind, Problem};

/// One verb on many objects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BulkCall {
    pub kind: Kind,
    /// `start`, `patch`, `delete` …
    pub verb: &'static str,
    /// The objects, by reference; or none, and filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<String>,
    /// The body that the verb takes for one object.
    pub details: Value,
    pub dry_run: bool,
    pub force: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
}

/// What became of each object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct BulkResults {
    pub items: Vec<BulkResult>,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BulkResult {
    /// The object as it was given, or its key.
    #[serde(rename = "ref")]
    pub reference: String,
    #[serde(default)]
    pub name: Option<String>,
    pub outcome: ResultKind,
    /// The state of a machine afterwards.
    #[serde(default)]
    pub state: Option<String>,
    /// What the next boot of the machine erases.
    #[serde(default)]
    pub erases: Option<String>,
    #[serde(default)]
    pub detail: Option<String>,
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// The kinds of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultKind {
    Done,
    Refused,
    /// The server had no time for it: send it again.
    NotTried,
}

impl ApiClient {
    /// Does one thing with many objects, or asks what would be done.
    ///
    /// # Errors
    /// An error of the server or the network; a refused object is a result.
    pub async fn bulk(&self, call: &BulkCall) -> Result<BulkResults, ClientError> {
        self.fetch(self.request(Method::POST, "/bulk").json(call)).await
    }
}
