//! Events: pages of history, and a stream.

use reqwest::Method;
use serde::Deserialize;

use crate::client::message_stream::MessageStream;
use crate::client::sse::SseMessage;
use crate::client::{ApiClient, ClientError};
use crate::model::Event;

/// A filter of events: `kind` is exact or ends in `*` (`machine.*`), `subject` is like `machine:web1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub kind: Option<String>,
    pub subject: Option<String>,
    /// The machine that they are about, by name, MAC, address or id; instead of `subject`.
    pub machine: Option<String>,
    /// The request that brought them about.
    pub request_id: Option<String>,
    /// Only those since a time, as `-1h`.
    pub since: Option<String>,
    /// Only those before a time.
    pub until: Option<String>,
    /// The token of whoever caused them: `token:admin`, or `token:*` for all.
    pub actor: Option<String>,
}

impl EventFilter {
    pub fn kind(kind: impl Into<String>) -> Self {
        EventFilter { kind: Some(kind.into()), ..EventFilter::default() }
    }

    pub fn subject(subject: impl Into<String>) -> Self {
        EventFilter { subject: Some(subject.into()), ..EventFilter::default() }
    }

    fn terms(&self) -> Vec<(&'static str, String)> {
        let kind = self.kind.clone().map(|kind| ("kind", kind));
        let subject = self.subject.clone().map(|subject| ("subject", subject));
        let machine = self.machine.clone().map(|machine| ("machine", machine));
        let request_id = self.request_id.clone().map(|id| ("request_id", id));
        let since = self.since.clone().map(|since| ("since", since));
        let until = self.until.clone().map(|until| ("until", until));
        let actor = self.actor.clone().map(|actor| ("actor", actor));
        [kind, subject, machine, request_id, since, until, actor].into_iter().flatten().collect()
    }
}

/// A part of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryRange {
    /// Only events with a higher number; without it the history ends with the present.
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
    /// The `after` of the next page; none on the last page.
    #[serde(default)]
    pub next: Option<u64>,
}

/// A message of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamSignal {
    Event(Box<Event>),
    /// The connection broke and was opened again. If no event had arrived before, some may have been missed:
    /// check what you watch.
    Reconnected,
}

/// A stream of events. A broken connection is opened again after the last event.
pub struct EventStream {
    messages: MessageStream,
    last: Option<u64>,
}

impl ApiClient {
    /// One page of history: after a number, or else the last events.
    ///
    /// # Errors
    /// An error of the server or the network.
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
    /// An error of the server or the network.
    pub async fn follow(&self, filter: EventFilter, after: Option<u64>) -> Result<EventStream, ClientError> {
        let last_id = after.map(|seq| seq.to_string());
        let messages = MessageStream::open(self, "/events/stream", filter.terms(), last_id).await?;
        Ok(EventStream { messages, last: after })
    }
}

impl EventStream {
    /// The next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// A refusal, a server that cannot be reached again, or an invalid message.
    pub async fn next(&mut self) -> Result<StreamSignal, ClientError> {
        while let Some(message) = self.messages.next().await? {
            if let Some(event) = self.read(&message)? {
                return Ok(StreamSignal::Event(Box::new(event)));
            }
        }
        Ok(StreamSignal::Reconnected)
    }

    fn read(&mut self, message: &SseMessage) -> Result<Option<Event>, ClientError> {
        let event: Event = serde_json::from_str(&message.data)
            .map_err(|error| self.messages.unexpected(&format!("not an event: {error}")))?;
        if self.last.is_some_and(|last| event.seq <= last) {
            return Ok(None);
        }
        self.last = Some(event.seq);
        self.messages.taken(event.seq.to_string());
        Ok(Some(event))
    }
}
