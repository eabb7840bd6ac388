//! What this host is called and where it is reached: what its certificate names. Nothing is asked over the
//! network, where an answer may take long.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context;
use rustls::pki_types::DnsName;

/// Most names of a certificate: it goes over the wire with each handshake.
const NAMES_MAX: usize = 256;
/// Longest file of the system that is read for names, in bytes.
const FILE_BYTES_MAX: usize = 256 << 10;

/// The names that the operator wants, this host's, and each of its addresses but those of one link.
///
/// # Errors
/// The system does not tell its addresses.
pub fn names(wanted: &[String]) -> anyhow::Result<Vec<String>> {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let (hosts, resolver) = (read("/etc/hosts"), read("/etc/resolv.conf"));
    let own = host.iter().flat_map(|host| names_of(host, &hosts, &resolver));
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let addresses = addresses()?.into_iter().map(|address| address.to_string());
    let mut known = BTreeSet::new();
    let all = wanted.iter().cloned().chain(own).chain(local).chain(addresses);
    let all: Vec<String> = all.filter(|name| known.insert(name.clone())).collect();
    if all.len() > NAMES_MAX {
        tracing::warn!(
            addresses = all.len(),
            "this host has more addresses than its certificate names: list those that the API is reached at \
             in api.names"
        );
    }
    Ok(all.into_iter().take(NAMES_MAX).collect())
}

/// The name of the host, and what stands beside it in hosts(5) or follows from resolv.conf(5).
fn names_of(host: &str, hosts: &str, resolver: &str) -> Vec<String> {
    let host = host.to_ascii_lowercase();
    let mut names = vec![host.clone()];
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace().skip(1);
        if words.clone().any(|word| word.eq_ignore_ascii_case(&host)) {
            names.extend(words.by_ref().map(str::to_ascii_lowercase));
        }
    }
    let domain = resolver.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next()?, "domain" | "search").then(|| words.next()).flatten()
    });
    if let (Some(domain), false) = (domain, host.contains('.')) {
        names.push(format!("{host}.{}", domain.trim_end_matches('.').to_ascii_lowercase()));
    }
    names.retain(|name| DnsName::try_from(name.as_str()).is_ok());
    names
}

fn addresses() -> anyhow::Result<BTreeSet<IpAddr>> {
    let found = nix::ifaddrs::getifaddrs().context("the addresses of this host")?;
    let addresses = found.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let v6 = address.as_sockaddr_in6().map(|v6| v6.ip()).filter(|v6| !v6.is_unicast_link_local());
        v4.or(v6.map(IpAddr::V6))
    });
    Ok(addresses.collect())
}

/// What can be read of a small file of the system; nothing where it is not there.
fn read(path: &str) -> String {
    let text = std::fs::read(Path::new(path)).unwrap_or_default();
    String::from_utf8_lossy(text.get(..FILE_BYTES_MAX).unwrap_or(&text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_called_what_its_files_call_it() {
        let hosts =
            "127.0.0.1 localhost\n127.0.1.1 Boot.site.example boot # not.this\n10.0.0.9 other.example\n";
        let resolver = "nameserver 10.0.0.1\nsearch lab.example. more.example\n";
        let names = names_of("boot", hosts, resolver);
        assert_eq!(names, ["boot", "boot.site.example", "boot", "boot.lab.example"]);
        assert_eq!(names_of("boot.a.example", "", resolver), ["boot.a.example"]);
        assert_eq!(names_of("a b", "", ""), [""; 0]);
    }

    #[test]
    fn the_names_of_the_operator_come_first_and_none_comes_twice() {
        let names = names(&["boot.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        assert_eq!(names[0], "boot.example");
        assert_eq!(names.iter().filter(|name| *name == "127.0.0.1").count(), 1);
        assert!(names.contains(&"localhost".to_owned()));
    }
}
