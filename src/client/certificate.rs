//! What a certificate says: from when until when, and for whom.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Names of a certificate that are looked at.
const NAMES_MAX: usize = 1024;

/// The dates and names of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    pub begins: Timestamp,
    pub ends: Timestamp,
    /// DNS names in small letters, and addresses, of the subject alternative name.
    pub names: BTreeSet<String>,
}

impl CertificateFacts {
    /// Reads a certificate in DER; nothing where it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let alternatives = parsed.subject_alternative_name().ok()?;
        let names = alternatives.iter().flat_map(|names| &names.value.general_names);
        Some(CertificateFacts {
            begins: Timestamp::from_second(parsed.validity().not_before.timestamp()).ok()?,
            ends: Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()?,
            names: names.take(NAMES_MAX).filter_map(name).collect(),
        })
    }

    /// Whether it is for this host: an address, or a name that stands in it or fits its `*.` (RFC 6125
    /// section 6.4.3).
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let host = host.parse::<IpAddr>().map_or(host, |address| address.to_string());
        let wild = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        self.names.contains(&host) || wild.is_some_and(|wild| self.names.contains(&wild))
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
            let v6 = <[u8; 16]>::try_from(*bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_names_and_addresses_in_it_and_no_others() {
        let names = ["boot.example", "*.lab.example", "10.0.0.1", "fd00::1"].map(str::to_owned).to_vec();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let facts = CertificateFacts::read(made.cert.der()).unwrap();
        for host in ["boot.example", "BOOT.example", "a.lab.example", "10.0.0.1", "fd00::1", "[fd00:0::1]"] {
            assert!(facts.is_for(host), "{host}");
        }
        for host in ["example", "lab.example", "a.b.lab.example", "10.0.0.2", "fd00::2", ""] {
            assert!(!facts.is_for(host), "{host}");
        }
        assert!(facts.begins < facts.ends);
        assert_eq!(CertificateFacts::read(b"no certificate"), None);
    }
}
