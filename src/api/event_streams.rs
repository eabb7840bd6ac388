//! Streams of Server-Sent Events: how one is followed, and how many are open, in all and by token. Every
//! stream costs a connection and a reader of the store, so no token may have them all.
//!
//! What a stream shows is a [`MessageFeed`]; [`stream_response`] makes the response of it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use jiff::Timestamp;

use super::ApiState;
use crate::kernel::{Actor, Caller};

/// The media type of a stream.
pub const EVENT_STREAM: &str = "text/event-stream";
/// A comment is sent as often as this, so that proxies keep the connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Most streams at a time, and most of one token.
const STREAMS_MAX: usize = 256;
const OF_TOKEN_MAX: usize = 64;
/// From so many streams on a token may have only so many, so that others get some too.
const CROWDED: usize = 128;
const OF_TOKEN_CROWDED_MAX: usize = 8;

/// The streams that are open.
#[derive(Debug, Default)]
pub struct EventStreams {
    of_token: Mutex<HashMap<String, usize>>,
    refused: AtomicU64,
}

/// What a stream shows.
pub trait MessageFeed: Send + 'static {
    /// The next messages, when there are some; no messages at all let the follower look again. None ends the
    /// stream: its reader comes back with the id of the last message that it saw. Dropping the wait loses
    /// nothing.
    fn next(&mut self) -> impl Future<Output = Option<Vec<Message>>> + Send;
}

/// The response with a stream. `first` is sent before the feed is asked. It ends when the server stops, when
/// the token no longer holds, and when the feed ends.
pub fn stream_response(
    feed: impl MessageFeed,
    (state, caller): (ApiState, Caller),
    first: Vec<Message>,
    place: StreamPlace,
) -> Response {
    let follower = StreamFollower { feed, state, caller, _place: place };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(follower.messages(first)).keep_alive(keep_alive).into_response()
}

/// One open stream.
struct StreamFollower<F> {
    feed: F,
    state: ApiState,
    caller: Caller,
    _place: StreamPlace,
}

impl<F: MessageFeed> StreamFollower<F> {
    fn messages(self, first: Vec<Message>) -> impl Stream<Item = Result<Message, Infallible>> {
        futures_util::stream::unfold((self, first.into_iter()), |(mut follow, mut batch)| async move {
            loop {
                if let Some(message) = batch.next() {
                    return Some((Ok(message), (follow, batch)));
                }
                let messages = tokio::select! {
                    () = follow.state.shutdown.cancelled() => return None,
                    messages = follow.feed.next() => messages?,
                };
                if !follow.state.houses.access.still_signed_in(&follow.caller, Timestamp::now()) {
                    return None;
                }
                batch = messages.into_iter();
            }
        })
    }
}

/// The id of the last message that a reader saw, who comes back.
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
}

/// The place of one stream. It is free again when this is dropped.
#[derive(Debug)]
pub struct StreamPlace {
    streams: Arc<EventStreams>,
    token: String,
}

impl EventStreams {
    /// A place for one more stream.
    ///
    /// # Errors
    /// Why there is none.
    pub fn take(self: &Arc<Self>, actor: &Actor) -> Result<StreamPlace, String> {
        let token = actor.to_string();
        let mut of_token = self.of_token();
        let (all, own) = (of_token.values().sum::<usize>(), of_token.get(&token).copied().unwrap_or(0));
        let own_max = if all >= CROWDED { OF_TOKEN_CROWDED_MAX } else { OF_TOKEN_MAX };
        if all >= STREAMS_MAX || own >= own_max {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(match all {
                STREAMS_MAX.. => format!("{all} streams are open, which is the most there may be"),
                _ => format!("{own} streams of {token} are open; with {all} in all it may have {own_max}"),
            });
        }
        *of_token.entry(token.clone()).or_default() += 1;
        Ok(StreamPlace { streams: Arc::clone(self), token })
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.of_token().values().sum()
    }

    /// How many were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn of_token(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.of_token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut of_token = self.streams.of_token();
        if let Some(open) = of_token.get_mut(&self.token) {
            *open -= 1;
            if *open == 0 {
                of_token.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: impl ToString) -> Actor {
        Actor::Token(name.to_string())
    }

    #[test]
    fn no_token_has_all_streams_and_late_ones_get_some() {
        let streams = Arc::new(EventStreams::default());
        let mut open = Vec::new();
        let mut take_all = |name: &str| {
            let before = open.len();
            while let Ok(place) = streams.take(&token(name)) {
                open.push(place);
            }
            open.len() - before
        };
        assert_eq!((take_all("a"), take_all("b")), (64, 64));
        assert_eq!((take_all("c"), take_all("d")), (8, 8));
        assert!(streams.take(&token("a")).unwrap_err().contains("token:a"));
        let late: usize = (0..20).map(|name| take_all(&name.to_string())).sum();
        assert_eq!((late, streams.open()), (256 - 144, 256));
        assert!(streams.take(&token("new")).unwrap_err().contains("256 streams"));
        assert_eq!(streams.refused(), 26);
        drop(open);
        assert!(streams.of_token().is_empty());
    }
}
