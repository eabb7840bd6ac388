//! An answer that is being made.

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

/// How long an answer may take, from the arrival of its question. Clients ask again after a second (iPXE) to
/// four (RFC 2131 4.1, PXE 2.1), and what is later has another question to answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// One call of the handler. A failure inside of it is silence, and stays there.
pub(super) struct PendingAnswer {
    question: RequestKey,
    port: u16,
    /// When the question came.
    since: Instant,
    answer: CatchUnwind<AssertUnwindSafe<Instrumented<BoxFuture<'static, HandlerResult>>>>,
}

/// The result of a handler call.
pub(super) struct FinishedAnswer {
    pub question: RequestKey,
    /// The port the reply leaves from.
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
            warn_limited!(why = message(&*panic), "a DHCP answer failed inside");
            Err(SilenceReason::Failed)
        });
        Poll::Ready(FinishedAnswer { question: self.question, port: self.port, since: self.since, answered })
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}
