//! The link to a peer: a socket of its own, or the shared listening socket.

use crate::datagrams::{self, DatagramBatch, DatagramEnds, DatagramRoute, SegmentationMode};
use crate::tftp::sessions::ShortPacket;
use crate::tftp::socket;
use std::net::UdpSocket as StdUdpSocket;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tracing::debug;

/// The socket of a transfer, and how its windows are cut into packets.
pub(super) struct PeerLink {
    pub port: TransferPort,
    cutting: SegmentationMode,
}

pub(super) enum TransferPort {
    /// A port of its own (RFC 1350 section 4).
    Own(Arc<StdUdpSocket>),
    /// The listening port; the service passes on the packets of this peer.
    Shared { socket: Arc<UdpSocket>, inbox: mpsc::Receiver<ShortPacket> },
}

impl PeerLink {
    pub(super) fn own(socket: StdUdpSocket) -> Self {
        Self { port: TransferPort::Own(Arc::new(socket)), cutting: SegmentationMode::default() }
    }

    pub(super) fn shared(socket: Arc<UdpSocket>, inbox: mpsc::Receiver<ShortPacket>) -> Self {
        Self { port: TransferPort::Shared { socket, inbox }, cutting: SegmentationMode::default() }
    }

    /// Sends datagrams. A datagram that the socket does not accept counts as lost: the machine sends it
    /// again, or gives up.
    pub(super) async fn send(&mut self, arrival: DatagramEnds, mut frames: DatagramBatch<'_>) {
        let peer = arrival.peer;
        let sent = match &self.port {
            TransferPort::Own(socket) => {
                let route = DatagramRoute { peer, source: None, interface: 0 };
                datagrams::push(socket.as_ref(), route, &mut frames, &mut self.cutting)
            }
            TransferPort::Shared { socket, .. } => {
                let route = DatagramRoute { peer, source: Some(arrival.local), interface: 0 };
                socket::send(socket, route, frames, &mut self.cutting).await
            }
        };
        if let Err(error) = sent {
            debug!(%error, "a packet could not be sent");
        }
    }

    /// The next datagram of the peer at the shared port. Cancel safe.
    pub(super) async fn recv(&mut self) -> ShortPacket {
        if let TransferPort::Shared { inbox, .. } = &mut self.port
            && let Some(note) = inbox.recv().await
        {
            return note;
        }
        // The table removed this read; the stop token is cancelled at the same time.
        std::future::pending().await
    }
}
