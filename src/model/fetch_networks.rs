//! The rule for which addresses the server connects to when it fetches the files of artifacts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IPv4 or IPv6 network: an address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// Whether the network contains an address. A v4-mapped IPv6 address counts as its IPv4 address.
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

fn network_error(text: &str) -> String {
    format!("`{text}` is not a network: write it like 127.0.0.0/8 or 169.254.10.1")
}

/// The addresses that the server may fetch from: public and private ones, and those that an operator listed
/// in `artifacts.fetch_from`. Loopback, link-local, unspecified, multicast and broadcast addresses are
/// refused: they reach services of this host or of its cloud, which a caller must not read (RFC 6890).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchNetworks {
    listed: Vec<IpNetwork>,
}

impl FetchNetworks {
    /// Builds the rule; `listed` are the networks that are allowed in addition.
    pub fn new(listed: Vec<IpNetwork>) -> Self {
        FetchNetworks { listed }
    }

    /// Why the server does not connect to an address; none if it does.
    pub fn refusal(&self, address: IpAddr) -> Option<String> {
        let what = special(address).filter(|_| !self.listed.iter().any(|it| it.contains(address)))?;
        Some(format!(
            "{address} is {what}: the server fetches nothing from there unless `artifacts.fetch_from` in its \
             configuration lists the address or its network"
        ))
    }

    /// Why the server does not fetch from a URL whose host is a refused address or `localhost`. Other host
    /// names are checked after they are resolved.
    pub fn url_refusal(&self, url: &str) -> Option<String> {
        let host = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
        let host = host.rsplit('@').next()?;
        let address = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next()?.parse().ok()?,
            None => match host.split(':').next()? {
                name if name.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
                name => name.parse().ok()?,
            },
        };
        self.refusal(address)
    }
}

/// Which kind of refused address this is; none for an address that may be fetched from. An IPv4 address that
/// is embedded in an IPv6 address counts.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_link_local() {
        Some("a link-local address")
    } else if address.octets().first() == Some(&0) {
        // "This network" (RFC 1122 section 3.2.1.3): Linux connects to the host itself.
        Some("an unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_broadcast() {
        Some("the broadcast address")
    } else {
        None
    }
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_unspecified() {
        Some("an unspecified address")
    } else if address.is_unicast_link_local() {
        Some("a link-local address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else {
        embedded(address).and_then(special_v4)
    }
}

/// The IPv4 address that packets to an IPv6 address may reach: v4-mapped and v4-compatible (RFC 4291 section
/// 2.5.5), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => embedded_address(g, h),
        [0x2002, high, low, ..] => embedded_address(high, low),
        _ => None,
    }
}

fn embedded_address(high: u16, low: u16) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(networks: &FetchNetworks, address: &str) -> bool {
        networks.refusal(address.parse().unwrap()).is_some()
    }

    #[test]
    fn addresses_of_this_host_and_its_link_are_not_fetched_from_and_private_ones_are() {
        let none = FetchNetworks::default();
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
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(refused(&none, address), "{address}");
        }
        for address in ["10.0.0.1", "192.168.1.1", "172.16.0.1", "151.101.2.132", "fd00::1", "2a04:4e42::644"]
        {
            assert!(!refused(&none, address), "{address}");
        }
    }

    #[test]
    fn a_listed_network_is_fetched_from_and_nothing_beside_it() {
        let listed = FetchNetworks::new(vec!["127.0.0.2".parse().unwrap(), "fe80::/10".parse().unwrap()]);
        assert!(!refused(&listed, "127.0.0.2") && !refused(&listed, "::ffff:127.0.0.2"));
        assert!(!refused(&listed, "fe80::1"));
        assert!(refused(&listed, "127.0.0.1") && refused(&listed, "::1"));
        let all = FetchNetworks::new(vec!["0.0.0.0/0".parse().unwrap()]);
        assert!(!refused(&all, "169.254.169.254") && refused(&all, "::1"));
    }

    #[test]
    fn a_url_shows_its_address_in_every_spelling_that_is_one() {
        let none = FetchNetworks::default();
        for url in [
            "http://127.0.0.1:31999/x",
            "http://localhost/x",
            "https://LOCALHOST:1/",
            "http://[::1]:80/",
            "http://[::ffff:127.0.0.1]/x",
            "http://169.254.169.254?x",
        ] {
            assert!(none.url_refusal(url).is_some_and(|why| why.contains("artifacts.fetch_from")), "{url}");
        }
        for url in ["http://10.0.0.1/x", "https://deb.debian.org/", "http://[fd00::1]/", "nonsense"] {
            assert_eq!(none.url_refusal(url), None, "{url}");
        }
    }

    #[test]
    fn a_network_is_read_with_and_without_its_prefix() {
        let network = |text: &str| text.parse::<IpNetwork>();
        assert!(network("10.0.0.0/8").unwrap().contains("10.255.0.1".parse().unwrap()));
        assert!(!network("10.0.0.1").unwrap().contains("10.0.0.2".parse().unwrap()));
        for wrong in ["", "10.0.0", "10.0.0.0/33", "fe80::/129", "10.0.0.0/x", "lo"] {
            assert!(network(wrong).unwrap_err().contains("write it like"), "{wrong}");
        }
    }
}
