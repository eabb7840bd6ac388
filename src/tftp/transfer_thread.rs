//! The thread that sends the blocks of reads with ports of their own: it waits for packets of all of them at
//! once, and answers each as its transfer says. No task and no waker is involved: a block costs a wait, a
//! receive and a send.
//!
//! Everything that has to wait for something else happens elsewhere: a read is passed in with
//! [`TransferThread::start`], and comes back with a [`ReturnReason`] when it has ended, when it was called
//! back, or when blocks have to be read from a disk.

use crate::datagrams::{self, DatagramBatch, DatagramRoute, SegmentationMode};
use crate::proto::tftp::{BlockSpan, ErrorCode, TftpPacket, Transfer, TransferEnd, TransmitOrder, packet};
use crate::tftp::service::TftpCounters;
use crate::tftp::socket::DATAGRAM_BYTES_MAX;
use crate::tftp::source::BlockSource;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing::{debug, error};

/// Most ERROR 5 replies to other senders during one transfer.
const STRANGER_REPLIES_MAX: u32 = 16;
/// Packets that are handled before the clock and the orders are checked.
const EVENTS_MAX: usize = 64;
/// The epoll identifier of the waker.
const BELL: u64 = u64::MAX;

/// A running read.
pub(super) struct ActiveRead {
    pub transfer: Transfer,
    pub source: BlockSource,
    pub began: Instant,
    /// Retransmissions that were added to the counters.
    pub counted: u32,
}

/// A read and its link to the peer.
pub(super) struct ActiveTransfer {
    pub reading: ActiveRead,
    pub socket: Arc<UdpSocket>,
    pub peer: SocketAddrV4,
    pub counters: Arc<TftpCounters>,
}

/// Why a read comes back.
pub(super) enum ReturnReason {
    Ended(TransferEnd),
    /// These blocks are next, and have to be read from a disk first.
    Disk(BlockSpan),
    /// The session called it back.
    Called,
    Failed(io::Error),
}

/// An order for the thread.
enum ThreadOrder {
    Start(u64, Box<ActiveTransfer>, oneshot::Sender<(Box<ActiveTransfer>, ReturnReason)>),
    CallBack(u64),
}

/// A handle of the thread, which ends when the last handle is dropped.
#[derive(Clone)]
pub(super) struct TransferThread(Arc<ThreadHandle>);

struct ThreadHandle {
    orders: mpsc::Sender<ThreadOrder>,
    waker: ThreadWaker,
    next: AtomicU64,
}

/// Wakes the thread, also when it is dropped. It is dropped after the sender of the orders, so that the
/// thread then finds that no further order can come.
struct ThreadWaker(Arc<EventFd>);

impl ThreadWaker {
    fn ring(&self) {
        // A wake-up that is pending already need not be repeated.
        let _ = self.0.write(1);
    }
}

impl Drop for ThreadWaker {
    fn drop(&mut self) {
        self.ring();
    }
}

impl TransferThread {
    /// Starts the thread, idle.
    pub(super) fn launch() -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let waker = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(waker.as_ref(), EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        let mut work = ThreadState {
            epoll,
            inbox,
            waker: waker.clone(),
            active_transfers: HashMap::new(),
            due: BinaryHeap::new(),
        };
        thread::Builder::new().name("tftp-reads".to_owned()).spawn(move || {
            if let Err(error) = work.run() {
                error!(%error, "a TFTP thread cannot wait for packets; its reads fail");
            }
        })?;
        Ok(Self(Arc::new(ThreadHandle { orders, waker: ThreadWaker(waker), next: AtomicU64::new(0) })))
    }

    /// Runs a read. It comes back through the receiver; a receive error means that the thread has ended.
    pub(super) fn start(
        &self,
        active: Box<ActiveTransfer>,
    ) -> (u64, oneshot::Receiver<(Box<ActiveTransfer>, ReturnReason)>) {
        let (sender, receiver) = oneshot::channel();
        let id = self.0.next.fetch_add(1, Relaxed);
        self.order(ThreadOrder::Start(id, active, sender));
        (id, receiver)
    }

    /// Calls a read back. It may have ended before.
    pub(super) fn call_back(&self, id: u64) {
        self.order(ThreadOrder::CallBack(id));
    }

    fn order(&self, order: ThreadOrder) {
        // If the thread has ended, the sender in the order is dropped, which the receiver notices.
        if self.0.orders.send(order).is_ok() {
            self.0.waker.ring();
        }
    }
}

/// A read on the thread.
struct RunningTransfer {
    active: Box<ActiveTransfer>,
    cutting: SegmentationMode,
    stranger_replies: u32,
    /// The earliest entry of this read in `due`.
    due: Instant,
    back: oneshot::Sender<(Box<ActiveTransfer>, ReturnReason)>,
}

struct ThreadState {
    epoll: Epoll,
    inbox: mpsc::Receiver<ThreadOrder>,
    waker: Arc<EventFd>,
    active_transfers: HashMap<u64, RunningTransfer>,
    /// When to check which read. An entry that comes too early only checks what is due; moving it with every
    /// packet would cost more.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl ThreadState {
    fn run(&mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            let heard = match self.epoll.wait(&mut events, self.timeout()) {
                Err(nix::errno::Errno::EINTR) => 0,
                heard => heard?,
            };
            for event in events.iter().take(heard) {
                match event.data() {
                    BELL if !self.take_orders() => return Ok(()),
                    BELL => {}
                    id => self.hear(id, &mut buffer),
                }
            }
            self.look_at_clock();
        }
    }

    /// In whole milliseconds, rounded up; the machine's intervals are longer.
    fn timeout(&self) -> EpollTimeout {
        let Some(Reverse((due, _))) = self.due.peek() else { return EpollTimeout::NONE };
        let wait = due.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
        EpollTimeout::try_from(i32::try_from(wait).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::ZERO)
    }

    /// Returns false when no further order can come.
    fn take_orders(&mut self) -> bool {
        let _ = self.waker.read();
        loop {
            match self.inbox.try_recv() {
                Ok(ThreadOrder::Start(id, active, back)) => self.begin(id, (active, back)),
                Ok(ThreadOrder::CallBack(id)) => self.give_back(id, ReturnReason::Called),
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn begin(
        &mut self,
        id: u64,
        (active, back): (Box<ActiveTransfer>, oneshot::Sender<(Box<ActiveTransfer>, ReturnReason)>),
    ) {
        let added = self.epoll.add(active.socket.as_ref(), EpollEvent::new(EpollFlags::EPOLLIN, id));
        if let Err(error) = added {
            // The send fails if the receiver has given up; nothing else is left to do.
            let _ = back.send((active, ReturnReason::Failed(error.into())));
            return;
        }
        let due = Instant::now();
        self.due.push(Reverse((due, id)));
        let running =
            RunningTransfer { active, cutting: SegmentationMode::default(), stranger_replies: 0, due, back };
        self.active_transfers.insert(id, running);
        self.go_on(id);
    }

    fn give_back(&mut self, id: u64, why: ReturnReason) {
        let Some(running) = self.active_transfers.remove(&id) else { return };
        if let Err(error) = self.epoll.delete(running.active.socket.as_ref()) {
            debug!(%error, "a socket could not be left alone");
        }
        let _ = running.back.send((running.active, why));
    }

    fn hear(&mut self, id: u64, buffer: &mut [u8]) {
        let Some(running) = self.active_transfers.get_mut(&id) else { return };
        match running.active.socket.recv_from(buffer) {
            Ok((bytes, from)) => {
                running.take(buffer.get(..bytes).unwrap_or_default(), from);
                self.go_on(id);
            }
            Err(error) if is_nothing(&error) => {}
            Err(error) => self.give_back(id, ReturnReason::Failed(error)),
        }
    }

    /// Sends what the transfer has to send, and schedules its next check.
    fn go_on(&mut self, id: u64) {
        let Some(running) = self.active_transfers.get_mut(&id) else { return };
        if let Some(why) = running.transmit() {
            return self.give_back(id, why);
        }
        let reading = &running.active.reading;
        let wake = reading.began + reading.transfer.poll_timeout().unwrap_or(Duration::ZERO);
        if wake < running.due {
            running.due = wake;
            self.due.push(Reverse((wake, id)));
        }
    }

    fn look_at_clock(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((due, id))) = self.due.peek().copied().filter(|Reverse((due, _))| *due <= now)
        {
            self.due.pop();
            let Some(running) = self.active_transfers.get_mut(&id).filter(|running| running.due == due)
            else {
                continue;
            };
            running.handle_timeout(now);
            // Its next entry is made again.
            running.due = now + Duration::from_secs(3600);
            self.go_on(id);
        }
    }
}

/// Whether an error means that there was nothing to receive.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl RunningTransfer {
    /// Passes a packet of the peer to the transfer. Another sender gets an ERROR and changes nothing.
    fn take(&mut self, datagram: &[u8], from: SocketAddr) {
        let ActiveTransfer { reading, socket, peer, counters } = self.active.as_mut();
        if from != SocketAddr::V4(*peer) {
            if self.stranger_replies < STRANGER_REPLIES_MAX {
                self.stranger_replies += 1;
                let reply = TftpPacket::error_bytes(ErrorCode::UNKNOWN_TRANSFER, "unknown transfer");
                let _lost_when_full = socket.send_to(&reply, from);
            }
            return;
        }
        reading.take(datagram, counters);
    }

    fn handle_timeout(&mut self, now: Instant) {
        let ActiveTransfer { reading, counters, .. } = self.active.as_mut();
        reading.handle_timeout(now, counters);
    }

    /// Sends what is due now. Returns the reason to give the read back, if there is one.
    fn transmit(&mut self) -> Option<ReturnReason> {
        let ActiveTransfer { reading, socket, peer, counters } = self.active.as_mut();
        let route = DatagramRoute { peer: *peer, source: None, interface: 0 };
        loop {
            let now = reading.began.elapsed();
            let Some(transmit) = reading.transfer.poll_transmit(now) else { break };
            let mut options = Vec::new();
            let mut frames = match transmit {
                TransmitOrder::OptionsAck => {
                    reading.transfer.frame_options(&mut options);
                    DatagramBatch::one(&options)
                }
                TransmitOrder::Data(span) => match reading.source.frames_now(&span) {
                    Ok(Some(bytes)) => {
                        counters.windows.fetch_add(1, Relaxed);
                        DatagramBatch { bytes, each: span.frame_bytes() }
                    }
                    Ok(None) => return Some(ReturnReason::Disk(span)),
                    Err(error) => return Some(ReturnReason::Failed(error)),
                },
            };
            // A datagram that the socket does not accept counts as lost.
            if let Err(error) = datagrams::push(socket.as_ref(), route, &mut frames, &mut self.cutting) {
                debug!(%error, "a packet could not be sent");
            }
        }
        reading.transfer.ended().cloned().map(ReturnReason::Ended)
    }
}

impl ActiveRead {
    pub(super) fn take(&mut self, datagram: &[u8], counters: &TftpCounters) {
        match packet::parse(datagram) {
            Ok(packet) => {
                self.transfer.handle(self.began.elapsed(), &packet);
            }
            Err(error) => {
                counters.malformed.fetch_add(1, Relaxed);
                debug!(%error, "malformed packet in a transfer");
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, counters: &TftpCounters) {
        self.transfer.handle_timeout(now.saturating_duration_since(self.began));
        let retransmissions = self.transfer.retransmissions();
        let more = u64::from(retransmissions.saturating_sub(self.counted));
        self.counted = retransmissions;
        counters.retransmitted.fetch_add(more, Relaxed);
    }
}
