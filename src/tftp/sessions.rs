//! The table of running reads: which peer may start one, and where the packets of a shared port go.

use crate::tftp::admission::{AddressBuckets, ReadThrottle, ReadTotals};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::Id;
use tokio_util::sync::CancellationToken;

/// Age up to which the same request from the same port is the client's retransmission. The running transfer
/// repeats its first packet by itself; a second copy at once breaks Raspberry Pi firmware.
const REPEAT_MAX: Duration = Duration::from_secs(5);

/// Bytes of a packet at the shared port that are kept: all of an ACK, or an ERROR with the first words of its
/// message.
const NOTE_BYTES: usize = 60;

/// What to do with a read request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadAdmission {
    Start,
    /// The request of a running read, repeated: no answer.
    Repeated,
    /// The peer has as many reads as it may have.
    PeerFull,
    /// Not now: the server has as many reads as it may have, or the running ones lose packets, or the peer
    /// requests too often. There is no answer, because firmware requests again after silence, but boots
    /// something else after an ERROR.
    NotNow(&'static str),
}

/// A short packet of a peer at the shared port.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShortPacket {
    bytes: [u8; NOTE_BYTES],
    length: usize,
}

impl ShortPacket {
    fn of(datagram: &[u8]) -> Self {
        let mut note = Self { bytes: [0; NOTE_BYTES], length: datagram.len().min(NOTE_BYTES) };
        note.bytes.iter_mut().zip(datagram).for_each(|(kept, byte)| *kept = *byte);
        note
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

pub(super) struct SessionEntry {
    pub task: Id,
    /// The datagram of the request.
    pub request: Bytes,
    pub since: Instant,
    /// Ends the read; also cancelled when the read has ended by itself.
    pub stop: CancellationToken,
    /// The receiver of packets, if the port is shared.
    pub inbox: Option<mpsc::Sender<ShortPacket>>,
}

pub(super) struct SessionTable {
    by_peer: HashMap<SocketAddrV4, SessionEntry>,
    by_task: HashMap<Id, SocketAddrV4>,
    by_host: HashMap<Ipv4Addr, usize>,
    sessions_max: usize,
    per_peer: PerPeer,
    buckets: AddressBuckets,
    throttle: ReadThrottle,
}

/// Most reads of one IP address at the same time.
#[derive(Debug, Clone, Copy)]
pub(super) struct PerPeer(pub usize);

impl SessionTable {
    pub(super) fn new(sessions_max: usize, per_peer: PerPeer) -> Self {
        let (by_peer, by_task, by_host) = Default::default();
        let buckets = AddressBuckets::new(per_peer.0);
        let throttle = ReadThrottle::new(sessions_max, Instant::now());
        Self { by_peer, by_task, by_host, sessions_max, per_peer, buckets, throttle }
    }

    pub(super) fn len(&self) -> usize {
        self.by_peer.len()
    }

    /// Decides on a request by the state of the running reads. If the peer's port has a read already, that
    /// read is ended: the client has given it up.
    pub(super) fn admit(
        &mut self,
        (peer, request): (SocketAddrV4, &[u8]),
        totals: ReadTotals,
    ) -> ReadAdmission {
        let now = Instant::now();
        if let Some(entry) = self.by_peer.get(&peer) {
            let age = now.saturating_duration_since(entry.since);
            // A read that has ended cancels its token before its task is removed here.
            let runs = !entry.stop.is_cancelled();
            if runs && entry.request == request && age < REPEAT_MAX {
                return ReadAdmission::Repeated;
            }
            entry.stop.cancel();
            self.remove(entry.task);
        }
        if !self.buckets.take(*peer.ip(), now) {
            return ReadAdmission::NotNow("the peer asks too often");
        }
        if self.is_full_for(peer) || self.len() >= self.sessions_max {
            self.sweep();
        }
        if self.is_full_for(peer) {
            return ReadAdmission::PeerFull;
        }
        if self.len() >= self.sessions_max {
            return ReadAdmission::NotNow("all slots are taken");
        }
        if !self.throttle.admits(self.len(), totals, now) {
            return ReadAdmission::NotNow("the running reads lose packets");
        }
        ReadAdmission::Start
    }

    fn is_full_for(&self, peer: SocketAddrV4) -> bool {
        self.by_host.get(peer.ip()).copied().unwrap_or(0) >= self.per_peer.0
    }

    /// Frees the slots of reads that have ended although their tasks still exist.
    fn sweep(&mut self) {
        let ended = self.by_peer.values().filter(|entry| entry.stop.is_cancelled()).map(|entry| entry.task);
        for task in ended.collect::<Vec<_>>() {
            self.remove(task);
        }
    }

    pub(super) fn insert(&mut self, peer: SocketAddrV4, entry: SessionEntry) {
        *self.by_host.entry(*peer.ip()).or_default() += 1;
        self.by_task.insert(entry.task, peer);
        self.by_peer.insert(peer, entry);
    }

    /// Frees the slot of a task that has ended; a replaced read has no slot any more.
    pub(super) fn remove(&mut self, task: Id) {
        let Some(peer) = self.by_task.remove(&task) else { return };
        self.by_peer.remove(&peer);
        if let Some(count) = self.by_host.get_mut(peer.ip()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_host.remove(peer.ip());
            }
        }
    }

    /// Passes a datagram to the read of `peer`; returns false if there is none. A full inbox loses the
    /// datagram, like a link.
    pub(super) fn deliver(&self, peer: SocketAddrV4, datagram: &[u8]) -> bool {
        let Some(inbox) = self.by_peer.get(&peer).and_then(|entry| entry.inbox.as_ref()) else {
            return false;
        };
        let _lost_when_full = inbox.try_send(ShortPacket::of(datagram));
        true
    }
}
