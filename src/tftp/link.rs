//! The way to one peer: a socket of its own, or the listening one that it shares.

use crate::datagrams::{self, DatagramBatch, DatagramEnds, DatagramRoute, SegmentationMode};
use crate::tftp::sessions::ShortPacket;
use crate::tftp::socket;
use std::net::UdpSocket as StdUdpSocket;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tracing::debug;

/// The socket of a transfer, and who cuts its windows.
pub(super) struct PeerLink {
    pub port: TransferPort,
    cutting: SegmentationMode,
}

pub(super) enum TransferPort {
    /// A port of its own (RFC 1350 section 4).
    Own(Arc<StdUdpSocket>),
    /// The listening port; the packets of this peer are handed over.
    Shared { socket: Arc<UdpSocket>, inbox: mpsc::Receiver<ShortPacket> },
}

impl PeerLink {
    pub(super) fn own(socket: StdUdpSocket) -> Self {
        Self { port: TransferPort::Own(Arc::new(socket)), cutting: SegmentationMode::default() }
    }

    pub(super) fn shared(socket: Arc<UdpSocket>, inbox: mpsc::Receiver<ShortPacket>) -> Self {
        Self { port: TransferPort::Shared { socket, inbox }, cutting: SegmentationMode::default() }
    }

    /// Sends datagrams. What the socket does not take counts as lost on the way: the machine sends it again,
    /// or gives up.
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

    /// The next datagram of the peer at the shared port. Safe to cancel.
    pub(super) async fn recv(&mut self) -> ShortPacket {
        if let TransferPort::Shared { inbox, .. } = &mut self.port
            && let Some(note) = inbox.recv().await
        {
            return note;
        }
        // The table dropped us, and the stop token says so in the same breath.
        std::future::pending().await
    }
}
