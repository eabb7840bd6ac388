//! TLS handshakes on a thread of their own. Each costs about a millisecond of computation, which any stranger
//! can cause with a hundred bytes. On the workers of the shared runtime, a flood of handshakes would delay
//! everything else. Here it only delays other handshakes of the same listener, which take turns.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};
use tokio_util::sync::DropGuard;
use tokio_util::task::AbortOnDropHandle;

use crate::threads;

/// The time and the number of handshakes. Further ones wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// The time of one handshake, including the wait for earlier ones.
    pub time_max: Duration,
    pub handshakes_max: usize,
    pub of_one_address_max: usize,
}

/// The handshake thread of one listener, with its certificate.
#[derive(Clone)]
pub struct Handshakes {
    acceptor: TlsAcceptor,
    thread: Handle,
    time_max: Duration,
    places: Arc<Semaphore>,
    of_address: Arc<AddressPlaces>,
    _end: Arc<DropGuard>,
}

/// Why a handshake failed.
#[derive(Debug)]
pub enum HandshakeError {
    TooSlow,
    /// There was no ClientHello, or none that could be parsed.
    Hello(io::Error),
    /// It failed after the ClientHello.
    Broken(io::Error),
}

impl Handshakes {
    /// Starts the thread, idle. `name` is the thread's name, at most 15 bytes.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub fn start(name: &str, acceptor: TlsAcceptor, limits: HandshakeLimits) -> io::Result<Self> {
        let (thread, end) = threads::start(name, 1)?;
        Ok(Handshakes {
            acceptor,
            thread,
            time_max: limits.time_max,
            places: Arc::new(Semaphore::new(limits.handshakes_max.clamp(1, Semaphore::MAX_PERMITS))),
            of_address: AddressPlaces::new(limits.of_one_address_max),
            _end: Arc::new(end),
        })
    }

    /// Runs a handshake with a client.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn shake(
        &self,
        stream: TcpStream,
        peer: IpAddr,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let shaken = async {
            // A client that waits for other clients of its address does not hold a global slot.
            let _of_address = self.of_address.take(peer).await?;
            let _place = self.places.acquire().await.map_err(closed)?;
            let handshake = self.thread.spawn(shake(self.acceptor.clone(), stream));
            AbortOnDropHandle::new(handshake).await.map_err(closed)?
        };
        tokio::time::timeout(self.time_max, shaken).await.unwrap_or(Err(HandshakeError::TooSlow))
    }
}

fn closed(error: impl std::error::Error + Send + Sync + 'static) -> HandshakeError {
    HandshakeError::Broken(io::Error::other(error))
}

async fn shake(acceptor: TlsAcceptor, stream: TcpStream) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(HandshakeError::Hello)?;
    hello.into_stream(acceptor.config().clone()).await.map_err(HandshakeError::Broken)
}

/// The handshakes of each address.
#[derive(Debug)]
struct AddressPlaces {
    max: usize,
    places: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A slot of an address, or the wait for one. The address is forgotten when its last slot is dropped.
struct AddressPlace {
    of_address: Arc<AddressPlaces>,
    peer: IpAddr,
    semaphore: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl AddressPlaces {
    fn new(max: usize) -> Arc<Self> {
        Arc::new(AddressPlaces { max: max.clamp(1, Semaphore::MAX_PERMITS), places: Mutex::default() })
    }

    async fn take(self: &Arc<Self>, peer: IpAddr) -> Result<AddressPlace, HandshakeError> {
        let semaphore = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(places.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(self.max))))
        };
        let of_address = Arc::clone(self);
        let mut place =
            AddressPlace { of_address, peer, semaphore: Some(Arc::clone(&semaphore)), permit: None };
        place.permit = Some(semaphore.acquire_owned().await.map_err(closed)?);
        Ok(place)
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut places = self.of_address.places.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.semaphore.take());
        if places.get(&self.peer).is_some_and(|places| Arc::strong_count(places) == 1) {
            places.remove(&self.peer);
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
    async fn one_address_waits_for_its_own_handshakes_and_others_do_not() {
        let places = AddressPlaces::new(1);
        let first = places.take(peer(1)).await.unwrap();
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take(peer(1)).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let other = places.take(peer(2)).await.unwrap();
        drop(first);
        assert!(waiting.await.unwrap());
        drop(other);
        assert!(places.places.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_address_whose_last_waiter_gives_up_is_forgotten() {
        let places = AddressPlaces::new(1);
        let first = places.take(peer(1)).await.unwrap();
        assert!(tokio::time::timeout(Duration::ZERO, places.take(peer(1))).await.is_err());
        drop(first);
        assert!(places.places.lock().unwrap().is_empty());
    }
}
