//! The DHCP port: reads packets of the interfaces that are served, hands each to a [`Handler`], and
//! sends what it answers. The only part of `dhcp` that waits for anything.
//!
//! Leaves to the handler: all decisions, and to commit what must be on disk. Start at [`Service::run`].

mod intake;
mod interfaces;
mod probe;
mod rivals;
mod socket;

pub use probe::{PROBE_TIME, ProbeAbility, Probes};
pub use rivals::{Lookout, Witness};

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use socket2::Socket;
use tokio::net::UdpSocket;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span, info, warn};

use crate::dhcp::frame::{FrameEnds, encode_frame};
use crate::dhcp::service::intake::{Door, Intake, Question};
use crate::dhcp::service::interfaces::Port;
use crate::dhcp::service::socket::{Arrival, Departure, Sharing};
use crate::dhcp::{BOOT_SERVER_PORT, Destination, Interface, Query, Reply};
use crate::listen::{Protocol, explain_bind, port_owner};
use crate::model::Mac;
use crate::proto::dhcp4::{DATAGRAM_BYTES_MAX, Packet, parse};

/// Packets that are being answered at one time. More are dropped: clients ask again.
pub const IN_FLIGHT_MAX: usize = 1024;
/// The port of DHCP servers (RFC 2131 4.1).
const SERVER_PORT: u16 = 67;
/// How often the interfaces are read.
const REFRESH: Duration = Duration::from_secs(3);
/// Failures of the socket in a row after which the service ends.
const RECEIVE_FAILURES_MAX: u32 = 16;
/// Longest the service waits for answers under way when told to stop.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Decides what is answered. Called for many packets at once.
pub trait Handler: Send + Sync + 'static {
    /// Decides on a request, commits what must be durable before it is spoken of, and returns the
    /// reply to send, if any.
    fn answer(&self, request: Request) -> BoxFuture<'_, Option<Reply>>;
}

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Request {
    pub packet: Packet,
    pub interface: Arc<Interface>,
    pub source: SocketAddrV4,
    /// The address of ours it was sent to; `None` when it was broadcast.
    pub local: Option<Ipv4Addr>,
    /// The port of ours it was sent to.
    pub port: u16,
}

impl Request {
    /// As the decisions take it.
    pub fn query(&self) -> Query<'_> {
        Query {
            packet: &self.packet,
            interface: &self.interface,
            source: self.source,
            local: self.local,
            port: self.port,
        }
    }
}

/// Totals since the start, for the metrics page.
#[derive(Debug, Default)]
pub struct Counters {
    pub received: AtomicU64,
    pub sent: AtomicU64,
    /// Datagrams that are no DHCP message.
    pub malformed: AtomicU64,
    /// Packets of interfaces that are not served.
    pub elsewhere: AtomicU64,
    /// Retransmissions of a question under way.
    pub repeated: AtomicU64,
    /// Packets dropped because a client, or all together, asked too much.
    pub dropped: AtomicU64,
    pub send_failures: AtomicU64,
}

/// The DHCP service, bound and not yet running.
pub struct Service {
    outlet: Arc<Outlet>,
    names: Vec<String>,
    handler: Arc<dyn Handler>,
    door: Door,
    tasks: JoinSet<()>,
    questions: HashMap<Id, Question>,
}

/// What is needed to send; shared by all answers.
struct Outlet {
    udp: UdpSocket,
    /// The boot server's port, unless another program has it.
    boot_server: Option<UdpSocket>,
    frames: Option<Socket>,
    ports: RwLock<BTreeMap<u32, Port>>,
    counters: Arc<Counters>,
    told_of_fallback: AtomicBool,
}

impl Service {
    /// Binds `port` on all addresses, to serve the interfaces called `names`, which may come and go.
    ///
    /// # Errors
    /// The port cannot be bound; the error says who has it, where that can be seen.
    pub fn bind(port: u16, names: Vec<String>, handler: Arc<dyn Handler>) -> io::Result<Self> {
        if let Some(owner) = port_owner(Protocol::Udp, port).filter(|_| port != 0) {
            warn!(
                port,
                owner, "another DHCP server has the port as well: each packet goes to one of the two"
            );
        }
        let udp = socket::listen(port, Sharing::Shared)
            .map_err(|error| explain_bind(error, Protocol::Udp, port))?;
        let frames = socket::frames()
            .inspect_err(
                |error| warn!(%error, "no raw socket: clients without an address are sent broadcasts"),
            )
            .ok();
        let ports = interfaces::read(&names)?;
        let missing = names.iter().filter(|name| ports.values().all(|port| port.facts.name != **name));
        missing.for_each(|name| warn!(interface = name, "there is no such interface yet"));
        let outlet = Outlet {
            udp,
            boot_server: (port == SERVER_PORT).then(listen_as_boot_server).flatten(),
            told_of_fallback: AtomicBool::new(frames.is_none()),
            frames,
            ports: RwLock::new(ports),
            counters: Arc::default(),
        };
        Ok(Service {
            outlet: Arc::new(outlet),
            names,
            handler,
            door: Door::default(),
            tasks: JoinSet::new(),
            questions: HashMap::new(),
        })
    }

    /// The port bound, chosen by the kernel where 0 was asked for.
    pub fn local_port(&self) -> io::Result<u16> {
        self.outlet.udp.local_addr().map(|address| address.port())
    }

    pub fn counters(&self) -> Arc<Counters> {
        self.outlet.counters.clone()
    }

    /// Serves until `shutdown`, then lets the answers under way finish. An error is one of the socket.
    pub async fn run(mut self, shutdown: CancellationToken) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let outlet = self.outlet.clone();
        let mut failures = 0;
        let result = loop {
            tokio::select! {
                received = outlet.receive(&mut buffer) => match received {
                    Ok((arrival, port)) => {
                        failures = 0;
                        self.take((arrival, port), buffer.get(..arrival.bytes).unwrap_or_default());
                    }
                    Err(error) if failures < RECEIVE_FAILURES_MAX => {
                        failures += 1;
                        warn!(%error, "the DHCP socket cannot be read");
                    }
                    Err(error) => break Err(error),
                },
                Some(ended) = self.tasks.join_next_with_id() => self.free(ended),
                _ = refresh.tick() => outlet.refresh(&self.names),
                () = shutdown.cancelled() => break Ok(()),
            }
        };
        let drain = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_MAX, drain).await.is_err() {
            warn!("some DHCP answers did not finish in {STOP_MAX:?}");
        }
        result
    }

    fn take(&mut self, (arrival, addressed): (Arrival, u16), datagram: &[u8]) {
        let counters = &self.outlet.counters;
        counters.received.fetch_add(1, Relaxed);
        let Some(port) = self.outlet.port(arrival.interface) else {
            counters.elsewhere.fetch_add(1, Relaxed);
            return;
        };
        let packet = match parse(datagram) {
            Ok(packet) => packet,
            Err(error) => {
                counters.malformed.fetch_add(1, Relaxed);
                debug!(source = %arrival.source, interface = port.facts.name, %error, "no DHCP message");
                return;
            }
        };
        let question = Question::of(&packet, arrival.interface);
        let full = self.tasks.len() >= IN_FLIGHT_MAX;
        let verdict = if full { Intake::Flood } else { self.door.admit(question, Instant::now()) };
        match verdict {
            Intake::Repeated => drop(counters.repeated.fetch_add(1, Relaxed)),
            Intake::Flood => drop(counters.dropped.fetch_add(1, Relaxed)),
            Intake::Take => {
                let request = Request {
                    packet,
                    interface: port.facts,
                    source: arrival.source,
                    local: arrival.local,
                    port: addressed,
                };
                self.start(question, request);
            }
        }
    }

    fn start(&mut self, question: Question, request: Request) {
        let (xid, interface) = (request.packet.xid, request.interface.name.clone());
        let span = debug_span!("dhcp", xid, interface, client = field_of(&request.packet));
        let (handler, outlet) = (self.handler.clone(), self.outlet.clone());
        let addressed = request.port;
        let answer = async move {
            if let Some(reply) = handler.answer(request).await {
                outlet.send(&reply, addressed).await;
            }
        };
        let task = self.tasks.spawn(answer.instrument(span));
        self.questions.insert(task.id(), question);
    }

    fn free(&mut self, ended: Result<(Id, ()), JoinError>) {
        let task = match ended {
            Ok((task, ())) => task,
            Err(error) => {
                warn!(%error, "a DHCP answer failed inside");
                error.id()
            }
        };
        if let Some(question) = self.questions.remove(&task) {
            self.door.close(&question);
        }
    }
}

/// What goes out as a frame: on virtual links the kernel leaves the checksum of its own broadcasts undone,
/// and clients that read frames drop them.
fn framed(destination: &Destination) -> Option<(Mac, SocketAddrV4)> {
    match destination {
        Destination::Unicast(_) => None,
        Destination::Frame { mac, to } => Some((*mac, *to)),
        Destination::Broadcast => Some((Mac([0xff; 6]), destination.socket_address())),
    }
}

/// The socket that PXE clients ask for boot data when they have an address. Without it the rest is served.
fn listen_as_boot_server() -> Option<UdpSocket> {
    socket::listen(BOOT_SERVER_PORT, Sharing::Alone)
        .map_err(|error| explain_bind(error, Protocol::Udp, BOOT_SERVER_PORT))
        .inspect_err(|error| warn!(%error, "UEFI firmware in `proxy` subnets cannot be told what to boot"))
        .ok()
}

/// The hardware address for the span, in hex.
fn field_of(packet: &Packet) -> String {
    crate::model::hex(packet.hardware_address())
}

impl Outlet {
    fn port(&self, index: u32) -> Option<Port> {
        self.ports.read().unwrap_or_else(PoisonError::into_inner).get(&index).cloned()
    }

    fn refresh(&self, names: &[String]) {
        match interfaces::read(names) {
            Ok(ports) => {
                let mut current = self.ports.write().unwrap_or_else(PoisonError::into_inner);
                for port in ports.values().filter(|port| !current.contains_key(&port.facts.index)) {
                    info!(interface = port.facts.name, "serving DHCP");
                }
                *current = ports;
            }
            Err(error) => warn!(%error, "the network interfaces cannot be read"),
        }
    }

    /// A datagram, and the port it was sent to in the protocol's terms.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(Arrival, u16)> {
        let Some(boot_server) = &self.boot_server else {
            return Ok((socket::receive(&self.udp, buffer).await?, SERVER_PORT));
        };
        loop {
            tokio::select! {
                ready = self.udp.readable() => {
                    ready?;
                    if let Some(arrival) = socket::receive_ready(&self.udp, buffer)? {
                        return Ok((arrival, SERVER_PORT));
                    }
                }
                ready = boot_server.readable() => {
                    ready?;
                    if let Some(arrival) = socket::receive_ready(boot_server, buffer)? {
                        return Ok((arrival, BOOT_SERVER_PORT));
                    }
                }
            }
        }
    }

    /// Sends a reply to a request that came to port `addressed`, from that port.
    async fn send(&self, reply: &Reply, addressed: u16) {
        let counter = match self.try_send(reply, addressed).await {
            Ok(()) => &self.counters.sent,
            Err(error) => {
                warn!(%error, destination = %reply.destination, "a DHCP reply could not be sent");
                &self.counters.send_failures
            }
        };
        counter.fetch_add(1, Relaxed);
    }

    async fn try_send(&self, reply: &Reply, addressed: u16) -> io::Result<()> {
        let port = self.port(reply.interface).ok_or_else(|| io::Error::other("its interface is gone"))?;
        let boot_server = self.boot_server.as_ref().filter(|_| addressed == BOOT_SERVER_PORT);
        let socket = boot_server.unwrap_or(&self.udp);
        if let Some((mac, to)) = framed(&reply.destination) {
            let from = SocketAddrV4::new(reply.source, socket.local_addr()?.port());
            let ends = port.mac().map(|from_mac| FrameEnds { from_mac, to_mac: mac, from, to });
            match self.send_frame(&port, ends, &reply.bytes) {
                Ok(()) => return Ok(()),
                Err(error) if !self.told_of_fallback.swap(true, Relaxed) => {
                    warn!(%error, interface = port.facts.name, "no frame can be sent: broadcasting instead");
                }
                Err(_) => {}
            }
        }
        let to = match reply.destination {
            Destination::Unicast(to) => to,
            Destination::Broadcast | Destination::Frame { .. } => Destination::Broadcast.socket_address(),
        };
        // What is behind a router is left to routing; a forced interface would look for it on the link.
        let direct = to.ip().is_broadcast() || port.facts.is_on_link(*to.ip());
        let interface = if direct { reply.interface } else { 0 };
        socket::send(socket, Departure { source: reply.source, interface }, to, &reply.bytes).await
    }

    fn send_frame(&self, port: &Port, ends: Option<FrameEnds>, payload: &[u8]) -> io::Result<()> {
        let unable = || io::Error::other("the interface has no Ethernet address, or there is no raw socket");
        let (link, ends) = port.link.as_ref().zip(ends).ok_or_else(unable)?;
        let frames = self.frames.as_ref().ok_or_else(unable)?;
        let frame = encode_frame(&ends, payload).ok_or_else(unable)?;
        socket::send_frame(frames, link, &frame)
    }
}

#[cfg(test)]
mod tests;
