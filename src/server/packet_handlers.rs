//! Connects TFTP and DHCP with the houses. The sockets are bound first, so that privileges can be dropped
//! before the database is opened; packets that arrive before are not answered.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;

use crate::artifacts::opened::{self, FetchRefusal, OpenedFile, Protocol};
use crate::dhcp;
use crate::houses::Houses;
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::files::{Fetch, ServedFile};
use crate::netboot::tftp_peers::{TftpPeers, TftpTerms};
use crate::proto::tftp::{ErrorCode, TransferEnd};
use crate::tftp::{self, ReadRequest, TransferOutcome, TransferResult};

/// The houses, as soon as they exist.
#[derive(Default)]
pub struct PacketHandlers {
    houses: OnceLock<Arc<Houses>>,
    tftp_peers: TftpPeers,
}

impl PacketHandlers {
    pub fn new(tftp_peers: TftpPeers) -> Self {
        PacketHandlers { tftp_peers, ..PacketHandlers::default() }
    }

    /// How a TFTP peer is served. An unknown peer is logged and not served.
    fn tftp_terms(&self, fetch: &Fetch) -> Option<(&Arc<Houses>, TftpTerms)> {
        let houses = self.houses.get()?;
        let terms = houses.netboot.tftp_terms(fetch, self.tftp_peers);
        if terms.is_none() {
            houses.netboot.tftp_stranger(fetch);
        }
        Some((houses, terms?))
    }

    /// Starts answering requests.
    pub fn open(&self, houses: Arc<Houses>) {
        // Called once; second houses would be ignored.
        let _ = self.houses.set(houses);
    }
}

impl dhcp::server::DhcpHandler for PacketHandlers {
    fn answer(
        self: Arc<Self>,
        request: dhcp::server::DhcpRequest,
    ) -> BoxFuture<'static, dhcp::server::HandlerResult> {
        Box::pin(async move {
            match self.houses.get() {
                Some(houses) => houses.dhcp.answer_dhcp(&request.query()).await,
                None => Ok(None),
            }
        })
    }

    fn still_holds(&self, reply: &dhcp::decide::ReplyDatagram) -> bool {
        self.houses.get().is_some_and(|houses| houses.dhcp.still_holds(reply))
    }
}

impl dhcp::server::ServerObserver for dhcp::Dhcp {
    fn interfaces(&self, interfaces: Vec<Arc<dhcp::decide::NetworkInterface>>) {
        self.dhcp_interfaces(interfaces);
    }

    fn report_server(&self, heard: dhcp::decide::ServerSighting) {
        self.record_dhcp_server(heard);
    }

    fn report_late_answer(&self, answer: dhcp::decide::LateAnswer) -> BoxFuture<'_, ()> {
        Box::pin(self.answered_late(answer))
    }
}

impl tftp::ReadOpener for PacketHandlers {
    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<tftp::OpenedRead, tftp::ReadRefusal>> {
        Box::pin(async move {
            let fetch = fetch(&request);
            let (houses, terms) = self.tftp_terms(&fetch).ok_or(tftp::ReadRefusal::Silence)?;
            houses.netboot.open(&fetch).await.map(|opened| carried(opened, terms)).map_err(refusal)
        })
    }

    fn is_served(&self, request: &ReadRequest) -> bool {
        self.tftp_terms(&fetch(request)).is_some()
    }

    fn finished(&self, outcome: TransferOutcome) {
        let Some(houses) = self.houses.get() else { return };
        // UEFI asks for the size, sends ERROR 8, and then requests the file.
        if outcome.acked_bytes == 0
            && matches!(outcome.result, TransferResult::Ended(TransferEnd::Aborted { .. }))
        {
            tracing::debug!(path = outcome.path, "a size probe over TFTP");
            return;
        }
        houses.netboot.served(ServedFile {
            path: crate::netboot::decide::capability::hide(&outcome.path),
            label: outcome.label,
            peer: outcome.peer.ip(),
            protocol: Protocol::Tftp,
            about: outcome.about,
            size: outcome.body_bytes,
            bytes: outcome.acked_bytes,
            duration: outcome.duration,
            complete: matches!(outcome.result, TransferResult::Ended(TransferEnd::Complete)),
        });
    }
}

fn fetch(request: &ReadRequest) -> Fetch {
    Fetch {
        path: request.path.clone(),
        peer: request.peer.ip(),
        local: request.local,
        protocol: Protocol::Tftp,
        hint: ClientHint::default(),
        has_query: false,
    }
}

fn carried(opened: OpenedFile, terms: TftpTerms) -> tftp::OpenedRead {
    let body = match opened.body {
        opened::FileBody::Bytes(bytes) => tftp::ReadBody::Bytes(bytes),
        // Over TFTP a file is only opened when it is complete.
        opened::FileBody::File { file, bytes, .. } => tftp::ReadBody::File { file, bytes },
    };
    let block_bytes_max = terms.block_bytes_max;
    tftp::OpenedRead { body, label: opened.label, about: opened.about, block_bytes_max }
}

/// The same refusals as over HTTP, in TFTP's codes: after "not found" loaders try their next name.
fn refusal(refused: FetchRefusal) -> tftp::ReadRefusal {
    let (code, message) = match refused {
        FetchRefusal::Absent => (ErrorCode::NOT_FOUND, "file not found".to_owned()),
        FetchRefusal::BadPath(why) => (ErrorCode::ACCESS, why.to_owned()),
        FetchRefusal::Denied(why) => (ErrorCode::ACCESS, why),
        FetchRefusal::Failed(why) => (ErrorCode::OTHER, why),
    };
    tftp::ReadRefusal::Error { code, message }
}
