//! Reads the leases of other DHCP servers from their files: ISC dhcpd's `dhcpd.leases` and the memory file of
//! Kea (`kea-leases4.csv`).
//!
//! This module only reads; `lease_import` decides which leases are imported. Both files are journals: the
//! last entry of an address counts. Start at [`read`].

mod isc;
mod kea;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{LeaseState, Mac, Octets, hex};

/// Most entries of all files together that are read, including superseded ones.
pub const ENTRIES_MAX: usize = 500_000;
/// Most faults in a report.
pub const FAULTS_MAX: usize = 1000;
/// Hardware type of Ethernet (RFC 1700).
const ETHERNET: u8 = 1;

/// The program that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseFileFormat {
    /// `dhcpd.leases` of ISC dhcpd.
    Isc,
    /// The CSV memory file of Kea's DHCPv4 server.
    Kea,
}

/// The last entry of an address.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseEntry {
    /// The number of the file among the given ones, and the line at which the entry begins.
    pub file: usize,
    pub line: usize,
    pub address: Ipv4Addr,
    /// The client in the form of `model::Lease::client`; none if the address has no client.
    pub client: Option<String>,
    pub mac: Option<Mac>,
    pub client_id: Option<Octets>,
    /// The state in the file, whatever the time is now.
    pub state: LeaseState,
    pub hostname: Option<String>,
    /// When the client was last heard of; the beginning of time if the file does not say.
    pub heard_at: Timestamp,
    /// The end of time for a lease without an end.
    pub ends_at: Timestamp,
}

/// An entry that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFileFault {
    pub file: usize,
    pub line: usize,
    pub what: String,
}

/// The contents of the files.
#[derive(Debug, Default)]
pub struct LeaseJournal {
    latest: BTreeMap<Ipv4Addr, Option<LeaseEntry>>,
    file: usize,
    /// Entries that were read, including those that later entries replaced.
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
    /// The last entry of each address, in the order of addresses, without deleted ones.
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

/// The client of a lease: the hardware address if there is one, else the client identifier.
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

/// Parses `01:52:54`, the form in which both programs write bytes; digits may lack their leading zero.
fn colon_hex(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}
