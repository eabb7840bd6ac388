//! Where the server connects to when somebody else names the place: for the files of artifacts, and for
//! whatever else is sent or fetched for an object. One setting, `fetch.allow`. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IpNetwork, SpecialAddress};

/// Longest name of a host, in bytes (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// One entry of `fetch.allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedPlace {
    /// `10.0.0.0/8`, `10.0.0.5`: these addresses, at every port.
    Network(IpNetwork),
    /// `10.0.0.5:3142`.
    Endpoint(SocketAddr),
    /// `mirror.example.com` or `mirror.example.com:3142`: wherever the name resolves to.
    Host { name: String, port: Option<u16> },
}

impl FromStr for AllowedPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if text.contains('/') || bare.parse::<IpAddr>().is_ok() {
            return bare.parse().map(AllowedPlace::Network).map_err(|_| place_error(text));
        }
        if let Ok(endpoint) = text.parse() {
            return Ok(AllowedPlace::Endpoint(endpoint));
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| place_error(text))?)),
            None => (text, None),
        };
        let name = host_name(name);
        if is_host_name(&name) { Ok(AllowedPlace::Host { name, port }) } else { Err(place_error(text)) }
    }
}

/// As it is written in the setting.
impl fmt::Display for AllowedPlace {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AllowedPlace::Network(network) => write!(to, "{network}"),
            AllowedPlace::Endpoint(endpoint) => write!(to, "{endpoint}"),
            AllowedPlace::Host { name, port: None } => write!(to, "{name}"),
            AllowedPlace::Host { name, port: Some(port) } => write!(to, "{name}:{port}"),
        }
    }
}

fn place_error(text: &str) -> String {
    format!(
        "`{text}` is no place: write a network like 10.0.0.0/8, an address or name like mirror.example.com, \
         or one with a port like 10.0.0.5:3142"
    )
}

/// A name as it is compared: without the dot of the root, in small letters.
fn host_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// An address that is mistyped is not taken for a name.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= HOST_BYTES_MAX
        && name.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// A host and port that a URL names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UrlPlace {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
}

impl UrlPlace {
    /// An address may stand in brackets.
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        UrlPlace { host: host_name(bare), port }
    }

    /// Of a URL of the schemes `http` and `https`, as far as it is written plainly.
    pub fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
        let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
        let end = match authority.strip_prefix('[') {
            Some(v6) => v6.find(']')? + 2,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, port) = authority.split_at_checked(end)?;
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None => default,
        };
        (!host.is_empty()).then(|| UrlPlace::new(host, port))
    }

    /// The address that it is, where it is no name. `localhost` is one without being resolved (RFC 6761).
    pub fn address(&self) -> Option<IpAddr> {
        if self.host == "localhost" {
            return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        self.host.parse().ok()
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// As it is written in `fetch.allow`.
    pub fn entry(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }
}

/// Why an address is not connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceRefusal {
    place: UrlPlace,
    address: IpAddr,
    what: SpecialAddress,
}

impl PlaceRefusal {
    /// Whether versions without `fetch.allow` connected to it.
    pub fn was_open_before(&self) -> bool {
        self.what.is_private
    }

    /// For the status of who was let through.
    pub fn unlisted(&self) -> UnlistedPlace {
        UnlistedPlace { host: self.place.host.clone(), port: self.place.port, address: self.address }
    }

    /// The line of the configuration that allows it.
    fn line(&self) -> String {
        format!("add \"{}\" to the list `fetch.allow` of the server's configuration", self.place.entry())
    }
}

impl std::fmt::Display for PlaceRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (address, what) = (self.address, self.what.name);
        let line = self.line();
        write!(
            f,
            "{address} is {what}, and the server connects to none that is not listed: to allow it, {line}"
        )
    }
}

/// A place that is connected to although `fetch.allow` does not list it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct UnlistedPlace {
    /// As the URL names it: a name, or an address.
    pub host: String,
    pub port: u16,
    /// Where it was found.
    #[schemars(with = "String")]
    pub address: IpAddr,
}

/// The rule: public addresses, and what an operator listed in `fetch.allow`. All others are services of this
/// host, of its cloud and of the site, which are not to be read by whoever may write an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchPolicy {
    allowed: Vec<AllowedPlace>,
}

impl FetchPolicy {
    pub fn new(allowed: Vec<AllowedPlace>) -> Self {
        FetchPolicy { allowed }
    }

    /// Why the server does not connect to an address for a place; nothing where it does.
    pub fn refusal(&self, place: &UrlPlace, address: IpAddr) -> Option<PlaceRefusal> {
        let what = SpecialAddress::of(address)?;
        let address = address.to_canonical();
        let is_listed = self.allowed.iter().any(|entry| match entry {
            AllowedPlace::Network(network) => network.contains(address),
            AllowedPlace::Endpoint(endpoint) => {
                endpoint.ip().to_canonical() == address && endpoint.port() == place.port
            }
            AllowedPlace::Host { name, port } => {
                *name == place.host && port.is_none_or(|port| port == place.port)
            }
        });
        (!is_listed).then(|| PlaceRefusal { place: place.clone(), address, what })
    }

    /// Why the server does not connect to the host of a URL, as far as the URL says it: where its host is an
    /// address, or `localhost`. What other names resolve to shows when they are resolved.
    pub fn url_refusal(&self, url: &str) -> Option<PlaceRefusal> {
        let place = UrlPlace::of_url(url)?;
        self.refusal(&place, place.address()?)
    }

    /// What is to be said of a place that was connected to; nothing where it is listed by now.
    pub fn advice(&self, unlisted: &UnlistedPlace) -> Option<String> {
        let refusal = self.refusal(&UrlPlace::new(&unlisted.host, unlisted.port), unlisted.address)?;
        Some(format!(
            "{} is {}. It is fetched from because it was configured before there was `fetch.allow`: {}",
            refusal.place.entry(),
            refusal.what.name,
            refusal.line()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(entries: &[&str]) -> FetchPolicy {
        FetchPolicy::new(entries.iter().map(|entry| entry.parse().unwrap()).collect())
    }

    fn is_refused(policy: &FetchPolicy, (host, port): (&str, u16), address: &str) -> bool {
        policy.refusal(&UrlPlace::new(host, port), address.parse().unwrap()).is_some()
    }

    #[test]
    fn public_addresses_are_connected_to_and_others_only_if_they_are_listed() {
        let none = FetchPolicy::default();
        assert!(!is_refused(&none, ("deb.debian.org", 443), "151.101.2.132"));
        for address in ["10.0.0.5", "127.0.0.1", "169.254.169.254", "fd00::1", "::ffff:10.0.0.5"] {
            assert!(is_refused(&none, ("mirror", 80), address), "{address}");
            assert!(!is_refused(&policy(&["0.0.0.0/0", "::/0"]), ("mirror", 80), address), "{address}");
        }
    }

    #[test]
    fn each_kind_of_entry_allows_what_it_names_and_nothing_beside_it() {
        let network = policy(&["10.0.0.0/8", "fd00::/16"]);
        assert!(!is_refused(&network, ("a", 1), "10.9.9.9") && !is_refused(&network, ("a", 1), "fd00::9"));
        assert!(!is_refused(&network, ("a", 1), "::ffff:10.0.0.1"));
        assert!(is_refused(&network, ("a", 1), "192.168.0.1"));
        let endpoint = policy(&["10.0.0.5:3142", "[fd00::5]:80"]);
        assert!(
            !is_refused(&endpoint, ("a", 3142), "10.0.0.5") && is_refused(&endpoint, ("a", 22), "10.0.0.5")
        );
        assert!(!is_refused(&endpoint, ("a", 80), "fd00::5") && is_refused(&endpoint, ("a", 80), "fd00::6"));
        let host = policy(&["Mirror.Example.com.", "other.example.com:3142"]);
        assert!(!is_refused(&host, ("mirror.example.COM", 1), "10.0.0.1"));
        assert!(!is_refused(&host, ("other.example.com", 3142), "10.0.0.1"));
        assert!(is_refused(&host, ("other.example.com", 22), "10.0.0.1"));
        assert!(is_refused(&host, ("x.mirror.example.com", 1), "10.0.0.1"));
        assert!(is_refused(&host, ("10.0.0.1", 1), "10.0.0.1"));
    }

    #[test]
    fn a_refusal_names_the_entry_that_allows_it() {
        for (url, entry) in [
            ("http://10.0.0.5:3142/debian", "10.0.0.5:3142"),
            ("https://10.0.0.5/x", "10.0.0.5:443"),
            ("http://localhost/x", "localhost:80"),
            ("http://[fd00::1]/", "[fd00::1]:80"),
            ("http://[::ffff:127.0.0.1]:81/x", "[::ffff:127.0.0.1]:81"),
            ("HTTPS://LOCALHOST:1/", "localhost:1"),
            ("http://169.254.169.254?x", "169.254.169.254:80"),
        ] {
            let refusal = FetchPolicy::default().url_refusal(url).unwrap().to_string();
            let line = format!("add \"{entry}\" to the list `fetch.allow`");
            assert!(refusal.contains(&line), "{url}: {refusal}");
            assert_eq!(policy(&[entry]).url_refusal(url), None, "{url} with {entry}");
        }
        for url in ["https://deb.debian.org/", "http://mirror/x", "nonsense", "http://", "http://[::1/"] {
            assert_eq!(FetchPolicy::default().url_refusal(url), None, "{url}");
        }
    }

    #[test]
    fn advice_ends_when_the_place_is_listed_in_any_way() {
        let refusal = FetchPolicy::default();
        let refusal = refusal.refusal(&UrlPlace::new("mirror.corp", 3142), "10.0.0.5".parse().unwrap());
        let unlisted = refusal.unwrap().unlisted();
        let advice = FetchPolicy::default().advice(&unlisted).unwrap();
        assert!(
            advice.contains("add \"mirror.corp:3142\"") && advice.contains("a private address"),
            "{advice}"
        );
        for entry in ["mirror.corp", "mirror.corp:3142", "10.0.0.5", "10.0.0.0/8", "10.0.0.5:3142"] {
            assert_eq!(policy(&[entry]).advice(&unlisted), None, "{entry}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let numbers = ["", "10.0.0", "10.0.0.300", "10.0.0.0/33", "a:x", "a:70000"];
        for wrong in numbers.into_iter().chain(["a b", "http://a", ".", "a..b", "*.corp"]) {
            assert!(wrong.parse::<AllowedPlace>().is_err(), "{wrong}");
        }
    }
}
