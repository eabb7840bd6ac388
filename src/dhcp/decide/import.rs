//! Leases of other DHCP servers, read from the files those keep them in: ISC dhcpd's `dhcpd.leases` and the
//! memory file of Kea (`kea-leases4.csv`).
//!
//! Only reads; which of them are taken, and what stands against one, is for `lease_import` to say. Both files
//! are journals: what stands last for an address holds. Start at [`read`].

mod isc;
mod kea;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{LeaseState, Mac, Octets, hex};

/// Most entries of all files together that are looked at, superseded ones among them.
pub const ENTRIES_MAX: usize = 500_000;
/// Most faults in a report.
pub const FAULTS_MAX: usize = 1000;
/// Hardware type of Ethernet (RFC 1700).
const ETHERNET: u8 = 1;

/// Which program wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseFileFormat {
    /// `dhcpd.leases` of ISC dhcpd.
    Isc,
    /// The CSV memory file of Kea's DHCPv4 server.
    Kea,
}

/// What a file says of one address, last.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseEntry {
    /// Where it stands: the number of the file among those given, and the line it begins at.
    pub file: usize,
    pub line: usize,
    pub address: Ipv4Addr,
    /// Whose it is, as `model::Lease::client` has it; none where it is nobody's.
    pub client: Option<String>,
    pub mac: Option<Mac>,
    pub client_id: Option<Octets>,
    /// As the file says, whatever the time is now.
    pub state: LeaseState,
    pub hostname: Option<String>,
    /// When the client was last heard of; the beginning of time where the file does not say.
    pub heard_at: Timestamp,
    /// The end of time for a lease without one.
    pub ends_at: Timestamp,
}

/// A piece of a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFileFault {
    pub file: usize,
    pub line: usize,
    pub what: String,
}

/// What the files say.
#[derive(Debug, Default)]
pub struct LeaseJournal {
    latest: BTreeMap<Ipv4Addr, Option<LeaseEntry>>,
    file: usize,
    /// Entries that were read, those that later ones took the place of among them.
    pub read: usize,
    pub faults: Vec<LeaseFileFault>,
    /// Faults beyond [`FAULTS_MAX`], or entries beyond [`ENTRIES_MAX`].
    pub unread: usize,
}

/// Reads files in the order in which they were written.
pub fn read(format: LeaseFileFormat, texts: &[&str]) -> LeaseJournal {
    let mut journal = LeaseJournal::default();
    for (file, text) in texts.iter().enumerate() {
        journal.file = file;
        match format {
            LeaseFileFormat::Isc => isc::read(text, &mut journal),
            LeaseFileFormat::Kea => kea::read(text, &mut journal),
        }
    }
    journal
}

impl LeaseJournal {
    /// The last entry of each address, by address. What was deleted is not among them.
    pub fn entries(&self) -> impl Iterator<Item = &LeaseEntry> {
        self.latest.values().flatten()
    }

    fn put(&mut self, entry: LeaseEntry) {
        if self.count() {
            self.latest.insert(entry.address, Some(entry));
        }
    }

    fn delete(&mut self, address: Ipv4Addr) {
        if self.count() {
            self.latest.insert(address, None);
        }
    }

    fn count(&mut self) -> bool {
        let room = self.read < ENTRIES_MAX;
        if room {
            self.read += 1;
        } else {
            self.unread += 1;
        }
        room
    }

    fn fault(&mut self, line: usize, what: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(LeaseFileFault { file: self.file, line, what: what.into() });
        } else {
            self.unread += 1;
        }
    }
}

/// Who a lease is for: the hardware address where there is one, else the client identifier.
#[derive(Clone, Debug, Default)]
struct LeaseHolder {
    hardware: Option<(u8, Vec<u8>)>,
    client_id: Vec<u8>,
}

impl LeaseHolder {
    fn client(&self) -> Option<String> {
        match &self.hardware {
            Some((kind, address)) if !address.is_empty() => {
                let bytes: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
                Some(format!("{kind}/{}", bytes.join(":")))
            }
            _ if !self.client_id.is_empty() => Some(format!("id/{}", hex(&self.client_id))),
            _ => None,
        }
    }

    fn mac(&self) -> Option<Mac> {
        let (_, address) = self.hardware.as_ref().filter(|(kind, _)| *kind == ETHERNET)?;
        <[u8; 6]>::try_from(address.as_slice()).ok().map(Mac)
    }

    fn octets(&self) -> Option<Octets> {
        (!self.client_id.is_empty()).then(|| Octets::new(&self.client_id))
    }
}

/// `01:52:54`, as both programs write bytes; digits may lack their leading zero.
fn colon_hex(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}
