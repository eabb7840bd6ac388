//! The listening port: reads requests, admits them within the limits, and starts a session for each. Start at
//! `TftpService::run`.

use crate::datagrams::{DatagramEnds, DatagramRoute, SocketHealth};
use crate::proto::tftp::{ErrorCode, TftpPacket, TftpRequest, TransferLimits, packet};
use crate::rate_limit::warn_limited;
use crate::tftp::admission::ReadTotals;
use crate::tftp::link::PeerLink;
use crate::tftp::opener::{ReadOpener, ReadRequest};
use crate::tftp::session::{OwnedRequest, ReadSession};
use crate::tftp::sessions::{PerPeer, ReadAdmission, SessionEntry, SessionTable};
use crate::tftp::socket::{self, DATAGRAM_BYTES_MAX};
use crate::tftp::transfer_threads::TransferThreads;
use bytes::Bytes;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span, warn};

/// Most reads at the same time, of all peers and of one IP address. A machine with several ports tries each.
pub const SESSIONS_MAX: usize = 4096;
pub const SESSIONS_PER_PEER_MAX: usize = 8;
/// Most packets of a peer that wait for its session if the port is shared.
const INBOX_PACKETS_MAX: usize = 64;
/// Datagrams that are taken from the listening socket before other work gets its turn.
const TURN_DATAGRAMS_MAX: usize = 64;
/// How often the listening socket is checked; a socket that fails rests for this time.
const LOOK_AFTER: Duration = Duration::from_secs(3);
/// Longest wait for running sessions at shutdown.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The port that a transfer is sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortMode {
    /// A new port for each transfer (RFC 1350 section 4).
    #[default]
    PerTransfer,
    /// The listening port for all transfers, for networks that translate addresses or filter by port.
    Single,
}

/// The settings of an operator.
#[derive(Debug, Clone, Copy)]
pub struct TftpSettings {
    pub ports: PortMode,
    /// `block_bytes_max` is lowered to what the request's interface can carry.
    pub limits: TransferLimits,
    pub sessions_max: usize,
    pub sessions_per_peer_max: usize,
}

impl Default for TftpSettings {
    fn default() -> Self {
        Self {
            ports: PortMode::default(),
            limits: TransferLimits::default(),
            sessions_max: SESSIONS_MAX,
            sessions_per_peer_max: SESSIONS_PER_PEER_MAX,
        }
    }
}

/// Totals since the start, for metrics.
#[derive(Debug, Default)]
pub struct TftpCounters {
    /// Read and write requests that arrived, including repeated ones.
    pub requests: AtomicU64,
    /// Requests that were answered with an ERROR.
    pub refused: AtomicU64,
    /// Requests of peers that are not served, which got no answer.
    pub unanswered: AtomicU64,
    /// Requests that were dropped for now: too many of the peer or of all, or the running reads lose packets.
    pub put_off: AtomicU64,
    /// Datagrams that are not TFTP packets.
    pub malformed: AtomicU64,
    /// Packets at the listening port that are not requests and belong to no read.
    pub strays: AtomicU64,
    /// Reads that began and ended.
    pub started: AtomicU64,
    pub finished: AtomicU64,
    /// Windows that were sent (single blocks without a window), and those of them that were sent again
    /// because no answer came in time.
    pub windows: AtomicU64,
    pub retransmitted: AtomicU64,
}

/// The TFTP service, bound but not running yet.
pub struct TftpService {
    pub(super) socket: StdUdpSocket,
    address: SocketAddrV4,
    settings: TftpSettings,
    opener: Arc<dyn ReadOpener>,
    counters: Arc<TftpCounters>,
}

impl TftpService {
    /// Binds `address`; the unspecified address serves all interfaces, and broadcast requests.
    pub fn bind(
        address: SocketAddrV4,
        settings: TftpSettings,
        opener: Arc<dyn ReadOpener>,
    ) -> io::Result<Self> {
        let socket = socket::listen(address)?;
        let address = SocketAddrV4::new(*address.ip(), socket.local_addr()?.port());
        Ok(Self { socket, address, settings, opener, counters: Arc::default() })
    }

    /// The bound address, with the port that the kernel chose if 0 was given.
    pub fn local_addr(&self) -> SocketAddr {
        SocketAddr::V4(self.address)
    }

    pub fn counters(&self) -> Arc<TftpCounters> {
        self.counters.clone()
    }

    /// Serves until `shutdown`, then ends the running reads with an ERROR. Failures of the listening socket
    /// do not end it; an error comes from one of the threads. Paths are opened in the caller's runtime.
    pub async fn run(self, shutdown: CancellationToken) -> io::Result<()> {
        let transfer_threads = TransferThreads::start()?;
        let home = transfer_threads.home();
        // A socket belongs to the runtime in which it is created.
        let socket = {
            let _inside = home.enter();
            Arc::new(socket::adopt(self.socket)?)
        };
        let sessions =
            SessionTable::new(self.settings.sessions_max, PerPeer(self.settings.sessions_per_peer_max));
        let port = ListeningPort {
            socket,
            address: self.address,
            health: SocketHealth::new("the TFTP socket"),
            settings: self.settings,
            opener: self.opener,
            opening: Handle::current(),
            transfer_threads,
            counters: self.counters,
            sessions,
            tasks: JoinSet::new(),
            shutdown,
        };
        home.spawn(port.serve()).await.map_err(io::Error::other)
    }
}

/// The running listening port.
struct ListeningPort {
    socket: Arc<UdpSocket>,
    address: SocketAddrV4,
    health: SocketHealth,
    settings: TftpSettings,
    opener: Arc<dyn ReadOpener>,
    opening: Handle,
    transfer_threads: TransferThreads,
    counters: Arc<TftpCounters>,
    sessions: SessionTable,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

impl ListeningPort {
    async fn serve(mut self) {
        let shutdown = self.shutdown.clone();
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let mut check = tokio::time::interval(LOOK_AFTER);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let hears = !self.health.is_suspended();
            tokio::select! {
                received = socket::recv(&self.socket, &mut buffer), if hears => match received {
                    Ok(arrival) => {
                        self.health.succeeded();
                        self.handle(arrival, buffer.get(..arrival.bytes).unwrap_or_default());
                        self.take_waiting(&mut buffer);
                    }
                    Err(error) => self.health.failed(&error),
                },
                _ = check.tick() => self.check(),
                Some(ended) = self.tasks.join_next_with_id() => self.free(ended),
                () = shutdown.cancelled() => break,
            }
        }
        let drain = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_MAX, drain).await.is_err() {
            warn!("some TFTP reads did not stop in {STOP_MAX:?}");
        }
    }

    /// Replaces a failed socket. Reads that share the port send from the old socket until they end; the
    /// packets for them arrive here.
    fn check(&mut self) {
        self.health.check(|| {
            match socket::reopen(&self.socket, self.address) {
                Ok(socket) => self.socket = Arc::new(socket),
                Err(error) => debug!(%error, "the TFTP socket cannot be opened again"),
            }
            true
        });
    }

    /// Takes further datagrams that have arrived, within bounds.
    fn take_waiting(&mut self, buffer: &mut [u8]) {
        for _ in 1..TURN_DATAGRAMS_MAX {
            // Errors are found again by the next wait for the socket.
            let Ok(arrival) = socket::recv_waiting(&self.socket, buffer) else { return };
            self.handle(arrival, buffer.get(..arrival.bytes).unwrap_or_default());
        }
    }

    fn free(&mut self, ended: Result<(Id, ()), JoinError>) {
        let task = match ended {
            Ok((task, ())) => task,
            Err(error) => {
                warn_limited!(%error, "a TFTP read failed with an internal error");
                error.id()
            }
        };
        self.sessions.remove(task);
    }

    fn handle(&mut self, arrival: DatagramEnds, datagram: &[u8]) {
        match packet::parse(datagram) {
            Ok(TftpPacket::Read(request)) => self.read(arrival, datagram, &request),
            Ok(TftpPacket::Write(request)) => {
                self.counters.requests.fetch_add(1, Relaxed);
                debug!(peer = %arrival.peer, path = &*request.path, "write request refused");
                self.refuse((arrival, &request.path), ErrorCode::ACCESS, "this server takes no files");
            }
            // A late ACK of a read that has ended is normal if the port is shared, so it gets no ERROR.
            Ok(_) if self.sessions.deliver(arrival.peer, datagram) => {}
            Ok(_) => {
                self.counters.strays.fetch_add(1, Relaxed);
            }
            Err(error) => {
                self.counters.malformed.fetch_add(1, Relaxed);
                debug!(peer = %arrival.peer, %error, "malformed packet");
                if let Some((code, message)) = error.reply() {
                    self.refuse((arrival, ""), code, message);
                }
            }
        }
    }

    fn read(&mut self, arrival: DatagramEnds, datagram: &[u8], request: &TftpRequest<'_>) {
        self.counters.requests.fetch_add(1, Relaxed);
        // The slots of reads that have just ended are free for this request.
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.free(ended);
        }
        let totals = ReadTotals {
            windows: self.counters.windows.load(Relaxed),
            timeouts: self.counters.retransmitted.load(Relaxed),
        };
        match self.sessions.admit((arrival.peer, datagram), totals) {
            ReadAdmission::Repeated => {
                debug!(peer = %arrival.peer, path = &*request.path, "request repeated")
            }
            ReadAdmission::NotNow(why) => {
                self.counters.put_off.fetch_add(1, Relaxed);
                debug!(peer = %arrival.peer, path = &*request.path, why, "put off");
            }
            ReadAdmission::PeerFull => {
                debug!(peer = %arrival.peer, path = &*request.path, "the peer has all its slots");
                let message = "too many transfers at a time, try again";
                self.refuse((arrival, &request.path), ErrorCode::OTHER, message);
            }
            ReadAdmission::Start => {
                if let Err(error) = self.start(arrival, datagram, request) {
                    warn_limited!(peer = %arrival.peer, %error, "no socket for a TFTP read");
                    self.refuse((arrival, &request.path), ErrorCode::OTHER, "no free port, try again");
                }
            }
        }
    }

    fn start(&mut self, arrival: DatagramEnds, datagram: &[u8], request: &TftpRequest<'_>) -> io::Result<()> {
        let (link, inbox) = match self.settings.ports {
            PortMode::PerTransfer => (PeerLink::own(socket::transfer(arrival.local)?), None),
            PortMode::Single => {
                let (sender, inbox) = mpsc::channel(INBOX_PACKETS_MAX);
                (PeerLink::shared(self.socket.clone(), inbox), Some(sender))
            }
        };
        let thread = self.transfer_threads.next().ok_or(io::ErrorKind::NotFound)?;
        let stop = self.shutdown.child_token();
        let session = ReadSession {
            arrival,
            asked: OwnedRequest::from(request),
            link,
            thread,
            limits: self.settings.limits.within_mtu(socket::interface_mtu(arrival.interface)),
            opener: self.opener.clone(),
            opening: self.opening.clone(),
            counters: self.counters.clone(),
            stop: stop.clone(),
            shutdown: self.shutdown.clone(),
        };
        let span = debug_span!("tftp_read", peer = %arrival.peer, path = &*request.path);
        let task = self.tasks.spawn(session.run().instrument(span)).id();
        let request = Bytes::copy_from_slice(datagram);
        self.sessions
            .insert(arrival.peer, SessionEntry { task, request, since: Instant::now(), stop, inbox });
        Ok(())
    }

    /// Answers from the listening port, at once or not at all.
    fn refuse(&self, (arrival, path): (DatagramEnds, &str), code: ErrorCode, message: &str) {
        let (path, peer) = (path.to_owned(), SocketAddr::V4(arrival.peer));
        if !self.opener.is_served(&ReadRequest { path, peer, local: arrival.local.into() }) {
            self.counters.unanswered.fetch_add(1, Relaxed);
            return;
        }
        self.counters.refused.fetch_add(1, Relaxed);
        let route = DatagramRoute { peer: arrival.peer, source: Some(arrival.local), interface: 0 };
        if let Err(error) = socket::send_or_drop(&self.socket, route, &TftpPacket::error_bytes(code, message))
        {
            debug!(peer = %arrival.peer, %error, "a refusal could not be sent");
        }
    }
}
