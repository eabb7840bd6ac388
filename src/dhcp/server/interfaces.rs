//! The interfaces that are served, as the kernel reports them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use nix::ifaddrs::{InterfaceAddress as Entry, getifaddrs};
use nix::sys::socket::{LinkAddr, SockaddrLike as _};

use crate::addresses::{self, OwnAddress};
use crate::dhcp::decide::{InterfaceAddress, NetworkInterface};
use crate::model::Mac;

/// Most addresses of served interfaces that are read.
const ADDRESSES_MAX: usize = 1024;
/// The MTU if the kernel reports none.
const MTU_DEFAULT: u32 = 1500;

/// An interface, and how to send a frame on it.
#[derive(Debug, Clone)]
pub(super) struct LinkPort {
    pub facts: Arc<NetworkInterface>,
    pub link: Option<LinkAddr>,
}

impl LinkPort {
    /// The hardware address of the interface.
    pub fn mac(&self) -> Option<Mac> {
        self.link.and_then(|link| link.addr()).map(Mac)
    }
}

/// The interfaces in `names` that exist, by index. Members of a bridge or bond are not read: packets are
/// reported on the interface that has the address.
pub(super) fn read(names: &[String]) -> io::Result<BTreeMap<u32, LinkPort>> {
    Ok(ports((getifaddrs()?, addresses::read()?), names))
}

/// Like [`read`]. Hosts with many guests have far more links than are served. An entry with the name of an
/// interface may also be the label of an address that belongs to another interface.
fn ports(
    (links, addresses): (impl Iterator<Item = Entry>, Vec<OwnAddress>),
    names: &[String],
) -> BTreeMap<u32, LinkPort> {
    let mut ports: BTreeMap<u32, LinkPort> = BTreeMap::new();
    let links = links.filter(|entry| names.contains(&entry.interface_name));
    for (name, link) in
        links.filter_map(|entry| Some((entry.interface_name, *entry.address?.as_link_addr()?)))
    {
        let Ok(index) = u32::try_from(link.ifindex()) else { continue };
        let facts = NetworkInterface { mtu: mtu(&name), name, index, addresses: Vec::new() };
        ports.insert(
            index,
            LinkPort { facts: Arc::new(facts), link: Some(link).filter(|link| link.len() > 0) },
        );
    }
    let served = addresses.into_iter().filter(|own| ports.contains_key(&own.interface));
    let served: Vec<OwnAddress> = served.take(ADDRESSES_MAX).collect();
    for OwnAddress { interface, address, prefix } in served {
        if let Some(port) = ports.get_mut(&interface) {
            Arc::make_mut(&mut port.facts).addresses.push(InterfaceAddress { address, prefix });
        }
    }
    ports
}

fn mtu(name: &str) -> u32 {
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).unwrap_or_default();
    text.trim().parse().unwrap_or(MTU_DEFAULT)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_loopback_interface_is_read_and_others_are_not() {
        let ports = read(&["lo".to_owned(), "no-such-interface".to_owned()]).unwrap();
        let facts: Vec<_> = ports.values().map(|port| &port.facts).collect();
        assert_eq!(facts.len(), 1);
        assert!(facts[0].has_address(Ipv4Addr::LOCALHOST) && facts[0].mtu >= 1500);
        assert!(facts[0].is_on_link(Ipv4Addr::new(127, 9, 9, 9)));
    }

    /// The entry of a link; the kernel lists it before the entries of addresses.
    fn loopback() -> Entry {
        getifaddrs().unwrap().find(|entry| entry.interface_name == "lo").unwrap()
    }

    #[test]
    fn an_interface_is_found_behind_many_that_are_not_served() {
        let other = |number| Entry { interface_name: format!("tap{number}"), ..loopback() };
        let entries = (0..1100).map(other).chain([loopback()]);
        let guests = (0..1100).map(|number| OwnAddress {
            interface: 1000 + number,
            address: Ipv4Addr::from(0x0a00_0000 + number),
            prefix: 24,
        });
        let own = OwnAddress { interface: 1, address: Ipv4Addr::LOCALHOST, prefix: 8 };
        let ports = ports((entries, guests.chain([own]).collect()), &["lo".to_owned()]);
        assert_eq!(ports.len(), 1);
        assert!(ports.values().all(|port| port.facts.has_address(Ipv4Addr::LOCALHOST)));
    }
}
