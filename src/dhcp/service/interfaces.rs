//! The interfaces we serve, as the kernel has them now.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use nix::ifaddrs::{InterfaceAddress as Entry, getifaddrs};
use nix::sys::socket::{LinkAddr, SockaddrLike as _};

use crate::dhcp::{Interface, InterfaceAddress};
use crate::model::Mac;

/// What the kernel says of the interfaces that are served, an address each time, that is looked at.
const ENTRIES_MAX: usize = 1024;
/// The MTU where the kernel does not tell one.
const MTU_DEFAULT: u32 = 1500;

/// One interface and how to put a frame on it.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub facts: Arc<Interface>,
    pub link: Option<LinkAddr>,
}

impl Port {
    /// The interface's own hardware address.
    pub fn mac(&self) -> Option<Mac> {
        self.link.and_then(|link| link.addr()).map(Mac)
    }
}

/// The interfaces called by `names` that exist, by index. Members of a bridge or bond are not
/// looked at: packets are reported at the interface that has the address.
pub(super) fn read(names: &[String]) -> io::Result<BTreeMap<u32, Port>> {
    Ok(ports(getifaddrs()?, names))
}

/// As [`read`]; hosts of many guests have far more links than are served.
fn ports(entries: impl Iterator<Item = Entry>, names: &[String]) -> BTreeMap<u32, Port> {
    let mut ports: BTreeMap<u32, Port> = BTreeMap::new();
    for entry in entries.filter(|entry| names.contains(&entry.interface_name)).take(ENTRIES_MAX) {
        let Ok(index) = nix::net::if_::if_nametoindex(entry.interface_name.as_str()) else { continue };
        let port = ports.entry(index).or_insert_with(|| Port {
            facts: Arc::new(Interface {
                mtu: mtu(&entry.interface_name),
                name: entry.interface_name.clone(),
                index,
                addresses: Vec::new(),
            }),
            link: None,
        });
        let Some(address) = entry.address else { continue };
        if let Some(link) = address.as_link_addr().filter(|link| link.len() > 0) {
            port.link = Some(*link);
        }
        if let Some(address) = address.as_sockaddr_in() {
            let mask = entry.netmask.and_then(|mask| mask.as_sockaddr_in().map(|mask| mask.ip()));
            let mask = mask.unwrap_or(Ipv4Addr::BROADCAST);
            let prefix = mask.to_bits().leading_ones() as u8;
            Arc::make_mut(&mut port.facts).addresses.push(InterfaceAddress { address: address.ip(), prefix });
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
    use super::*;

    #[test]
    fn the_loopback_interface_is_read_and_others_are_not() {
        let ports = read(&["lo".to_owned(), "no-such-interface".to_owned()]).unwrap();
        let facts: Vec<_> = ports.values().map(|port| &port.facts).collect();
        assert_eq!(facts.len(), 1);
        assert!(facts[0].has_address(Ipv4Addr::LOCALHOST) && facts[0].mtu >= 1500);
        assert!(facts[0].is_on_link(Ipv4Addr::new(127, 9, 9, 9)));
    }

    #[test]
    fn an_interface_is_found_behind_many_that_are_not_served() {
        let entry = getifaddrs().unwrap().find(|entry| entry.interface_name == "lo").unwrap();
        let other = |number| Entry { interface_name: format!("tap{number}"), ..entry.clone() };
        let entries = (0..1100).map(other).chain([entry.clone()]);
        assert_eq!(ports(entries, &["lo".to_owned()]).len(), 1);
    }
}
