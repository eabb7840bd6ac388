//! How many connections there may be: in all, and from one address. What was turned away or cut off is
//! counted here, by the reason.
//!
//! Beyond the bound of all, new connections wait in the kernel's queue: firmware and installers do not
//! understand a 503. Beyond the bound of one address they are refused, so that no one client has them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one address: many machines may stand behind one.
    pub of_one_address_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { connections_max: 4096, of_one_address_max: 1024 }
    }
}

/// Why a client was not let in, or was sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// All connections were taken, and it had to wait.
    AllTaken,
    /// Its address had as many connections as one may have.
    OneAddress,
    /// It did not finish the head or the body of its request, or the handshake, in time.
    SlowRequest,
    /// It took nothing of the answer for too long.
    Stalled,
    /// What it sent is no request.
    Malformed,
}

impl Limit {
    pub const ALL: [Limit; 5] =
        [Limit::AllTaken, Limit::OneAddress, Limit::SlowRequest, Limit::Stalled, Limit::Malformed];

    pub fn as_str(self) -> &'static str {
        match self {
            Limit::AllTaken => "all_taken",
            Limit::OneAddress => "one_address",
            Limit::SlowRequest => "slow_request",
            Limit::Stalled => "stalled",
            Limit::Malformed => "malformed",
        }
    }
}

/// Totals since the start, for the metrics page.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub requests: AtomicU64,
    limits: [AtomicU64; Limit::ALL.len()],
}

impl Counters {
    pub fn limited(&self, why: Limit) -> u64 {
        self.limits.get(why as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub fn count(&self, why: Limit) {
        if let Some(count) = self.limits.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Who is in.
#[derive(Debug)]
pub struct Door {
    bounds: Bounds,
    places: Arc<Semaphore>,
    of_address: Mutex<HashMap<IpAddr, usize>>,
    pub counters: Arc<Counters>,
}

/// A connection that was let in. Its place is free again when it is dropped.
#[derive(Debug)]
pub struct Guest {
    door: Arc<Door>,
    peer: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl Door {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        let places = bounds.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Door {
            bounds,
            places: Arc::new(Semaphore::new(places)),
            of_address: Mutex::default(),
            counters: Arc::default(),
        })
    }

    /// A place for one more connection, when there is one.
    pub async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        self.counters.count(Limit::AllTaken);
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Lets a connection in, unless its address has too many.
    pub fn admit(self: &Arc<Self>, peer: IpAddr, place: OwnedSemaphorePermit) -> Option<Guest> {
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
        let mut of_address = self.of_address.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = of_address.entry(peer).or_default();
        if *connections >= self.bounds.of_one_address_max.max(1) {
            drop(of_address);
            self.counters.count(Limit::OneAddress);
            return None;
        }
        *connections += 1;
        Some(Guest { door: Arc::clone(self), peer, _place: place })
    }

    /// Whether more than three quarters of all places are taken: who only waits is to wait less.
    pub fn is_crowded(&self) -> bool {
        self.places.available_permits() < self.bounds.connections_max / 4
    }
}

impl Guest {
    pub fn counters(&self) -> &Counters {
        &self.door.counters
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut of_address = self.door.of_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = of_address.get_mut(&self.peer) {
            *connections -= 1;
            if *connections == 0 {
                of_address.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[tokio::test]
    async fn one_address_cannot_have_all_connections() {
        let door = Door::new(Bounds { connections_max: 4, of_one_address_max: 2 });
        let mut inside = Vec::new();
        for _ in 0..2 {
            inside.push(door.admit(peer(1), door.place().await.unwrap()).unwrap());
        }
        assert!(door.admit(peer(1), door.place().await.unwrap()).is_none());
        assert_eq!(door.counters.limited(Limit::OneAddress), 1);
        let other = door.admit(peer(2), door.place().await.unwrap());
        assert!(other.is_some());
        inside.pop();
        assert!(door.admit(peer(1), door.place().await.unwrap()).is_some());
        drop((inside, other));
        assert!(door.of_address.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_finds_all_places_taken_waits_for_one() {
        let door = Door::new(Bounds { connections_max: 1, of_one_address_max: 9 });
        let first = door.admit(peer(1), door.place().await.unwrap()).unwrap();
        let waiting = tokio::spawn({
            let door = Arc::clone(&door);
            async move { door.place().await.is_some() }
        });
        while door.counters.limited(Limit::AllTaken) == 0 {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert!(waiting.await.unwrap());
    }
}
