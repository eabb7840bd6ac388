//! The API's listener: TLS, HTTP/1.1 and HTTP/2, and the time limits for clients.
//!
//! The boot side must not suffer from it: connections are limited in all and by address, handshakes have a
//! thread of their own (`crate::connections`), and unused connections are closed. The router makes the
//! answers. Start at [`ApiListener::run`]; `activity` tracks what a connection does, `unread` discards bodies
//! that no handler read, `stream` is the socket.

mod activity;
mod stream;
#[cfg(test)]
mod tests;
mod unread;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::EXPECT;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::api::PeerAddress;
use crate::connections::{
    AcceptedConnection, ConnectionLimiter, ConnectionLimits, ConnectionPermit, HandshakeError,
    HandshakeLimits, Handshakes, LimitReason,
};
use crate::rate_limit::warn_limited;
use activity::{ClientTimeouts, ConnectionActivity, HttpVersion};
use stream::ClientStream;
use unread::{BodyTiming, LentBody, UnreadLimits};

/// How long nothing is accepted after the system had no room for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Most simultaneous streams of one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// Most streams that a client reset and that still exist (CVE-2023-44487), and most that the server reset for
/// faults.
const RESET_STREAMS_MAX: usize = 20;
const FAULTY_STREAMS_MAX: usize = 64;
/// Longest head of a request, in bytes, and most header lines of HTTP/1.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
const HTTP1_BUFFER_BYTES_MAX: usize = 64 * 1024;
const HTTP1_HEADERS_MAX: usize = 100;

/// The limits of the listener. Tests use shorter times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    pub connections: ConnectionLimits,
    pub handshakes: HandshakeLimits,
    pub timeouts: ClientTimeouts,
    pub unread: UnreadLimits,
    /// How often an HTTP/2 client is pinged, and how long it may take to answer.
    pub ping: Duration,
    /// How long running requests may take at shutdown.
    pub drain: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        ListenerLimits {
            connections: ConnectionLimits { connections_max: 2048, of_one_address_max: 256 },
            handshakes: HandshakeLimits {
                time_max: Duration::from_secs(10),
                handshakes_max: 512,
                of_one_address_max: 64,
            },
            timeouts: ClientTimeouts::default(),
            unread: UnreadLimits::default(),
            ping: Duration::from_secs(20),
            drain: Duration::from_secs(5),
        }
    }
}

/// A bound port of the API, and its router.
pub struct ApiListener {
    pub listener: TcpListener,
    pub tls: TlsAcceptor,
    pub router: Router,
    pub limits: ListenerLimits,
    pub limiter: Arc<ConnectionLimiter>,
}

/// The state that all connections share.
struct ListenerState {
    handshakes: Handshakes,
    http: auto::Builder<TokioExecutor>,
    router: Router,
    limits: ListenerLimits,
    limiter: Arc<ConnectionLimiter>,
    stop: CancellationToken,
}

impl ApiListener {
    /// Serves the listener until the server stops.
    ///
    /// # Errors
    /// The system has no thread for the handshakes.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let shared = Arc::new(ListenerState {
            handshakes: Handshakes::start("api-handshakes", self.tls, self.limits.handshakes)?,
            http: http(&self.limits),
            router: self.router,
            limits: self.limits,
            limiter: self.limiter,
            stop: stop.clone(),
        });
        let tasks = TaskTracker::new();
        let accepting = async {
            loop {
                accept(&shared, &self.listener, &tasks).await;
            }
        };
        tokio::select! {
            () = accepting => {}
            () = stop.cancelled() => {}
        }
        tasks.close();
        // Each connection ends itself within this time.
        tasks.wait().await;
        Ok(())
    }
}

fn http(limits: &ListenerLimits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    // The watchdog of the connection has the timeouts; it knows more than a timer of each protocol.
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(HTTP1_HEADERS_MAX)
        .max_buf_size(HTTP1_BUFFER_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(FAULTY_STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX);
    http
}

async fn accept(shared: &Arc<ListenerState>, listener: &TcpListener, tasks: &TaskTracker) {
    match shared.limiter.accept(listener).await {
        // Before TLS there is no way to tell the client why the connection is closed.
        Ok(AcceptedConnection { permit: None, .. }) => {}
        Ok(AcceptedConnection { stream, permit: Some(permit), .. }) => {
            tasks.spawn(Arc::clone(shared).begin(stream, permit));
        }
        Err(error) => {
            warn_limited!(%error, "no connection can be accepted on the API's port");
            sleep(PAUSE).await;
        }
    }
}

impl ListenerState {
    async fn begin(self: Arc<Self>, stream: TcpStream, permit: ConnectionPermit) {
        let shaken = tokio::select! {
            shaken = self.handshakes.shake(stream, permit.peer()) => shaken,
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(stream) => self.serve(stream, &permit).await,
            Err(HandshakeError::TooSlow) => permit.counters().count(LimitReason::SlowHandshake),
            Err(HandshakeError::Hello(error) | HandshakeError::Broken(error)) => {
                permit.counters().count(LimitReason::Malformed);
                tracing::debug!(peer = %permit.peer(), %error, "no TLS with a client of the API");
            }
        }
    }

    async fn serve(&self, stream: TlsStream<TcpStream>, permit: &ConnectionPermit) {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let (version, http) = match is_http2 {
            true => (HttpVersion::Http2, self.http.clone().http2_only()),
            false => (HttpVersion::Http1, self.http.clone().http1_only()),
        };
        let activity = ConnectionActivity::begin(version);
        let stream = ClientStream::new(stream, Arc::clone(&activity));
        let requests = ConnectionRequests {
            router: self.router.clone(),
            activity: Arc::clone(&activity),
            unread: self.limits.unread,
            limiter: Arc::clone(&self.limiter),
            peer: PeerAddress(permit.peer()),
        };
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), requests));
        let why = tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %permit.peer(), error, "a connection of the API broke");
                }
                return;
            }
            why = activity.overdue(&self.limits.timeouts, &self.limiter) => Some(why),
            () = self.stop.cancelled() => None,
        };
        if let Some(why) = why {
            permit.counters().count(why);
            let reason = why.as_str();
            tracing::debug!(peer = %permit.peer(), reason, "a connection of the API is closed");
        }
        match why {
            Some(LimitReason::Stalled) => {}
            Some(_) => {
                connection.as_mut().graceful_shutdown();
                let farewell = self.limits.timeouts.farewell;
                // A request may have arrived at the last moment.
                while timeout(farewell, connection.as_mut()).await.is_err() && activity.is_busy() {
                    if self.stop.is_cancelled() {
                        return;
                    }
                }
            }
            None => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(self.limits.drain, connection).await;
            }
        }
    }
}

/// The requests of one connection.
struct ConnectionRequests {
    router: Router,
    activity: Arc<ConnectionActivity>,
    unread: UnreadLimits,
    limiter: Arc<ConnectionLimiter>,
    peer: PeerAddress,
}

type AnswerFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Incoming>> for ConnectionRequests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn call(&self, request: Request<Incoming>) -> AnswerFuture {
        let handling = self.activity.request();
        let (router, unread, limiter) = (self.router.clone(), self.unread, Arc::clone(&self.limiter));
        let peer = self.peer;
        Box::pin(async move {
            let expects = request.headers().contains_key(EXPECT);
            let sends = if expects { BodyTiming::WhenAsked } else { BodyTiming::AtOnce };
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(peer);
            let (lent, rest) = LentBody::new(body);
            let response = router.oneshot(Request::from_parts(parts, Body::new(lent))).await?;
            if response.status() == StatusCode::REQUEST_TIMEOUT {
                limiter.counters.count(LimitReason::SlowRequest);
            } else {
                rest.discard(&unread, sends).await;
            }
            Ok(response.map(|body| Body::new(handling.answer(body))))
        })
    }
}
