//! Files that are fetched without encryption from hosts of others.

use std::net::IpAddr;

use super::{LintFinding, LintRule, LintSeverity, LintedText, pattern};

const PLAIN: LintRule = LintRule {
    name: "plain-http",
    severity: LintSeverity::Warning,
    remedy: "use https://, or serve the files as an artifact: on the way anybody can change them",
};
/// Names that no foreign host has: of this network, and of documentation (RFC 2606, RFC 6761, RFC 6762, RFC
/// 8375).
const OWN_NAMES: [&str; 11] = [
    "localhost",
    ".localhost",
    ".local",
    ".lan",
    ".internal",
    ".home.arpa",
    ".test",
    ".invalid",
    ".example",
    "example.org",
    "example.com",
];
/// Addresses of namespaces, which nobody fetches.
const NAMES_ONLY: [&str; 3] = ["json-schema.org", "www.w3.org", "schemas.microsoft.com"];

pub(super) fn findings(text: &LintedText) -> Vec<LintFinding> {
    let Some(url) = pattern(r"http://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (line, written) in text.lines().filter(|(_, line)| !is_comment(line)) {
        let hosts = url.captures_iter(written).filter_map(|url| url.get(1));
        for host in hosts.map(|host| host.as_str().trim_end_matches('.')).filter(|host| is_foreign(host)) {
            let what = format!("this is fetched from {host} over plain HTTP");
            found.push(LintFinding::of(&PLAIN, (&text.path, Some(line)), what));
        }
    }
    found
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('#') || line.starts_with("{#") || line.starts_with("//")
}

fn is_foreign(host: &str) -> bool {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return match address {
            IpAddr::V4(address) => {
                !(address.is_private()
                    || address.is_loopback()
                    || address.is_link_local()
                    || address.is_documentation())
            }
            IpAddr::V6(address) => {
                !(address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local())
            }
        };
    }
    let is_own = |name: &&str| match name.starts_with('.') {
        true => host.ends_with(*name),
        false => host == *name || host.ends_with(&format!(".{name}")),
    };
    // A name without a dot is one of this network.
    host.contains('.') && !OWN_NAMES.iter().any(is_own) && !NAMES_ONLY.contains(&host)
}
