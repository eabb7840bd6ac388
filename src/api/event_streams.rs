//! Streams of Server-Sent Events: how a feed becomes a response, and limits on open streams, in all and per
//! token. Every stream costs a connection and a reader of the store, so no token may take them all.
//!
//! A [`MessageFeed`] provides the messages of a stream; [`stream_response`] makes the response.

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
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::ApiState;
use crate::kernel::{Actor, Caller};

/// The media type of a stream.
pub const EVENT_STREAM: &str = "text/event-stream";
/// Time between comments, which keep proxies from closing the connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often an open stream looks whether its token is still valid and its session goes on.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Most open streams, and most of one token.
const STREAMS_MAX: usize = 256;
const OF_TOKEN_MAX: usize = 64;
/// When so many streams are open, a token may only have so many, so that others get some too.
const CROWDED: usize = 128;
const OF_TOKEN_CROWDED_MAX: usize = 8;

/// The open streams.
#[derive(Debug, Default)]
pub struct EventStreams {
    of_token: Mutex<HashMap<String, usize>>,
    refused: AtomicU64,
}

/// The messages of a stream.
pub trait MessageFeed: Send + 'static {
    /// Waits for the next messages; an empty list only makes the follower check again. `None` ends the
    /// stream: its reader reconnects with the id of the last message that it saw. Dropping the future loses
    /// nothing.
    fn next(&mut self) -> impl Future<Output = Option<Vec<Message>>> + Send;
}

/// The response of a stream. `first` is sent before the feed is asked. The stream ends when the server stops,
/// when the token is no longer valid or the session ends, and when the feed ends.
pub fn stream_response(
    feed: impl MessageFeed,
    (state, caller): (ApiState, Caller),
    first: Vec<Message>,
    place: StreamPlace,
) -> Response {
    let mut looks = interval(LOOKED_AT_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = StreamFollower { feed, state, caller, looks, _place: place };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(follower.messages(first)).keep_alive(keep_alive).into_response()
}

/// One open stream.
struct StreamFollower<F> {
    feed: F,
    state: ApiState,
    caller: Caller,
    looks: Interval,
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
                    _ = follow.looks.tick() => Vec::new(),
                };
                if !follow.state.houses.access.still_signed_in(&follow.caller, Timestamp::now()) {
                    return None;
                }
                batch = messages.into_iter();
            }
        })
    }
}

/// The id of the last message that a reconnecting reader saw.
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
}

/// The slot of one stream, which is freed when this is dropped.
#[derive(Debug)]
pub struct StreamPlace {
    streams: Arc<EventStreams>,
    token: String,
}

impl EventStreams {
    /// Takes a slot for another stream.
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

    /// The number of open streams.
    pub fn open(&self) -> usize {
        self.of_token().values().sum()
    }

    /// The number of refused streams since the start.
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
