//! Facts about the host: interfaces, ports, kernel settings, capabilities. It only reads.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;

use crate::addresses::{self, OwnAddress};
use crate::cli::doctor::owners::{PortOwner, ProcessOwner, ServerMarks};
use crate::port_owner::{PortProtocol, is_port_bound, port_owners};

/// Bits of `CapEff` (capabilities(7)).
const CAP_NET_BIND_SERVICE: u32 = 10;
const CAP_NET_RAW: u32 = 13;

/// This host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    pub interfaces: Vec<HostInterface>,
    pub dhcp_port: PortUse,
    /// The port of boot servers (PXE 2.1).
    pub pxe_port: PortUse,
    /// `net.ipv4.conf.all.rp_filter`; the larger of this and the interface's value counts.
    pub rp_filter: u8,
    /// The capabilities of the DHCP server if it is visible, otherwise of this process.
    pub capabilities: HostCapabilities,
}

/// The processes that have a UDP port.
#[derive(Debug, Clone, Default)]
pub struct PortUse {
    pub bound: bool,
    pub owners: Vec<PortOwner>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostCapabilities {
    pub net_raw: bool,
    pub net_bind_service: bool,
}

/// A network interface of this host.
#[derive(Debug, Clone, Default)]
pub struct HostInterface {
    pub name: String,
    pub up: bool,
    /// Whether there is a carrier.
    pub running: bool,
    pub loopback: bool,
    pub addresses: Vec<HostAddress>,
    pub rp_filter: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostAddress {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

impl Host {
    /// Examines the host. The server with the data directory `data` counts as ours, whatever its name.
    ///
    /// # Errors
    /// The interfaces cannot be read.
    pub fn look(data: Option<&Path>) -> Result<Host> {
        let links = getifaddrs().context("the network interfaces cannot be read")?;
        let addresses = addresses::read().context("the addresses of this host cannot be read")?;
        let marks = ServerMarks::read(data);
        let dhcp_port = port_use(67, &marks);
        let server = dhcp_port.owners.iter().find(|owner| owner.whose == ProcessOwner::Ours);
        let server = server.map(|owner| owner.process.pid);
        Ok(Host {
            interfaces: interfaces(links, &addresses),
            dhcp_port,
            pxe_port: port_use(4011, &marks),
            rp_filter: rp_filter("all"),
            capabilities: capabilities(server),
        })
    }

    pub fn interface(&self, name: &str) -> Option<&HostInterface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }
}

fn port_use(port: u16, marks: &ServerMarks) -> PortUse {
    let owners = port_owners(PortProtocol::Udp, port).into_iter().map(|owner| marks.owner(owner));
    PortUse { bound: is_port_bound(PortProtocol::Udp, port), owners: owners.collect() }
}

/// All interfaces in the kernel's order; which of them matter is decided later.
fn interfaces(
    entries: impl Iterator<Item = InterfaceAddress>,
    addresses: &[OwnAddress],
) -> Vec<HostInterface> {
    let mut by_index: HashMap<u32, Vec<HostAddress>> = HashMap::new();
    for OwnAddress { interface, address, prefix } in addresses.iter().copied() {
        by_index.entry(interface).or_default().push(HostAddress { address, prefix });
    }
    // An entry without a link is the label of an address.
    let links = entries.filter_map(|entry| {
        let index = entry.address.as_ref()?.as_link_addr()?.ifindex();
        Some((entry, u32::try_from(index).ok()?))
    });
    links
        .map(|(entry, index): (InterfaceAddress, u32)| HostInterface {
            up: entry.flags.contains(InterfaceFlags::IFF_UP),
            running: entry.flags.contains(InterfaceFlags::IFF_RUNNING),
            loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            addresses: by_index.remove(&index).unwrap_or_default(),
            rp_filter: rp_filter(&entry.interface_name),
            name: entry.interface_name,
        })
        .collect()
}

fn rp_filter(interface: &str) -> u8 {
    let text =
        fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn capabilities(server: Option<u32>) -> HostCapabilities {
    let process = server.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    read_capabilities(&fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default())
}

fn read_capabilities(status: &str) -> HostCapabilities {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let bits = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
    HostCapabilities {
        net_raw: bits & (1 << CAP_NET_RAW) != 0,
        net_bind_service: bits & (1 << CAP_NET_BIND_SERVICE) != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_a_loopback_interface_that_is_up() {
        let host = Host::look(None).unwrap();
        let lo = host.interface("lo").unwrap();
        assert!(lo.up && lo.loopback);
        assert_eq!(lo.addresses[0], HostAddress { address: Ipv4Addr::LOCALHOST, prefix: 8 });
    }

    #[test]
    fn an_interface_is_seen_behind_many_others() {
        let entry = getifaddrs().unwrap().find(|entry| entry.interface_name == "lo").unwrap();
        let named = |name| InterfaceAddress { interface_name: name, ..entry.clone() };
        let names = (0..1100).map(|number| format!("tap{number}")).chain(["eth1".to_owned()]);
        let found = interfaces(names.map(named), &[]);
        assert_eq!((found.len(), found[1100].name.as_str()), (1101, "eth1"));
    }

    #[test]
    fn capabilities_are_read_from_the_kernels_mask() {
        let raw_only = "Name:\tx\nCapPrm:\tffff\nCapEff:\t0000000000002000\n";
        assert_eq!(read_capabilities(raw_only), HostCapabilities { net_raw: true, net_bind_service: false });
        assert!(read_capabilities("CapEff:\t0000000000000400").net_bind_service);
        assert_eq!(read_capabilities(""), HostCapabilities::default());
    }
}
