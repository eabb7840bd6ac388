//! Changes of objects after a commit, in pages and as a stream.

use reqwest::Method;
use serde::Deserialize;

use crate::client::message_stream::MessageStream;
use crate::client::{ApiClient, ClientError};
use crate::model::{Kind, ObjectChange, ReadPosition};

/// A page of changes, in the order of commits.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ChangeHistory {
    pub items: Vec<ObjectChange>,
    /// The `cursor` of the next page; none on the last page.
    #[serde(default)]
    pub next: Option<String>,
    /// The position after this page and earlier ones.
    #[serde(flatten)]
    pub position: ReadPosition,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageStart {
    /// After the commit that a reader has read. The epoch is that of the commit, if known.
    After { commit: u64, epoch: Option<uuid::Uuid> },
    /// `next` of the page before.
    Cursor(String),
}

/// A message of a stream of changes.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeSignal {
    Change(ObjectChange),
    /// All changes up to here were returned.
    Position(ReadPosition),
    /// The connection broke and was opened again after the last position. Nothing was missed.
    Reconnected,
}

/// A stream of changes. A broken connection is opened again after the last position.
pub struct ChangeStream(MessageStream);

fn kind_terms(kinds: &[Kind]) -> Vec<(&'static str, String)> {
    let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    if words.is_empty() { Vec::new() } else { vec![("kind", words.join(","))] }
}

fn after_terms(commit: u64, epoch: Option<uuid::Uuid>) -> Vec<(&'static str, String)> {
    let epoch = epoch.map(|epoch| ("epoch", epoch.to_string()));
    [("after", commit.to_string())].into_iter().chain(epoch).collect()
}

impl ApiClient {
    /// A page of the changes of objects of some kinds, or of all.
    ///
    /// # Errors
    /// An error of the server or the network; 410 if everything has to be read again.
    pub async fn changes(
        &self,
        kinds: &[Kind],
        start: &PageStart,
        limit: u32,
    ) -> Result<ChangeHistory, ClientError> {
        let request = self.request(Method::GET, "/changes").query(&kind_terms(kinds));
        let request = match start {
            PageStart::After { commit, epoch } => request.query(&after_terms(*commit, *epoch)),
            PageStart::Cursor(cursor) => request.query(&[("cursor", cursor)]),
        };
        self.fetch(request.query(&[("limit", limit.to_string())])).await
    }

    /// Opens the stream of changes: those after a position, or those from now on.
    ///
    /// # Errors
    /// Those of [`ApiClient::changes`].
    pub async fn follow_changes(
        &self,
        kinds: &[Kind],
        after: Option<u64>,
    ) -> Result<ChangeStream, ClientError> {
        let mut terms = kind_terms(kinds);
        terms.extend(after.map(|commit| ("after", commit.to_string())));
        MessageStream::open(self, "/changes/stream", terms, None).await.map(ChangeStream)
    }
}

impl ChangeStream {
    /// The next change or position. Dropping the future loses nothing.
    ///
    /// # Errors
    /// A refusal, a server that cannot be reached again, or an invalid message.
    pub async fn next(&mut self) -> Result<ChangeSignal, ClientError> {
        let Some(message) = self.0.next().await? else { return Ok(ChangeSignal::Reconnected) };
        let refused = |error| self.0.unexpected(&format!("not a change: {error}"));
        if message.event != "position" {
            return serde_json::from_str(&message.data).map(ChangeSignal::Change).map_err(refused);
        }
        let position = serde_json::from_str(&message.data).map_err(refused)?;
        message.id.into_iter().for_each(|id| self.0.taken(id));
        Ok(ChangeSignal::Position(position))
    }
}
