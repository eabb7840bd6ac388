//! The peers that TFTP answers, and their block sizes; subnets decide both. TFTP identifies a client only by
//! its address, and a request can have a forged address, so unknown peers get no answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};

use crate::artifacts::opened::FileSubject;
use crate::model::event::BootStrangerIgnored;
use crate::netboot::Netboot;
use crate::netboot::decide::capability;
use crate::netboot::files::Fetch;
use crate::netboot::identify::is_leased;

/// Shortest time between two log lines about one unknown peer.
const TOLD_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// Most unknown peers that are remembered; further ones are counted and not logged.
const TOLD_MAX: usize = 256;

/// The peers that may read over TFTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TftpPeers {
    /// Peers in enabled subnets, peers with a lease, and this host itself.
    #[default]
    Managed,
    Any,
}

/// How a peer is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TftpTerms {
    /// Largest block, if the peer's subnet sets one.
    pub block_bytes_max: Option<u16>,
}

/// The time of the last log line about each unknown peer.
#[derive(Debug, Default)]
pub struct UnknownPeers {
    told: BTreeMap<IpAddr, Timestamp>,
}

impl UnknownPeers {
    /// Whether this peer is due for a log line.
    fn tell(&mut self, peer: IpAddr, now: Timestamp) -> bool {
        self.told.retain(|_, told| now.duration_since(*told) < TOLD_AGAIN_AFTER);
        if self.told.contains_key(&peer) || self.told.len() >= TOLD_MAX {
            return false;
        }
        self.told.insert(peer, now);
        true
    }
}

impl Netboot {
    /// How the peer of a request to `fetch.local` is served; none for an unknown peer.
    pub fn tftp_terms(&self, fetch: &Fetch, peers: TftpPeers) -> Option<TftpTerms> {
        let peer = fetch.peer;
        self.kernel.read(|world| {
            let subnet = world.subnets.iter().find(|row| {
                row.spec.enabled && matches!(peer, IpAddr::V4(peer) if row.spec.cidr.contains(peer))
            });
            let known = subnet.is_some()
                || peers == TftpPeers::Any
                || peer.is_loopback()
                || peer == fetch.local
                || is_leased(world, peer, self.kernel.now());
            let block_bytes_max = subnet.and_then(|row| row.spec.tftp_block_bytes_max);
            known.then_some(TftpTerms { block_bytes_max })
        })
    }

    /// Counts an unknown peer that got no answer, and logs it at intervals.
    pub fn tftp_stranger(&self, fetch: &Fetch) {
        self.memory.tftp_strangers.fetch_add(1, Ordering::Relaxed);
        let now = self.kernel.now();
        if !self.memory.strangers.lock().unwrap_or_else(PoisonError::into_inner).tell(fetch.peer, now) {
            return;
        }
        let (peer, path) = (fetch.peer, capability::hide(&fetch.path));
        tracing::warn!(%peer, path, "a TFTP request from outside every enabled subnet was not answered");
        let reason = format!(
            "{peer} is in no enabled subnet and has no lease; add its subnet, or set `tftp.peers` to `any`"
        );
        let ignored = BootStrangerIgnored { peer, local: fetch.local, path, reason };
        self.note_boot_event(&FileSubject::default(), ignored);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_stranger_is_told_of_once_in_ten_minutes_and_many_of_them_are_bounded() {
        let (mut strangers, now) = (UnknownPeers::default(), Timestamp::UNIX_EPOCH);
        let peer = |at: u32| IpAddr::V4(Ipv4Addr::from_bits(at));
        assert!(strangers.tell(peer(1), now));
        assert!(!strangers.tell(peer(1), now + SignedDuration::from_mins(9)));
        assert!(strangers.tell(peer(1), now + SignedDuration::from_mins(10)));
        let told = (0..10_000).filter(|at| strangers.tell(peer(100 + at), now)).count();
        assert_eq!(told, TOLD_MAX - 1);
    }
}
