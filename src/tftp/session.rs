//! One read, from the admitted request to its outcome: opens the path, agrees on options, and drives the
//! transfer machine over its link. Start at `Session::run`.

use crate::proto::tftp::packet;
use crate::proto::tftp::{
    ErrorCode, Limits, Mode, Offer, OptionField, Packet, Request, Terms, Transfer, Transmit, negotiate,
};
use crate::tftp::opener::{Opened, Opener, ReadRequest, Refused, TransferOutcome, TransferResult};
use crate::tftp::service::Counters;
use crate::tftp::socket::{self, Arrival, DATAGRAM_BYTES_MAX, Route};
use crate::tftp::source::Source;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Longest an opener may take; a client would have given up.
const OPEN_MAX: Duration = Duration::from_secs(20);
/// ERROR 5 replies to strangers during one transfer; further ones get none.
const STRANGER_REPLIES_MAX: u32 = 16;

/// A request that outlives its datagram.
pub(super) struct Asked {
    path: String,
    mode: Mode,
    options: Vec<(String, String)>,
}

impl From<&Request<'_>> for Asked {
    fn from(request: &Request<'_>) -> Self {
        let options = request.options.iter().map(|field| (field.name.to_owned(), field.value.to_owned()));
        Self { path: request.path.to_owned(), mode: request.mode, options: options.collect() }
    }
}

/// One admitted read.
pub(super) struct Session {
    pub arrival: Arrival,
    pub asked: Asked,
    pub link: Link,
    pub limits: Limits,
    pub opener: Arc<dyn Opener>,
    pub counters: Arc<Counters>,
    /// Ends this read.
    pub stop: CancellationToken,
    /// Ends all reads.
    pub shutdown: CancellationToken,
}

/// A read under way.
struct Reading {
    transfer: Transfer,
    source: Source,
    began: Instant,
    frames: Vec<u8>,
}

impl Session {
    /// Runs the read to its end. The slot is free when this returns.
    pub(super) async fn run(mut self) {
        let opening = timeout(OPEN_MAX, self.opener.open(self.read_request()));
        let opened = tokio::select! {
            opened = opening => opened,
            () = self.stop.cancelled() => return,
        };
        match opened {
            Ok(Ok(opened)) => self.serve(opened).await,
            Ok(Err(Refused::Silence)) => {
                self.counters.refused.fetch_add(1, Relaxed);
                debug!(path = self.asked.path, "left without an answer");
            }
            Ok(Err(Refused::Error { code, message })) => self.refuse(code, &message).await,
            Err(_) => {
                warn!(path = self.asked.path, "opening took longer than {OPEN_MAX:?}");
                self.refuse(ErrorCode::OTHER, "the file took too long to prepare").await;
            }
        }
    }

    fn read_request(&self) -> ReadRequest {
        let peer = SocketAddr::V4(self.arrival.peer);
        ReadRequest { path: self.asked.path.clone(), peer, local: self.arrival.local }
    }

    async fn refuse(&mut self, code: ErrorCode, message: &str) {
        self.counters.refused.fetch_add(1, Relaxed);
        debug!(path = self.asked.path, code = code.0, message, "refused");
        self.send_error(code, message).await;
    }

    /// A lost ERROR is not repeated: the client asks again.
    async fn send_error(&self, code: ErrorCode, message: &str) {
        let bytes = Packet::error_bytes(code, message);
        self.link.send(self.arrival, &bytes, bytes.len()).await;
    }

    async fn serve(&mut self, opened: Opened) {
        let source = match Source::open(opened.body, self.asked.mode).await {
            Ok(source) => source,
            Err(error) => return self.refuse(ErrorCode::OTHER, &error.to_string()).await,
        };
        let terms = self.asked.terms(self.limits, source.bytes());
        let (block_bytes, window_blocks, body_bytes) =
            (terms.block_bytes, terms.window_blocks, source.bytes());
        let transfer = Transfer::new(Duration::ZERO, terms, body_bytes);
        let mut reading = Reading { transfer, source, began: Instant::now(), frames: Vec::new() };
        self.counters.started.fetch_add(1, Relaxed);
        let result = self.drive(&mut reading).await.unwrap_or_else(|error| {
            warn!(label = opened.label, %error, "the file could not be read to its end");
            TransferResult::Failed(error.to_string())
        });
        self.say_goodbye(&result).await;
        self.counters.finished.fetch_add(1, Relaxed);
        debug!(label = opened.label, ?result, acked = reading.transfer.acked_bytes(), "read ended");
        self.opener.finished(TransferOutcome {
            path: std::mem::take(&mut self.asked.path),
            label: opened.label,
            about: opened.about,
            peer: SocketAddr::V4(self.arrival.peer),
            local: self.arrival.local,
            body_bytes,
            acked_bytes: reading.transfer.acked_bytes(),
            block_bytes,
            window_blocks,
            retransmissions: reading.transfer.retransmissions(),
            duration: reading.began.elapsed(),
            result,
        });
    }

    /// Tells the client of an end that is ours, so that it need not wait for its timers.
    async fn say_goodbye(&self, result: &TransferResult) {
        match result {
            TransferResult::Failed(_) => self.send_error(ErrorCode::OTHER, "the file cannot be read").await,
            TransferResult::Stopped => self.send_error(ErrorCode::OTHER, "the server is stopping").await,
            TransferResult::Ended(_) | TransferResult::Replaced => {}
        }
    }

    /// Sends, waits, hears; until the transfer ends or is stopped. An error is one of the source.
    async fn drive(&mut self, reading: &mut Reading) -> io::Result<TransferResult> {
        let stop = self.stop.clone();
        let mut stopped = std::pin::pin!(stop.cancelled());
        let mut timer = std::pin::pin!(sleep_until(reading.began.into()));
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            self.transmit(reading).await?;
            if let Some(ended) = reading.transfer.ended() {
                return Ok(TransferResult::Ended(ended.clone()));
            }
            let wake = reading.transfer.poll_timeout().unwrap_or_default();
            timer.as_mut().reset((reading.began + wake).into());
            tokio::select! {
                heard = self.link.recv(self.arrival, &mut buffer) => {
                    self.handle(reading, heard?.as_ref());
                }
                () = timer.as_mut() => reading.transfer.handle_timeout(reading.began.elapsed()),
                () = stopped.as_mut() => {
                    let all = self.shutdown.is_cancelled();
                    return Ok(if all { TransferResult::Stopped } else { TransferResult::Replaced });
                }
            }
        }
    }

    fn handle(&self, reading: &mut Reading, datagram: &[u8]) {
        match packet::parse(datagram) {
            Ok(packet) => {
                reading.transfer.handle(reading.began.elapsed(), &packet);
            }
            Err(error) => {
                self.counters.malformed.fetch_add(1, Relaxed);
                debug!(%error, "malformed packet in a transfer");
            }
        }
    }

    async fn transmit(&self, reading: &mut Reading) -> io::Result<()> {
        let Reading { transfer, source, began, frames } = reading;
        while let Some(transmit) = transfer.poll_transmit(began.elapsed()) {
            let frame_bytes = match transmit {
                Transmit::OptionsAck => {
                    transfer.frame_options(frames);
                    frames.len()
                }
                Transmit::Data(span) => {
                    span.frame(source.read(&span).await?, frames);
                    span.frame_bytes()
                }
            };
            self.link.send(self.arrival, frames, frame_bytes).await;
        }
        Ok(())
    }
}

impl Asked {
    fn terms(&self, limits: Limits, body_bytes: u64) -> Terms {
        let fields: Vec<_> = self.options.iter().map(|(name, value)| OptionField { name, value }).collect();
        negotiate(&fields, &Offer { limits, mode: self.mode, body_bytes })
    }
}

/// The socket of a transfer.
pub(super) enum Link {
    /// A port of its own (RFC 1350 section 4).
    Own { socket: UdpSocket, stranger_replies: u32 },
    /// The listening port; the packets of this peer are handed over.
    Shared { socket: Arc<UdpSocket>, inbox: mpsc::Receiver<Bytes> },
}

/// A datagram of the peer.
enum Received<'a> {
    Own(&'a [u8]),
    Shared(Bytes),
}

impl Received<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Link {
    /// Sends datagrams of `frame_bytes` each. What the socket does not take counts as lost on the way: the
    /// machine sends it again, or gives up.
    async fn send(&self, arrival: Arrival, frames: &[u8], frame_bytes: usize) {
        let (socket, source) = match self {
            Self::Own { socket, .. } => (socket, None),
            Self::Shared { socket, .. } => (socket.as_ref(), Some(arrival.local)),
        };
        let route = Route { peer: arrival.peer, source };
        if let Err(error) = socket::send(socket, route, frames, frame_bytes).await {
            debug!(%error, "a packet could not be sent");
        }
    }

    /// The next datagram of the peer. Safe to cancel. Strangers are told so, and change nothing.
    async fn recv<'a>(&mut self, arrival: Arrival, buffer: &'a mut [u8]) -> io::Result<Received<'a>> {
        match self {
            Self::Shared { inbox, .. } => match inbox.recv().await {
                Some(bytes) => Ok(Received::Shared(bytes)),
                // The table dropped us, and the stop token says so in the same breath.
                None => std::future::pending().await,
            },
            Self::Own { socket, stranger_replies } => loop {
                let (bytes, from) = socket.recv_from(buffer).await?;
                if from == SocketAddr::V4(arrival.peer) {
                    return Ok(Received::Own(buffer.get(..bytes).unwrap_or_default()));
                }
                if *stranger_replies < STRANGER_REPLIES_MAX {
                    *stranger_replies += 1;
                    let reply = Packet::error_bytes(ErrorCode::UNKNOWN_TRANSFER, "unknown transfer");
                    let _lost_when_full = socket.try_send_to(&reply, from);
                }
            },
        }
    }
}
