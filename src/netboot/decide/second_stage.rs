//! Second stages that read another packet than the firmware did. A GRUB that was loaded over TFTP takes its
//! server from the reply that gave the machine its address, and never from a server beside it (ProxyDHCP).

use std::collections::HashMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use crate::model::Cidr;
use crate::netboot::decide::signed;

/// The loader of POWER, which is a GRUB.
const OPEN_FIRMWARE_GRUB: &str = "core.elf";

/// Most networks of which the other server is remembered.
const NETWORKS_MAX: usize = 1024;
/// How long a server counts as present after it was heard.
const BELIEVED: SignedDuration = SignedDuration::from_hours(24);

/// The servers that give the addresses of `proxy` subnets, as far as their replies were heard.
#[derive(Debug, Default)]
pub struct OtherBootServers {
    by_network: HashMap<Cidr, (OtherBootServer, Timestamp)>,
}

impl OtherBootServers {
    /// Records the server that was heard in a network.
    pub fn record(&mut self, network: Cidr, other: OtherBootServer, now: Timestamp) {
        if self.by_network.len() >= NETWORKS_MAX {
            self.by_network.retain(|_, (_, heard)| now.duration_since(*heard) < BELIEVED);
        }
        // Some servers name a boot server in the replies to PXE clients alone.
        let before = self.by_network.get(&network).map(|(before, _)| before);
        let kept =
            before.filter(|before| before.server == other.server).and_then(|before| before.next_server);
        let other = OtherBootServer { next_server: other.next_server.or(kept), ..other };
        if self.by_network.len() < NETWORKS_MAX || self.by_network.contains_key(&network) {
            self.by_network.insert(network, (other, now));
        }
    }

    /// The server that gave a client its address.
    pub fn of(&self, address: Ipv4Addr, now: Timestamp) -> Option<OtherBootServer> {
        let found = self.by_network.iter().find(|(network, _)| network.contains(address));
        found.filter(|(_, (_, heard))| now.duration_since(*heard) < BELIEVED).map(|(_, (other, _))| *other)
    }
}

/// What a DHCP server that gives the addresses of a `proxy` subnet tells a second stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherBootServer {
    /// Its identifier (option 54).
    pub server: Ipv4Addr,
    /// The boot server that it names (`siaddr`).
    pub next_server: Option<Ipv4Addr>,
}

impl OtherBootServer {
    /// The server that GRUB asks for its files: the boot server, or else the DHCP server itself.
    fn asked_by_grub(&self) -> Ipv4Addr {
        self.next_server.unwrap_or(self.server)
    }

    /// Why GRUB does not find its files on the server `ours`, and what to do; `None` if it does.
    pub fn misleads(&self, ours: Ipv4Addr) -> Option<String> {
        let (server, asked) = (self.server, self.asked_by_grub());
        (asked != ours).then(|| {
            format!(
                "GRUB asks {asked} for its files, because the DHCP server {server} gives the addresses: set \
                 next-server to {ours} there, boot over HTTP, or use a signed iPXE"
            )
        })
    }
}

/// Whether a loader that firmware fetches over TFTP is a GRUB or leads to one.
pub fn leads_to_grub(loader: &str) -> bool {
    let file = loader.rsplit_once('/').map_or(loader, |(_, file)| file);
    signed::is_grub(file) || file == OPEN_FIRMWARE_GRUB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grub_asks_whom_the_other_server_names_or_that_server_itself() {
        let [ours, theirs, other] = [1, 9, 7].map(|last| Ipv4Addr::new(10, 0, 0, last));
        let says = |next_server| OtherBootServer { server: theirs, next_server }.misleads(ours);
        assert_eq!(says(Some(ours)), None);
        assert!(says(Some(other)).unwrap().contains("GRUB asks 10.0.0.7"));
        assert!(says(None).unwrap().contains("GRUB asks 10.0.0.9"));
    }

    #[test]
    fn the_server_of_a_network_is_known_for_a_day_and_networks_are_bounded() {
        let at = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let other = OtherBootServer { server: Ipv4Addr::new(10, 0, 0, 9), next_server: None };
        let mut known = OtherBootServers::default();
        known.record(Cidr::around(Ipv4Addr::new(10, 0, 0, 0), 24), other, at(0));
        assert_eq!(known.of(Ipv4Addr::new(10, 0, 0, 50), at(23)), Some(other));
        assert_eq!(known.of(Ipv4Addr::new(10, 0, 0, 50), at(25)), None);
        assert_eq!(known.of(Ipv4Addr::new(10, 0, 1, 50), at(0)), None);
        for number in 0..2 * NETWORKS_MAX as u32 {
            known.record(Cidr::around(Ipv4Addr::from_bits(number << 8), 24), other, at(1));
        }
        assert_eq!(known.by_network.len(), NETWORKS_MAX);
    }

    #[test]
    fn what_leads_to_a_grub_is_known_by_its_name() {
        for loader in ["debian/shimx64.efi", "grubaa64.efi", "core.elf"] {
            assert!(leads_to_grub(loader), "{loader}");
        }
        for loader in ["snponly.efi", "ipxe/snponly-shim.efi", "pxelinux.0", "debian/efi.img"] {
            assert!(!leads_to_grub(loader), "{loader}");
        }
    }
}
