//! The way to one peer: a socket of its own, or the listening one that it shares.

use crate::proto::tftp::{ErrorCode, Packet};
use crate::tftp::sessions::Note;
use crate::tftp::socket::{self, Arrival, Cutting, Frames, Route};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tracing::debug;

/// ERROR 5 replies to strangers during one transfer; further ones get none.
const STRANGER_REPLIES_MAX: u32 = 16;

/// The socket of a transfer, and who cuts its windows.
pub(super) struct Link {
    port: Port,
    cutting: Cutting,
}

enum Port {
    /// A port of its own (RFC 1350 section 4), and how many strangers were told that it is not theirs.
    Own { socket: UdpSocket, stranger_replies: u32 },
    /// The listening port; the packets of this peer are handed over.
    Shared { socket: Arc<UdpSocket>, inbox: mpsc::Receiver<Note> },
}

/// A datagram of the peer.
pub(super) enum Received<'a> {
    Own(&'a [u8]),
    Shared(Note),
}

impl Received<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(note) => note.as_slice(),
        }
    }
}

impl Link {
    pub(super) fn own(socket: UdpSocket) -> Self {
        Self { port: Port::Own { socket, stranger_replies: 0 }, cutting: Cutting::default() }
    }

    pub(super) fn shared(socket: Arc<UdpSocket>, inbox: mpsc::Receiver<Note>) -> Self {
        Self { port: Port::Shared { socket, inbox }, cutting: Cutting::default() }
    }

    /// Sends datagrams. What the socket does not take counts as lost on the way: the machine sends it again,
    /// or gives up.
    pub(super) async fn send(&mut self, arrival: Arrival, frames: Frames<'_>) {
        let (socket, source) = match &self.port {
            Port::Own { socket, .. } => (socket, None),
            Port::Shared { socket, .. } => (socket.as_ref(), Some(arrival.local)),
        };
        let route = Route { peer: arrival.peer, source };
        if let Err(error) = socket::send(socket, route, frames, &mut self.cutting).await {
            debug!(%error, "a packet could not be sent");
        }
    }

    /// The next datagram of the peer. Safe to cancel. Strangers are told so, and change nothing.
    pub(super) async fn recv<'a>(
        &mut self,
        arrival: Arrival,
        buffer: &'a mut [u8],
    ) -> io::Result<Received<'a>> {
        match &mut self.port {
            Port::Shared { inbox, .. } => match inbox.recv().await {
                Some(note) => Ok(Received::Shared(note)),
                // The table dropped us, and the stop token says so in the same breath.
                None => std::future::pending().await,
            },
            Port::Own { socket, stranger_replies } => loop {
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
