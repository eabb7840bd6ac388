//! Events: pages of history, and the stream as they happen.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Method;
use serde::Deserialize;

use crate::client::sse::{SseMessage, SseReader};
use crate::client::{ApiClient, ClientError};
use crate::model::Event;

/// The server says something at least every few seconds; a stream that is silent this long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long an open stream lasts before it is opened anew.
const STREAM_LASTS: Duration = Duration::from_secs(24 * 3600);
/// Most attempts to reopen the stream before its reader gets an error.
const RECONNECTS_MAX: u32 = 30;
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Which events: `kind` is exact or ends in `*` (`machine.*`), `subject` is like `machine:web1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub kind: Option<String>,
    pub subject: Option<String>,
}

impl EventFilter {
    pub fn kind(kind: impl Into<String>) -> Self {
        EventFilter { kind: Some(kind.into()), subject: None }
    }

    pub fn subject(subject: impl Into<String>) -> Self {
        EventFilter { kind: None, subject: Some(subject.into()) }
    }

    fn terms(&self) -> Vec<(&'static str, &str)> {
        let kind = self.kind.as_deref().map(|kind| ("kind", kind));
        let subject = self.subject.as_deref().map(|subject| ("subject", subject));
        kind.into_iter().chain(subject).collect()
    }
}

/// Which part of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryRange {
    /// Only events with a higher number; without it a history of all ends with the present.
    pub after: Option<u64>,
    pub limit: Option<u32>,
}

impl HistoryRange {
    pub fn after(seq: u64) -> Self {
        HistoryRange { after: Some(seq), limit: None }
    }

    pub(crate) fn terms(self) -> Vec<(&'static str, String)> {
        let after = self.after.map(|after| ("after", after.to_string()));
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        after.into_iter().chain(limit).collect()
    }
}

/// A page of events, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct EventHistory {
    pub items: Vec<Event>,
    /// The `after` of the next page; none on the last.
    #[serde(default)]
    pub next: Option<u64>,
}

/// What comes out of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamSignal {
    Event(Box<Event>),
    /// The stream broke and was opened again. Where no event had come before, some may have been missed:
    /// look at what you watch.
    Reconnected,
}

/// Events as they happen. A broken connection is opened again and goes on after the last event.
pub struct EventStream {
    client: ApiClient,
    filter: EventFilter,
    last: Option<u64>,
    open: Option<OpenStream>,
}

struct OpenStream {
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    reader: SseReader,
}

impl ApiClient {
    /// One page of history: after a number, or else the last there are.
    ///
    /// # Errors
    /// What the server or the network says.
    pub async fn events(
        &self,
        filter: &EventFilter,
        page: HistoryRange,
    ) -> Result<EventHistory, ClientError> {
        let request = self.request(Method::GET, "/events").query(&filter.terms()).query(&page.terms());
        if page.after.is_some() {
            return self.fetch(request).await;
        }
        let mut page: EventHistory = self.fetch(request.query(&[("order", "newest")])).await?;
        page.items.reverse();
        Ok(page)
    }

    /// Opens the stream of events: those after the number `after`, or those from now on. When this returns,
    /// no later event is missed.
    ///
    /// # Errors
    /// What the server or the network says.
    pub async fn follow(&self, filter: EventFilter, after: Option<u64>) -> Result<EventStream, ClientError> {
        let mut stream = EventStream { client: self.clone(), filter, last: after, open: None };
        stream.connect().await?;
        Ok(stream)
    }
}

impl EventStream {
    /// The next event. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// A refusal, a server that stays away, or something that is not an event.
    pub async fn next(&mut self) -> Result<StreamSignal, ClientError> {
        loop {
            let Some(open) = &mut self.open else {
                self.reconnect().await?;
                return Ok(StreamSignal::Reconnected);
            };
            if let Some(message) = open.reader.next().map_err(|_| unexpected("a message is too long"))? {
                if let Some(event) = self.read(&message)? {
                    return Ok(StreamSignal::Event(Box::new(event)));
                }
                continue;
            }
            match tokio::time::timeout(SILENCE_MAX, open.chunks.next()).await {
                Ok(Some(Ok(chunk))) => open.reader.push(&chunk),
                // Ended, broken or silent: all the same.
                _ => self.open = None,
            }
        }
    }

    fn read(&mut self, message: &SseMessage) -> Result<Option<Event>, ClientError> {
        let event: Event = serde_json::from_str(&message.data)
            .map_err(|error| unexpected(&format!("not an event: {error}")))?;
        if self.last.is_some_and(|last| event.seq <= last) {
            return Ok(None);
        }
        self.last = Some(event.seq);
        Ok(Some(event))
    }

    async fn reconnect(&mut self) -> Result<(), ClientError> {
        let mut wait = BACKOFF_FIRST;
        for _ in 0..RECONNECTS_MAX {
            match self.connect().await {
                Err(error) if error.is_passing() => {}
                done => return done,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACKOFF_MAX);
        }
        self.connect().await
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let request = self.client.request(Method::GET, "/events/stream").query(&self.filter.terms());
        let mut request = request.timeout(STREAM_LASTS).header("accept", "text/event-stream");
        if let Some(last) = self.last {
            request = request.header("last-event-id", last.to_string());
        }
        let answer = tokio::time::timeout(SILENCE_MAX, self.client.send(request)).await;
        let answer = answer.map_err(|_| unexpected("the stream does not begin"))??;
        self.open =
            Some(OpenStream { chunks: answer.response.bytes_stream().boxed(), reader: SseReader::default() });
        Ok(())
    }
}

fn unexpected(what: &str) -> ClientError {
    ClientError::Unexpected { request: "GET /api/v1/events/stream".to_owned(), what: what.to_owned() }
}
