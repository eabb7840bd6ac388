//! An answer in progress.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, CatchUnwind, FutureExt as _};
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, debug_span};

use crate::dhcp::decide::SilenceReason;
use crate::dhcp::server::admission::RequestKey;
use crate::dhcp::server::{DhcpHandler, DhcpRequest, HandlerResult};
use crate::rate_limit::warn_limited;

/// Longest time for an answer, from the arrival of its request. Clients ask again after one second (iPXE) to
/// four (RFC 2131 4.1, PXE 2.1), and a later answer would not match their next request.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// A call of the handler. A panic inside of it means no reply, and goes no further.
pub(super) struct PendingAnswer {
    question: RequestKey,
    port: u16,
    /// When the request arrived.
    since: Instant,
    answer: CatchUnwind<AssertUnwindSafe<Instrumented<BoxFuture<'static, HandlerResult>>>>,
}

/// The result of a handler call.
pub(super) struct FinishedAnswer {
    pub question: RequestKey,
    /// The port that the reply is sent from.
    pub port: u16,
    pub since: Instant,
    pub answered: HandlerResult,
}

impl PendingAnswer {
    pub fn new(handler: &Arc<dyn DhcpHandler>, request: DhcpRequest, asked: (RequestKey, Instant)) -> Self {
        let span = debug_span!(
            "dhcp",
            xid = request.packet.xid,
            interface = request.interface.name,
            client = crate::model::hex(request.packet.hardware_address())
        );
        let (port, (question, since)) = (request.port, asked);
        let answer = Arc::clone(handler).answer(request).instrument(span);
        PendingAnswer { question, port, since, answer: AssertUnwindSafe(answer).catch_unwind() }
    }

    pub fn question(&self) -> &RequestKey {
        &self.question
    }

    pub fn is_late(&self, now: Instant) -> bool {
        is_late(self.since, now)
    }
}

impl FinishedAnswer {
    pub fn is_late(&self, now: Instant) -> bool {
        is_late(self.since, now)
    }
}

fn is_late(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= ANSWER_WITHIN
}

impl Future for PendingAnswer {
    type Output = FinishedAnswer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<FinishedAnswer> {
        let answered = ready!(self.answer.poll_unpin(context)).unwrap_or_else(|panic| {
            warn_limited!(why = message(&*panic), "a DHCP answer failed with an internal error");
            Err(SilenceReason::Failed)
        });
        Poll::Ready(FinishedAnswer { question: self.question, port: self.port, since: self.since, answered })
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}
