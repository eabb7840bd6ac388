//! Networks of IP addresses, and what an address is that is no public one. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network of IPv4 or IPv6: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// Whether an address is in it. A v4-mapped IPv6 address is the IPv4 address in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, own, other) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (32, u128::from(u32::from(own)), u128::from(u32::from(other)))
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => (128, u128::from(own), u128::from(other)),
            _ => return false,
        };
        let free = bits - u32::from(self.prefix);
        own.checked_shr(free) == other.checked_shr(free)
    }
}

impl FromStr for IpNetwork {
    type Err = String;

    /// `127.0.0.0/8`, `fe80::/10`, or one address.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| network_error(text))?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), |prefix| prefix.parse().map_err(|_| network_error(text)))?;
        if prefix > bits {
            return Err(network_error(text));
        }
        Ok(IpNetwork { address, prefix })
    }
}

/// As it is written: `127.0.0.0/8`, `fe80::1`.
impl fmt::Display for IpNetwork {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        match self.prefix {
            prefix if prefix == bits => write!(to, "{}", self.address),
            prefix => write!(to, "{}/{prefix}", self.address),
        }
    }
}

fn network_error(text: &str) -> String {
    format!("`{text}` is not a network: write it like 127.0.0.0/8 or 169.254.10.1")
}

/// An address that is not part of the public Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialAddress {
    /// What it is, with its article: `a loopback address`.
    pub name: &'static str,
    /// Whether it is of a private network, and not of this host, its links, or many hosts at once.
    pub is_private: bool,
}

const fn own(name: &'static str) -> Option<SpecialAddress> {
    Some(SpecialAddress { name, is_private: false })
}

const fn private(name: &'static str) -> Option<SpecialAddress> {
    Some(SpecialAddress { name, is_private: true })
}

impl SpecialAddress {
    /// What an address is; nothing for a public one. An IPv4 address inside of an IPv6 address counts.
    /// The registries are RFC 6890.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => special_v4(address),
            IpAddr::V6(address) => special_v6(address),
        }
    }
}

fn special_v4(address: Ipv4Addr) -> Option<SpecialAddress> {
    match address.octets() {
        [127, ..] => own("a loopback address"),
        [169, 254, ..] => own("a link-local address"),
        // "This network" (RFC 1122 section 3.2.1.3): Linux connects to itself.
        [0, ..] => own("an unspecified address"),
        [255, 255, 255, 255] => own("the broadcast address"),
        [224..=239, ..] => own("a multicast address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => private("a private address"),
        [100, 64..=127, ..] => private("a shared address of a carrier (RFC 6598)"),
        [192, 0, 0, _] | [198, 18..=19, ..] | [240..=255, ..] => private("a reserved address"),
        _ => None,
    }
}

fn special_v6(address: Ipv6Addr) -> Option<SpecialAddress> {
    if address.is_loopback() {
        return own("a loopback address");
    }
    if address.is_unspecified() {
        return own("an unspecified address");
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] => own("a link-local address"),
        [0xff00..=0xffff, ..] => own("a multicast address"),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => private("a private address"),
        // What a translator makes of it is known to the site alone (RFC 8215).
        [0x64, 0xff9b, 1, ..] => private("an address of a translator"),
        _ => {
            let found: Vec<SpecialAddress> = embedded(address).into_iter().filter_map(special_v4).collect();
            found.iter().find(|special| !special.is_private).or(found.first()).copied()
        }
    }
}

/// The IPv4 addresses that packets to this IPv6 address may reach: v4-mapped and v4-compatible (RFC 4291
/// section 2.5.5), NAT64 (RFC 6052), 6to4 (RFC 3056), ISATAP (RFC 5214), and the client and server of Teredo
/// (RFC 4380 section 4).
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => vec![v4_of(g, h)],
        [0x2002, high, low, ..] => vec![v4_of(high, low)],
        [0x2001, 0, high, low, ..] => vec![v4_of(!g, !h), v4_of(high, low)],
        [.., 0 | 0x200, 0x5efe] => vec![v4_of(g, h)],
        _ => Vec::new(),
    }
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<SpecialAddress> {
        SpecialAddress::of(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_this_host_of_its_links_and_of_many_hosts_are_its_own() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:7f00:1::1",
            "2001:0:808:808::80ff:fffe",
            "2a00::5efe:127.0.0.1",
        ] {
            assert!(of(address).is_some_and(|it| !it.is_private), "{address}: {:?}", of(address));
        }
    }

    #[test]
    fn private_addresses_are_known_in_every_form() {
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "240.0.0.1",
            "fd00::1",
            "fc00::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "2002:c0a8:101::1",
            "2001:0:808:808::f5ff:fffe",
        ] {
            assert!(of(address).is_some_and(|it| it.is_private), "{address}: {:?}", of(address));
        }
        for address in
            ["9.255.255.255", "11.0.0.0", "172.32.0.0", "100.128.0.0", "151.101.2.132", "2a04:4e42::644"]
        {
            assert_eq!(of(address), None, "{address}");
        }
        for address in ["64:ff9b::808:808", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7"] {
            assert_eq!(of(address), None, "{address} is a form of 8.8.8.8");
        }
    }

    #[test]
    fn a_network_is_read_with_and_without_its_prefix() {
        let network = |text: &str| text.parse::<IpNetwork>();
        assert!(network("10.0.0.0/8").unwrap().contains("10.255.0.1".parse().unwrap()));
        assert!(network("10.0.0.0/8").unwrap().contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!network("10.0.0.1").unwrap().contains("10.0.0.2".parse().unwrap()));
        for wrong in ["", "10.0.0", "10.0.0.0/33", "fe80::/129", "10.0.0.0/x", "lo"] {
            assert!(network(wrong).unwrap_err().contains("write it like"), "{wrong}");
        }
    }
}
