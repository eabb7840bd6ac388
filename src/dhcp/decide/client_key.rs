//! The owner of a lease.

use std::fmt::{self, Write as _};

use crate::model::{Lease, Mac, hex};
use crate::proto::dhcp4::DhcpPacket;

/// A client within its network. ROM, iPXE, installer and system send different client identifiers from one
/// interface, so the hardware address is the identity. The client identifier counts only if there is no
/// hardware address (InfiniBand, RFC 4390).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientKey {
    key: String,
    mac: Option<Mac>,
}

impl ClientKey {
    /// `None` for a packet with neither a hardware address nor a client identifier.
    pub fn of(packet: &DhcpPacket) -> Option<ClientKey> {
        let address = packet.hardware_address();
        if address.is_empty() {
            let identifier = packet.client_identifier().filter(|bytes| !bytes.is_empty())?;
            return Some(ClientKey { key: format!("id/{}", hex(identifier)), mac: None });
        }
        let mut key = String::with_capacity(4 + 3 * address.len());
        let _ = write!(key, "{}", packet.htype);
        for (at, byte) in address.iter().enumerate() {
            key.extend([if at == 0 { '/' } else { ':' }, hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        Some(ClientKey { key, mac: Self::mac_of(packet) })
    }

    /// The hardware address, if it is a MAC address.
    pub fn mac_of(packet: &DhcpPacket) -> Option<Mac> {
        <[u8; 6]>::try_from(packet.hardware_address()).ok().map(Mac)
    }

    /// The form of `model::Lease::client`: `1/52:54:00:aa:00:01`, or `id/` and hex.
    pub fn as_str(&self) -> &str {
        &self.key
    }

    pub fn mac(&self) -> Option<Mac> {
        self.mac
    }
}

fn hex_digit(four: u8) -> char {
    char::from_digit(u32::from(four), 16).unwrap_or_default()
}

impl From<&Lease> for ClientKey {
    fn from(lease: &Lease) -> Self {
        ClientKey { key: lease.client.clone(), mac: lease.mac }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}
