//! The DHCP port: reads packets of the interfaces that are served, passes each to a [`DhcpHandler`], and
//! sends the replies. It is the only part of `dhcp` that waits for anything.
//!
//! One task does everything. It empties the sockets into a queue, answers at once what needs no disk, and
//! keeps the answers that wait for the disk as `pending_answer`, so that nothing else waits for them. The
//! handler makes all decisions and commits what must be on disk. Start at [`DhcpService::run`].
//! decisions, and to commit what must be on disk. Start at [`DhcpService::run`].

mod admission;
mod counters;
mod echoes;
mod interfaces;
mod other_servers;
mod pending_answer;
mod probe;
mod queue;
mod reopening_socket;
mod reply_sender;
mod socket;

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::dhcp::decide::{BOOT_SERVER_PORT, DhcpQuery, NetworkInterface, ReplyDatagram, SilenceReason};
use crate::dhcp::server::admission::{AdmissionControl, PacketAdmission, RequestKey};
use crate::dhcp::server::pending_answer::{ANSWER_WITHIN, FinishedAnswer, PendingAnswer};
use crate::dhcp::server::queue::{DatagramQueue, QueuedDatagram};
use crate::dhcp::server::reply_sender::{ReplySender, SendTime};
use crate::dhcp::server::socket::{DhcpListener, PortSharing};
use crate::port_owner::{PortProtocol, explain_bind, port_owner};
use crate::proto::dhcp4::{DhcpPacket, parse};
use crate::rate_limit::RateLimiter;

pub use counters::{DhcpCounters, DropReason};
pub use other_servers::{LOOKOUT_PERIOD, OtherServerDetector, ServerObserver};
pub use probe::{PROBE_TIME, ProbeAbility, ProbeSockets};

/// Most packets whose answers wait for the disk. Further packets wait in the queue, briefly.
pub const IN_FLIGHT_MAX: usize = 1024;
/// Most answers that are finished without being sent. Beyond that, one is dropped unfinished.
const GIVEN_UP_MAX: usize = IN_FLIGHT_MAX;
/// The port of DHCP servers (RFC 2131 4.1).
const SERVER_PORT: u16 = 67;
/// Datagrams that are read, and packets that are decided, before other work gets its turn.
const READ_AT_ONCE_MAX: usize = 1024;
const DECIDED_AT_ONCE_MAX: usize = 16;
/// Time between two reads of the interfaces.
const REFRESH: Duration = Duration::from_secs(3);
/// Time between two searches for answers that take too long.
const SWEEP: Duration = Duration::from_secs(1);
/// Longest wait for unfinished answers at shutdown.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The result of a request: a reply, nothing if none is due, or silence with its reason.
pub type HandlerResult = Result<Option<ReplyDatagram>, SilenceReason>;

/// Decides on requests.
pub trait DhcpHandler: Send + Sync + 'static {
    /// Decides on a request, commits what must be on disk before the reply, and returns the reply, if there
    /// is one. An answer that does not need the disk should be ready at the first poll; otherwise it waits
    /// among the pending ones.
    fn answer(self: Arc<Self>, request: DhcpRequest) -> BoxFuture<'static, HandlerResult>;

    /// Whether a reply from a few seconds ago still holds, so that it can be sent again to a client that did
    /// not receive it.
    fn still_holds(&self, reply: &ReplyDatagram) -> bool;
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct DhcpRequest {
    pub packet: DhcpPacket,
    pub interface: Arc<NetworkInterface>,
    pub source: SocketAddrV4,
    /// The server's address that the request was sent to; `None` if it was broadcast.
    pub local: Option<Ipv4Addr>,
    /// The server's port that the request was sent to, as the protocol numbers it.
    pub port: u16,
}

impl DhcpRequest {
    /// The request in the form that decisions take.
    pub fn query(&self) -> DhcpQuery<'_> {
        DhcpQuery {
            packet: &self.packet,
            interface: &self.interface,
            source: self.source,
            local: self.local,
            port: self.port,
        }
    }
}

/// The DHCP service, bound but not running yet.
pub struct DhcpService {
    listeners: Vec<DhcpListener>,
    boot_server_fault: Option<String>,
    reply_sender: ReplySender,
    handler: Arc<dyn DhcpHandler>,
    counters: Arc<DhcpCounters>,
    queue: DatagramQueue,
    admission: AdmissionControl,
    under_way: FuturesUnordered<PendingAnswer>,
    /// Answers that took too long: their writes are finished and reported, but nothing is sent.
    given_up: FuturesUnordered<PendingAnswer>,
    /// Limits the warnings about answers that took too long.
    late: RateLimiter,
}

impl DhcpService {
    /// Binds `port` on all addresses, to serve the interfaces `names`, which may appear and disappear.
    ///
    /// # Errors
    /// The port cannot be bound; the error names the process that has it, if that is known.
    pub fn bind(port: u16, names: Vec<String>, handler: Arc<dyn DhcpHandler>) -> io::Result<Self> {
        if let Some(owner) = port_owner(PortProtocol::Udp, port).filter(|_| port != 0) {
            warn!(
                port,
                owner, "another DHCP server has the port as well: each packet goes to one of the two"
            );
        }
        let server = DhcpListener::bind(port, (SERVER_PORT, PortSharing::Shared))
            .map_err(|error| explain_bind(error, PortProtocol::Udp, port))?;
        let boot_server = (port == SERVER_PORT).then(listen_as_boot_server).transpose();
        let boot_server_fault = boot_server.as_ref().err().map(ToString::to_string);
        Ok(DhcpService {
            listeners: [server].into_iter().chain(boot_server.ok().flatten()).collect(),
            boot_server_fault,
            reply_sender: ReplySender::new(names)?,
            handler,
            counters: Arc::default(),
            queue: DatagramQueue::default(),
            admission: AdmissionControl::default(),
            under_way: FuturesUnordered::new(),
            given_up: FuturesUnordered::new(),
            late: RateLimiter::default(),
        })
    }

    /// Limits the answers to so many packets per second from all clients together.
    pub fn at_most(mut self, per_second: Option<NonZeroU32>) -> Self {
        if let Some(per_second) = per_second {
            self.admission.limit(per_second);
        }
        self
    }

    /// The bound port; the kernel chose it if 0 was given.
    pub fn local_port(&self) -> io::Result<u16> {
        let server = self.listeners.first().map(DhcpListener::local_port);
        server.ok_or_else(|| io::Error::other("no port is bound"))
    }

    /// Why [`BOOT_SERVER_PORT`] could not be bound, if it could not.
    pub fn boot_server_fault(&self) -> Option<&str> {
        self.boot_server_fault.as_deref()
    }

    pub fn counters(&self) -> Arc<DhcpCounters> {
        self.counters.clone()
    }

    /// A function that tells whether the ports can be read at present.
    pub fn receives(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let all: Vec<_> = self.listeners.iter().map(|listener| Arc::clone(listener.health())).collect();
        move || all.iter().all(|health| health.is_well())
    }

    /// Serves until `shutdown`, then lets pending answers finish. No socket failure ends it.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let (mut refresh, mut sweep) = (every(REFRESH), every(SWEEP));
        let cancelled = shutdown.cancelled();
        tokio::pin!(cancelled);
        loop {
            tokio::select! {
                biased;
                () = &mut cancelled => break,
                _ = refresh.tick() => self.refresh(),
                _ = sweep.tick() => self.give_up_late(Instant::now()),
                Some(ended) = self.under_way.next() => self.finish(ended),
                Some(_) = self.given_up.next() => {}
                () = readable(&self.listeners) => {}
                // With packets in the queue this does not wait, but the other branches are polled all the
                // same.
                () = std::future::ready(()), if self.can_decide() => {}
            }
            while let Some(Some(ended)) = self.under_way.next().now_or_never() {
                self.finish(ended);
            }
            self.read();
            self.decide();
            self.flush();
            if self.can_decide() {
                tokio::task::yield_now().await;
            }
        }
        self.drain().await;
    }

    fn refresh(&mut self) {
        self.reply_sender.refresh();
        self.listeners.iter_mut().for_each(DhcpListener::check);
    }

    /// Makes room if answers take too long, for example because the disk hangs. Their writes may still
    /// complete; the client then finds the lease when it asks again.
    fn give_up_late(&mut self, now: Instant) {
        if !self.under_way.iter().any(|answer| answer.is_late(now)) {
            return;
        }
        let all = std::mem::take(&mut self.under_way).into_iter();
        let (late, rest): (Vec<_>, Vec<_>) = all.partition(|answer| answer.is_late(now));
        self.under_way.extend(rest);
        for answer in late {
            self.admission.close(answer.question());
            self.too_late(now);
            if self.given_up.len() < GIVEN_UP_MAX {
                self.given_up.push(answer);
            }
        }
    }

    fn too_late(&mut self, now: Instant) {
        self.counters.count(DropReason::Late);
        if let Some(answers) = self.late.count(1, now) {
            warn!(answers, "DHCP answers took longer than {ANSWER_WITHIN:?}: is the disk slow?");
        }
    }

    async fn drain(&mut self) {
        let stop = tokio::time::sleep(STOP_MAX);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                ended = self.under_way.next() => match ended {
                    Some(ended) => {
                        self.finish(ended);
                        self.flush();
                    }
                    None => return,
                },
                () = &mut stop => return warn!("some DHCP answers did not finish in {STOP_MAX:?}"),
            }
        }
    }

    fn flush(&mut self) {
        flush(&self.counters, (&mut self.reply_sender, &self.listeners));
    }

    fn can_decide(&self) -> bool {
        !self.queue.is_empty() && self.under_way.len() < IN_FLIGHT_MAX
    }

    /// Empties the sockets into the queue, so that no datagram ages unseen in the kernel.
    fn read(&mut self) {
        for listener in &mut self.listeners {
            let (port, now) = (listener.port, Instant::now());
            for _ in 0..READ_AT_ONCE_MAX {
                let (arrival, datagram) = match listener.receive() {
                    Ok(Some(received)) => received,
                    Ok(None) => break,
                    Err(_) => {
                        self.counters.receive_failures.fetch_add(1, Relaxed);
                        break;
                    }
                };
                self.counters.received.fetch_add(1, Relaxed);
                // Dropped here, so that it does not take the place of a packet that will be answered.
                if self.reply_sender.port(arrival.interface).is_none() {
                    self.counters.count(DropReason::Elsewhere);
                    continue;
                }
                let since = now.checked_sub(arrival.age).unwrap_or(now);
                let waiting = QueuedDatagram { datagram: datagram.into(), arrival, port, since };
                if self.queue.push(waiting).is_some() {
                    self.counters.count(DropReason::Overload);
                }
            }
        }
    }

    /// Decides on the queued packets, as far as that is possible now.
    fn decide(&mut self) {
        let now = Instant::now();
        (0..self.queue.drop_stale(now)).for_each(|_| self.counters.count(DropReason::Stale));
        for _ in 0..DECIDED_AT_ONCE_MAX {
            if self.under_way.len() >= IN_FLIGHT_MAX {
                return;
            }
            let Some(waiting) = self.queue.pop() else { return };
            if let Err(why) = self.take(&waiting, now) {
                self.counters.count(why);
            }
        }
    }

    fn take(&mut self, waiting: &QueuedDatagram, now: Instant) -> Result<(), DropReason> {
        let arrival = &waiting.arrival;
        let facts =
            self.reply_sender.port(arrival.interface).map(|port| &port.facts).ok_or(DropReason::Elsewhere)?;
        let packet = parse(&waiting.datagram).map_err(|error| {
            debug!(source = %arrival.source, interface = facts.name, %error, "not a DHCP message");
            DropReason::Malformed
        })?;
        let request = DhcpRequest {
            packet,
            interface: Arc::clone(facts),
            source: arrival.source,
            local: arrival.local,
            port: waiting.port,
        };
        let question = RequestKey::of(&request.packet, arrival.interface, request.port);
        match self.admission.admit(question, now) {
            PacketAdmission::Repeated => return Err(DropReason::Repeated),
            PacketAdmission::Flood => return Err(DropReason::Flood),
            PacketAdmission::Limited => return Err(DropReason::Limited),
            PacketAdmission::Take => {}
        }
        if self.send_again(&question, request.port, now) {
            self.admission.close(&question);
            return Ok(());
        }
        let mut answer = PendingAnswer::new(&self.handler, request, (question, waiting.since));
        match (&mut answer).now_or_never() {
            Some(ended) => self.finish(ended),
            None => self.under_way.push(answer),
        }
        Ok(())
    }

    /// Sends again the reply that the same request got a moment ago, if the reply still holds.
    fn send_again(&mut self, question: &RequestKey, port: u16, now: Instant) -> bool {
        let Some(reply) =
            self.admission.reply_to(question, now).filter(|reply| self.handler.still_holds(reply))
        else {
            return false;
        };
        send(&self.counters, (&mut self.reply_sender, &self.listeners), (reply, port));
        self.counters.resent.fetch_add(1, Relaxed);
        true
    }

    fn finish(&mut self, ended: FinishedAnswer) {
        self.admission.close(&ended.question);
        let now = Instant::now();
        if ended.is_late(now) {
            return self.too_late(now);
        }
        match ended.answered {
            Ok(Some(reply)) => {
                send(&self.counters, (&mut self.reply_sender, &self.listeners), (&reply, ended.port));
                self.counters.answers.record(now.saturating_duration_since(ended.since));
                if reply.durable {
                    self.admission.keep(ended.question, reply, now);
                }
            }
            Ok(None) => {}
            Err(silence) => self.counters.count(silence.into()),
        }
    }
}

/// The socket on which PXE clients that have an address ask for boot data. Everything else works without it.
fn listen_as_boot_server() -> io::Result<DhcpListener> {
    DhcpListener::bind(BOOT_SERVER_PORT, (BOOT_SERVER_PORT, PortSharing::Alone))
        .map_err(|error| explain_bind(error, PortProtocol::Udp, BOOT_SERVER_PORT))
        .inspect_err(|error| warn!(%error, "UEFI firmware in `proxy` subnets cannot be told what to boot"))
}

fn send(
    counters: &DhcpCounters,
    (reply_sender, listeners): (&mut ReplySender, &[DhcpListener]),
    (reply, port): (&ReplyDatagram, u16),
) {
    let Some(listener) = listeners.iter().find(|listener| listener.port == port) else {
        counters.send_failures.fetch_add(1, Relaxed);
        return;
    };
    match reply_sender.send(listener, reply) {
        Ok(SendTime::Now) => {
            counters.sent.fetch_add(1, Relaxed);
        }
        Ok(SendTime::AtTheEnd) if reply_sender.is_full() => flush(counters, (reply_sender, listeners)),
        Ok(SendTime::AtTheEnd) => {}
        Err(error) => {
            reply_sender.lost(&error, reply);
            counters.send_failures.fetch_add(1, Relaxed);
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Sends the replies that wait for the end of the turn.
fn flush(counters: &DhcpCounters, (reply_sender, listeners): (&mut ReplySender, &[DhcpListener])) {
    let (sent, lost) = reply_sender.flush(listeners);
    counters.sent.fetch_add(sent, Relaxed);
    counters.send_failures.fetch_add(lost, Relaxed);
}

/// Waits until one of the sockets is readable; a failure is found by the read.
async fn readable(listeners: &[DhcpListener]) {
    poll_fn(|context| {
        let ready = listeners.iter().filter(|listener| listener.poll_ready(context).is_ready()).count();
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests;
