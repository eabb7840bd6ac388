//! DISCOVER, OFFER, REQUEST, ACK as PXE firmware sends them (RFC 2131, RFC 4578), through a relay: one host
//! stands for many machines. Each thread of the client is a relay of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::beside::RELAYS;
use crate::dhcp_reply::{self, ACK, COOKIE, DISCOVER, OFFER, OPTIONS_OFFSET, REQUEST, four};
use crate::net::SERVER;
use crate::storm::hardware;

/// How long the firmware waits for an answer before it asks again; after the last wait it gives up.
const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
const NAK: u8 = 6;

/// The lease of a machine.
pub struct Lease {
    pub address: Ipv4Addr,
    pub next_server: Ipv4Addr,
    pub boot_file: String,
}

/// The parts of a reply that are read.
struct Reply {
    lease: dhcp_reply::Reply,
    next_server: Ipv4Addr,
    boot_file: String,
}

/// A relay, and the machines behind it that wait for a reply, by their `xid`.
pub struct Relay {
    socket: UdpSocket,
    address: Ipv4Addr,
    waiting: RefCell<HashMap<u32, oneshot::Sender<Reply>>>,
}

impl Relay {
    pub async fn open(number: u32) -> io::Result<Relay> {
        let address = Ipv4Addr::from(u32::from(RELAYS) + number);
        let socket = UdpSocket::bind((address, 67)).await?;
        socket.connect((SERVER, 67)).await?;
        Ok(Relay { socket, address, waiting: RefCell::default() })
    }

    /// Passes replies to their machines, for ever.
    pub async fn hear(&self) -> io::Result<()> {
        let mut packet = [0; 1500];
        loop {
            let length = self.socket.recv(&mut packet).await?;
            let Some(reply) = Reply::parse(&packet[..length]) else { continue };
            let waiting = self.waiting.borrow_mut().remove(&reply.lease.xid);
            if let Some(machine) = waiting {
                // A machine that gave up gets nothing.
                let _ = machine.send(reply);
            }
        }
    }

    /// Gets an address for a machine.
    pub async fn lease(&self, machine: u32) -> Result<Lease, String> {
        let offer = self.ask(machine, (DISCOVER, &[])).await?.lease;
        if offer.kind != OFFER {
            return Err(format!("a message of type {} for a DISCOVER", offer.kind));
        }
        let [a, b, c, d] = offer.address.octets();
        let [e, f, g, h] = offer.server;
        let reply = self.ask(machine, (REQUEST, &[50, 4, a, b, c, d, 54, 4, e, f, g, h])).await?;
        let Reply { lease: dhcp_reply::Reply { address, kind, .. }, next_server, boot_file } = reply;
        match kind {
            ACK if !boot_file.is_empty() => Ok(Lease { address, next_server, boot_file }),
            ACK => Err("an address, and nothing to boot".to_owned()),
            NAK => Err("NAK".to_owned()),
            other => Err(format!("a message of type {other} for a REQUEST")),
        }
    }

    async fn ask(&self, machine: u32, (kind, options): (u8, &[u8])) -> Result<Reply, String> {
        // A late answer to a DISCOVER is not taken as the answer to the REQUEST.
        let xid = machine << 8 | u32::from(kind);
        let packet = self.packet((xid, kind), machine, options);
        for wait in WAITS {
            let (sender, receiver) = oneshot::channel();
            self.waiting.borrow_mut().insert(xid, sender);
            self.socket.send(&packet).await.map_err(|error| error.to_string())?;
            if let Ok(Ok(reply)) = timeout(wait, receiver).await {
                return Ok(reply);
            }
        }
        Err(format!("no answer to a message of type {kind}"))
    }

    /// The packet of a UEFI computer.
    fn packet(&self, (xid, kind): (u32, u8), machine: u32, options: &[u8]) -> Vec<u8> {
        let mac = hardware(machine);
        let mut packet = vec![0; OPTIONS_OFFSET];
        packet[..4].copy_from_slice(&[1, 1, 6, 1]);
        packet[4..8].copy_from_slice(&xid.to_be_bytes());
        packet[24..28].copy_from_slice(&self.address.octets());
        packet[28..34].copy_from_slice(&mac);
        packet[236..].copy_from_slice(&COOKIE);
        packet.extend([53, 1, kind]);
        packet.extend(options);
        packet.extend([57, 2, 5, 192, 93, 2, 0, 7, 94, 3, 1, 3, 16]);
        packet.extend([97, 17, 0, 0x6d, 0x65, 0x74, 0x61, 0x6c, 0, 0x40, 0, 0x80, 0]);
        packet.extend(mac);
        packet.extend([60, 32]);
        packet.extend(b"PXEClient:Arch:00007:UNDI:003016");
        packet.extend([55, 12, 1, 3, 6, 12, 15, 28, 43, 51, 54, 60, 66, 67, 255]);
        packet
    }
}

impl Reply {
    fn parse(packet: &[u8]) -> Option<Reply> {
        let mut boot_file = text(packet.get(108..236)?);
        let lease = dhcp_reply::Reply::parse(packet, |code, data| {
            if code == 67 {
                boot_file = text(data);
            }
        })?;
        Some(Reply { lease, next_server: four(packet, 20)?.into(), boot_file })
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
