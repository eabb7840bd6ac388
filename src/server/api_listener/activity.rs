//! Tracks what a connection does, so that it can be closed if its client does not use it.
//!
//! While a handler runs it is the server's turn, and the handler has its own limits: a body has a time, a
//! long poll has an end. An answer has time as long as its client reads some of it; an event stream sends a
//! comment every few seconds. Without a request, the time runs out. Start at [`ConnectionActivity::overdue`].

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::sleep;

use crate::connections::{ConnectionLimiter, LimitReason};

/// Writes up to this size may be HTTP/2 control frames, which show no progress: pings, settings.
const UPKEEP_BYTES_MAX: usize = 64;
/// Longest sleep of the watchdog, for anything that changes meanwhile.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// The timeouts of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// For the first request after the handshake, and for the head of each HTTP/1.1 request from its first
    /// byte.
    pub head: Duration,
    /// For silence between requests.
    pub idle: Duration,
    /// The same while most slots are taken.
    pub idle_crowded: Duration,
    /// For an answer of which nothing is read.
    pub stalled: Duration,
    /// For the shutdown of an idle connection.
    pub farewell: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        ClientTimeouts {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            idle_crowded: Duration::from_secs(5),
            stalled: Duration::from_secs(120),
            farewell: Duration::from_secs(2),
        }
    }
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    Http2,
}

/// The state of a connection.
#[derive(Debug)]
pub struct ConnectionActivity {
    version: HttpVersion,
    state: Mutex<ActivityState>,
}

#[derive(Debug)]
struct ActivityState {
    /// Requests whose handler is running.
    handling: usize,
    /// Answers that the client has not read completely.
    answering: usize,
    /// Whether the client has to read something before more can be written.
    is_blocked: bool,
    /// When a request or an answer last made progress.
    moved: Instant,
    /// When the present incomplete request began.
    head_since: Option<Instant>,
}

impl ConnectionActivity {
    /// For a connection whose handshake is complete.
    pub fn begin(version: HttpVersion) -> Arc<Self> {
        let now = Instant::now();
        let state =
            ActivityState { handling: 0, answering: 0, is_blocked: false, moved: now, head_since: Some(now) };
        Arc::new(ConnectionActivity { version, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is complete; its handler runs until the returned guard becomes an answer or is dropped.
    pub fn request(self: &Arc<Self>) -> HandlerGuard {
        let mut state = self.state();
        state.handling += 1;
        state.head_since = None;
        HandlerGuard { activity: Arc::clone(self) }
    }

    /// Bytes arrived.
    pub fn read(&self) {
        let mut state = self.state();
        // HTTP/2 frames arrive without a request too.
        if self.version == HttpVersion::Http1
            && state.handling + state.answering == 0
            && state.head_since.is_none()
        {
            state.head_since = Some(Instant::now());
        }
    }

    /// The system accepted so many bytes, because the client has read earlier ones.
    pub fn written(&self, bytes: usize) {
        let mut state = self.state();
        state.is_blocked = false;
        if bytes > UPKEEP_BYTES_MAX {
            state.moved = Instant::now();
        }
    }

    /// The system has no room for more bytes.
    pub fn blocked(&self) {
        self.state().is_blocked = true;
    }

    /// Whether there is a request.
    pub fn is_busy(&self) -> bool {
        let state = self.state();
        state.handling + state.answering > 0
    }

    /// Waits until the client's time is over, and returns the reason.
    pub async fn overdue(&self, timeouts: &ClientTimeouts, limiter: &ConnectionLimiter) -> LimitReason {
        loop {
            let idle = if limiter.is_crowded() { timeouts.idle_crowded } else { timeouts.idle };
            match self.left(timeouts, idle) {
                Ok(left) => sleep(left.min(LOOK_MAX)).await,
                Err(why) => return why,
            }
        }
    }

    fn left(&self, timeouts: &ClientTimeouts, idle: Duration) -> Result<Duration, LimitReason> {
        let state = self.state();
        let (since, time, why) = match state.head_since {
            _ if state.handling > 0 => return Ok(LOOK_MAX.min(timeouts.stalled)),
            _ if state.answering > 0 || state.is_blocked => {
                (state.moved, timeouts.stalled, LimitReason::Stalled)
            }
            Some(since) => (since, timeouts.head, LimitReason::SlowRequest),
            None => (state.moved, idle, LimitReason::Idle),
        };
        match time.saturating_sub(since.elapsed()) {
            Duration::ZERO => Err(why),
            left => Ok(left),
        }
    }
}

/// A running handler.
#[derive(Debug)]
pub struct HandlerGuard {
    activity: Arc<ConnectionActivity>,
}

impl HandlerGuard {
    /// The handler has answered: from now on it is the client's turn.
    pub fn answer(self, body: Body) -> AnswerBody {
        self.activity.state().answering += 1;
        AnswerBody { body, activity: Arc::clone(&self.activity) }
    }
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.handling = state.handling.saturating_sub(1);
        state.moved = Instant::now();
    }
}

/// The body of an answer. hyper asks for its next piece when there is room for it.
#[derive(Debug)]
pub struct AnswerBody {
    body: Body,
    activity: Arc<ConnectionActivity>,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.activity.state().moved = Instant::now();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.answering = state.answering.saturating_sub(1);
        state.moved = Instant::now();
    }
}
