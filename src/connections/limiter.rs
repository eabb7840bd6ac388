//! Limits the connections of a listener: in all, and from one address. Connections that waited, were refused
//! or were closed are counted by reason.
//!
//! Beyond the total limit, new connections wait in the kernel's queue: firmware and installers do not
//! understand a 503. Beyond the limit of one address they are refused, so that one client cannot take them
//! all.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most simultaneous connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one address; many machines may share an address.
    pub of_one_address_max: usize,
}

/// Why a client had to wait, was refused, or was disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReason {
    /// All connections were taken, and the client had to wait.
    AllTaken,
    /// The client's address had as many connections as it may have.
    OneAddress,
    /// The client did not finish the head or the body of its request, or the handshake, in time.
    SlowRequest,
    /// The client accepted no byte of the answer for too long.
    Stalled,
    /// The client sent something that is not a request.
    Malformed,
    /// The client did not finish its TLS handshake in time.
    SlowHandshake,
    /// The client sent no request for too long.
    Idle,
}

impl LimitReason {
    const COUNT: usize = 7;
    /// The reasons that the boot side counts: a slow handshake counts as a slow request, and idling is no
    /// fault.
    pub const OF_BOOT: [LimitReason; 5] = [
        LimitReason::AllTaken,
        LimitReason::OneAddress,
        LimitReason::SlowRequest,
        LimitReason::Stalled,
        LimitReason::Malformed,
    ];
    /// The reasons that the API counts.
    pub const OF_API: [LimitReason; LimitReason::COUNT] = [
        LimitReason::AllTaken,
        LimitReason::OneAddress,
        LimitReason::SlowRequest,
        LimitReason::Stalled,
        LimitReason::Malformed,
        LimitReason::SlowHandshake,
        LimitReason::Idle,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            LimitReason::AllTaken => "all_taken",
            LimitReason::OneAddress => "one_address",
            LimitReason::SlowRequest => "slow_request",
            LimitReason::Stalled => "stalled",
            LimitReason::Malformed => "malformed",
            LimitReason::SlowHandshake => "slow_handshake",
            LimitReason::Idle => "idle",
        }
    }
}

/// Totals since the start, for metrics.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    pub connections: AtomicU64,
    pub requests: AtomicU64,
    limits: [AtomicU64; LimitReason::COUNT],
}

impl ConnectionCounters {
    pub fn limited(&self, why: LimitReason) -> u64 {
        self.limits.get(why as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub fn count(&self, why: LimitReason) {
        if let Some(count) = self.limits.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Admits connections while there is room, and counts them by address.
#[derive(Debug)]
pub struct ConnectionLimiter {
    limits: ConnectionLimits,
    places: Arc<Semaphore>,
    of_address: Mutex<HashMap<IpAddr, usize>>,
    pub counters: Arc<ConnectionCounters>,
}

/// The slot of one connection, which is freed when this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    peer: IpAddr,
    _place: OwnedSemaphorePermit,
}

/// A connection that the kernel accepted.
#[derive(Debug)]
pub struct AcceptedConnection {
    pub stream: TcpStream,
    pub peer: IpAddr,
    /// `None` if its address has too many connections already: close it.
    pub permit: Option<ConnectionPermit>,
}

impl ConnectionLimiter {
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        let places = limits.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(ConnectionLimiter {
            limits,
            places: Arc::new(Semaphore::new(places)),
            of_address: Mutex::default(),
            counters: Arc::default(),
        })
    }

    /// Waits for a slot, and accepts the next connection.
    ///
    /// # Errors
    /// The system has no room for a connection: descriptors, memory.
    pub async fn accept(self: &Arc<Self>, listener: &TcpListener) -> io::Result<AcceptedConnection> {
        let place = self.place().await?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let peer = peer.ip().to_canonical();
                    return Ok(AcceptedConnection { stream, peer, permit: self.admit(peer, place) });
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        self.counters.count(LimitReason::AllTaken);
        Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)
    }

    fn admit(self: &Arc<Self>, peer: IpAddr, place: OwnedSemaphorePermit) -> Option<ConnectionPermit> {
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
        let mut of_address = self.of_address.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = of_address.entry(peer).or_default();
        if *connections >= self.limits.of_one_address_max.max(1) {
            drop(of_address);
            self.counters.count(LimitReason::OneAddress);
            return None;
        }
        *connections += 1;
        Some(ConnectionPermit { limiter: Arc::clone(self), peer, _place: place })
    }

    /// Whether more than three quarters of all slots are taken. Idle connections are then closed sooner.
    pub fn is_crowded(&self) -> bool {
        self.places.available_permits() < self.limits.connections_max / 4
    }
}

impl ConnectionPermit {
    /// The address of the client.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    pub fn counters(&self) -> &ConnectionCounters {
        &self.limiter.counters
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut of_address = self.limiter.of_address.lock().unwrap_or_else(PoisonError::into_inner);
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
        let limiter = ConnectionLimiter::new(ConnectionLimits { connections_max: 4, of_one_address_max: 2 });
        let mut inside = Vec::new();
        for _ in 0..2 {
            inside.push(limiter.admit(peer(1), limiter.place().await.unwrap()).unwrap());
        }
        assert!(limiter.admit(peer(1), limiter.place().await.unwrap()).is_none());
        assert_eq!(limiter.counters.limited(LimitReason::OneAddress), 1);
        let other = limiter.admit(peer(2), limiter.place().await.unwrap());
        assert!(other.is_some());
        inside.pop();
        assert!(limiter.admit(peer(1), limiter.place().await.unwrap()).is_some());
        drop((inside, other));
        assert!(limiter.of_address.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_finds_all_places_taken_waits_for_one() {
        let limiter = ConnectionLimiter::new(ConnectionLimits { connections_max: 1, of_one_address_max: 9 });
        let first = limiter.admit(peer(1), limiter.place().await.unwrap()).unwrap();
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.place().await.is_ok() }
        });
        while limiter.counters.limited(LimitReason::AllTaken) == 0 {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert!(waiting.await.unwrap());
    }
}
