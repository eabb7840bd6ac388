//! One read, from the admitted request to its outcome: opens the path, negotiates options, and runs the
//! transfer machine: on a transfer thread, or here if the listening port is shared. Start at
//! `ReadSession::run`.

use crate::datagrams::{DatagramBatch, DatagramEnds};
use crate::proto::tftp::{
    BlockSpan, ErrorCode, OptionField, ServerOffer, TftpPacket, TftpRequest, Transfer, TransferLimits,
    TransferMode, TransferTerms, TransmitOrder, negotiate,
};
use crate::rate_limit::warn_limited;
use crate::tftp::link::{PeerLink, TransferPort};
use crate::tftp::opener::{
    OpenedRead, ReadOpener, ReadRefusal, ReadRequest, TransferOutcome, TransferResult,
};
use crate::tftp::service::TftpCounters;
use crate::tftp::source::BlockSource;
use crate::tftp::transfer_thread::{ActiveRead, ActiveTransfer, ReturnReason, TransferThread};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

/// Longest time for opening a file; later a client would have given up.
const OPEN_MAX: Duration = Duration::from_secs(20);

/// A request that outlives its datagram.
pub(super) struct OwnedRequest {
    path: String,
    mode: TransferMode,
    options: Vec<(String, String)>,
}

impl From<&TftpRequest<'_>> for OwnedRequest {
    fn from(request: &TftpRequest<'_>) -> Self {
        let options = request.options.iter().map(|field| (field.name.to_owned(), field.value.to_owned()));
        Self { path: request.path.clone().into_owned(), mode: request.mode, options: options.collect() }
    }
}

/// A read that has ended, with its result.
type FinishedRead = (ActiveRead, io::Result<TransferResult>);

/// The transfer thread ended, and the read was lost with it.
struct LostTransfer;

/// One admitted read.
pub(super) struct ReadSession {
    pub arrival: DatagramEnds,
    pub asked: OwnedRequest,
    pub link: PeerLink,
    /// The thread that sends the blocks of a read with a port of its own.
    pub thread: TransferThread,
    pub limits: TransferLimits,
    pub opener: Arc<dyn ReadOpener>,
    /// The runtime in which paths are opened.
    pub opening: Handle,
    pub counters: Arc<TftpCounters>,
    /// Ends this read. It is cancelled when the read has ended, so that the peer may request again at once.
    pub stop: CancellationToken,
    /// Ends all reads.
    pub shutdown: CancellationToken,
}

impl ReadSession {
    /// Runs the read to its end. Its slot is free when this returns.
    pub(super) async fn run(mut self) {
        let (opener, request) = (self.opener.clone(), self.read_request());
        let opening = AbortOnDropHandle::new(self.opening.spawn(async move { opener.open(request).await }));
        let opened = tokio::select! {
            opened = timeout(OPEN_MAX, opening) => opened,
            () = self.stop.cancelled() => return,
        };
        match opened {
            Ok(Ok(Ok(opened))) => self.serve(opened).await,
            Ok(Ok(Err(ReadRefusal::Silence))) => {
                self.counters.unanswered.fetch_add(1, Relaxed);
                debug!(path = self.asked.path, "left without an answer");
            }
            Ok(Ok(Err(ReadRefusal::Error { code, message }))) => self.refuse(code, &message).await,
            Ok(Err(error)) => {
                warn_limited!(path = self.asked.path, %error, "opening failed with an internal error");
                self.refuse(ErrorCode::OTHER, "the file cannot be opened").await;
            }
            Err(_) => {
                warn_limited!(path = self.asked.path, "opening took longer than {OPEN_MAX:?}");
                self.refuse(ErrorCode::OTHER, "the file took too long to prepare").await;
            }
        }
    }

    fn read_request(&self) -> ReadRequest {
        let peer = SocketAddr::V4(self.arrival.peer);
        ReadRequest { path: self.asked.path.clone(), peer, local: self.arrival.local.into() }
    }

    async fn refuse(&mut self, code: ErrorCode, message: &str) {
        self.counters.refused.fetch_add(1, Relaxed);
        self.stop.cancel();
        debug!(path = self.asked.path, code = code.0, message, "refused");
        self.send_error(code, message).await;
    }

    /// A lost ERROR is not repeated: the client requests again.
    async fn send_error(&mut self, code: ErrorCode, message: &str) {
        let bytes = TftpPacket::error_bytes(code, message);
        self.link.send(self.arrival, DatagramBatch::one(&bytes)).await;
    }

    async fn serve(&mut self, opened: OpenedRead) {
        let source = match BlockSource::open(opened.body, self.asked.mode).await {
            Ok(source) => source,
            Err(error) => return self.refuse(ErrorCode::OTHER, &error.to_string()).await,
        };
        let limits = self.limits.with_blocks_of(opened.block_bytes_max.unwrap_or(u16::MAX));
        let terms = self.asked.terms(limits, source.bytes());
        let (block_bytes, window_blocks, body_bytes) =
            (terms.block_bytes, terms.window_blocks, source.bytes());
        let jitter = RandomState::new().hash_one(self.arrival.peer);
        let transfer = Transfer::new(Duration::ZERO, terms, body_bytes).with_jitter(jitter);
        let mut reading = ActiveRead { transfer, source, began: Instant::now(), counted: 0 };
        self.counters.started.fetch_add(1, Relaxed);
        let driven = match &self.link.port {
            TransferPort::Own(socket) => {
                let socket = socket.clone();
                self.active(reading, socket).await
            }
            TransferPort::Shared { .. } => {
                let result = self.drive(&mut reading).await;
                Ok((reading, result))
            }
        };
        let Ok((reading, result)) = driven else { return self.lost() };
        let result = result.unwrap_or_else(|error| {
            warn_limited!(label = opened.label, %error, "the file could not be read to its end");
            TransferResult::Failed(error.to_string())
        });
        self.say_goodbye(&result).await;
        self.counters.finished.fetch_add(1, Relaxed);
        self.stop.cancel();
        debug!(label = opened.label, ?result, acked = reading.transfer.acked_bytes(), "read ended");
        self.opener.finished(TransferOutcome {
            path: std::mem::take(&mut self.asked.path),
            label: opened.label,
            about: opened.about,
            peer: SocketAddr::V4(self.arrival.peer),
            local: self.arrival.local.into(),
            body_bytes,
            acked_bytes: reading.transfer.acked_bytes(),
            block_bytes,
            window_blocks,
            retransmissions: reading.transfer.retransmissions(),
            duration: reading.began.elapsed(),
            result,
        });
    }

    /// Tells the client when the server ends a read, so that the client need not wait for its timers.
    async fn say_goodbye(&mut self, result: &TransferResult) {
        match result {
            TransferResult::Failed(_) => self.send_error(ErrorCode::OTHER, "the file cannot be read").await,
            TransferResult::Stopped => self.send_error(ErrorCode::OTHER, "the server is stopping").await,
            TransferResult::Ended(_) | TransferResult::Replaced => {}
        }
    }

    /// Lets a transfer thread send the blocks, and does what the thread cannot wait for. An inner error comes
    /// from the source; an outer one means that the thread ended, and the read with it.
    async fn active(
        &mut self,
        reading: ActiveRead,
        socket: Arc<UdpSocket>,
    ) -> Result<FinishedRead, LostTransfer> {
        let (peer, counters) = (self.arrival.peer, self.counters.clone());
        let mut active = Box::new(ActiveTransfer { reading, socket, peer, counters });
        loop {
            let (id, mut back) = self.thread.start(active);
            let returned = tokio::select! {
                returned = &mut back => returned,
                () = self.stop.cancelled() => {
                    self.thread.call_back(id);
                    back.await
                }
            };
            let why;
            (active, why) = returned.map_err(|_| LostTransfer)?;
            let result = match why {
                ReturnReason::Ended(ended) => Ok(TransferResult::Ended(ended)),
                ReturnReason::Called => Ok(self.stopped()),
                ReturnReason::Failed(error) => Err(error),
                ReturnReason::Disk(span) => match self.send_blocks(&mut active.reading.source, span).await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
            };
            return Ok((active.reading, result));
        }
    }

    async fn send_blocks(&mut self, source: &mut BlockSource, span: BlockSpan) -> io::Result<()> {
        let bytes = source.frames(&span).await?;
        self.counters.windows.fetch_add(1, Relaxed);
        self.link.send(self.arrival, DatagramBatch { bytes, each: span.frame_bytes() }).await;
        Ok(())
    }

    fn stopped(&self) -> TransferResult {
        if self.shutdown.is_cancelled() { TransferResult::Stopped } else { TransferResult::Replaced }
    }

    fn lost(&self) {
        warn_limited!(path = self.asked.path, "a thread of TFTP has ended, and this read with it");
        self.counters.finished.fetch_add(1, Relaxed);
        self.stop.cancel();
    }

    /// Sends, waits, and receives at the shared port, until the transfer ends or is stopped. An error comes
    /// from the source.
    async fn drive(&mut self, reading: &mut ActiveRead) -> io::Result<TransferResult> {
        let stop = self.stop.clone();
        let mut stopped = std::pin::pin!(stop.cancelled());
        let mut timer = std::pin::pin!(sleep_until(reading.began.into()));
        loop {
            self.transmit(reading).await?;
            if let Some(ended) = reading.transfer.ended() {
                return Ok(TransferResult::Ended(ended.clone()));
            }
            // A timer that fires too early only checks what is due; moving it with every packet would cost
            // more.
            let wake = reading.began + reading.transfer.poll_timeout().unwrap_or_default();
            if timer.is_elapsed() || timer.deadline() > wake.into() {
                timer.as_mut().reset(wake.into());
            }
            tokio::select! {
                biased;
                heard = self.link.recv() => reading.take(heard.as_slice(), &self.counters),
                () = timer.as_mut() => reading.handle_timeout(Instant::now(), &self.counters),
                () = stopped.as_mut() => return Ok(self.stopped()),
            }
        }
    }

    async fn transmit(&mut self, reading: &mut ActiveRead) -> io::Result<()> {
        let ActiveRead { transfer, source, began, .. } = reading;
        while let Some(transmit) = transfer.poll_transmit(began.elapsed()) {
            match transmit {
                TransmitOrder::OptionsAck => {
                    let mut options = Vec::new();
                    transfer.frame_options(&mut options);
                    self.link.send(self.arrival, DatagramBatch::one(&options)).await;
                }
                TransmitOrder::Data(span) => self.send_blocks(source, span).await?,
            }
        }
        Ok(())
    }
}

impl OwnedRequest {
    fn terms(&self, limits: TransferLimits, body_bytes: u64) -> TransferTerms {
        let fields: Vec<_> = self.options.iter().map(|(name, value)| OptionField { name, value }).collect();
        negotiate(&fields, &ServerOffer { limits, mode: self.mode, body_bytes })
    }
}
