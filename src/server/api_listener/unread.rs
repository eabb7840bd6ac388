//! Bodies that no handler read. If a request is refused before its body was read, HTTP/2 ends the stream with
//! RST_STREAM(NO_ERROR) after the answer (RFC 9113 §8.1), and curl up to 7.88 then loses the answer. So the
//! rest of a body is read and discarded first, within limits of size and time.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

/// The largest body that any operation admits: who sends no more hears the refusal.
const UNREAD_BYTES_MAX: u64 = 64 << 20;

/// How much of an unread body is discarded, and for how long the answer waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadLimits {
    pub bytes_max: u64,
    pub time_max: Duration,
}

impl Default for UnreadLimits {
    fn default() -> Self {
        UnreadLimits { bytes_max: UNREAD_BYTES_MAX, time_max: Duration::from_secs(5) }
    }
}

/// When a client sends the body of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyTiming {
    AtOnce,
    /// After `100 Continue` (RFC 9110 §10.1.1), which it gets when the handler asks for the body.
    WhenAsked,
}

/// A body that is lent to a handler, and returned when the handler drops it.
#[derive(Debug)]
pub struct LentBody<B> {
    body: Option<B>,
    was_asked: bool,
    rest: Arc<Mutex<Option<BodyRest<B>>>>,
}

#[derive(Debug)]
struct BodyRest<B> {
    body: B,
    /// Whether the handler asked for any of it.
    was_asked: bool,
}

/// The place to which a lent body returns.
#[derive(Debug)]
pub struct UnreadBody<B>(Arc<Mutex<Option<BodyRest<B>>>>);

impl<B: HttpBody<Data = Bytes> + Unpin> LentBody<B> {
    pub fn new(body: B) -> (Self, UnreadBody<B>) {
        let rest = Arc::default();
        (LentBody { body: Some(body), was_asked: false, rest: Arc::clone(&rest) }, UnreadBody(rest))
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> UnreadBody<B> {
    /// Discards what the handler left.
    pub async fn discard(self, limits: &UnreadLimits, sends: BodyTiming) {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(BodyRest { mut body, was_asked }) = rest else { return };
        let is_too_long = body.size_hint().lower() > limits.bytes_max;
        if body.is_end_stream() || is_too_long || (sends == BodyTiming::WhenAsked && !was_asked) {
            return;
        }
        let reading = async {
            let mut left = limits.bytes_max;
            while let Some(Ok(frame)) = next_frame(&mut body).await {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                match left.checked_sub(bytes) {
                    Some(fewer) => left = fewer,
                    None => return,
                }
            }
        };
        let _ = timeout(limits.time_max, reading).await;
    }
}

async fn next_frame<B: HttpBody + Unpin>(body: &mut B) -> Option<Result<Frame<B::Data>, B::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for LentBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.was_asked = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl<B> Drop for LentBody<B> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            let rest = BodyRest { body, was_asked: self.was_asked };
            *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
        }
    }
}
