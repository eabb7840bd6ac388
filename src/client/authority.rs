//! The certificate authority of a server's data directory, as its clients know it: by its public key.
//!
//! Its name (subject) follows from its key, so a chain of certificates shows whether it holds one, and which.
//! A client that trusts the key says so by that name in its hello (`certificate_authorities`, RFC 8446
//! section 4.2.4), and the server shows the certificate that the authority signed. [`find`] looks for it,
//! `vouches` checks what it signed.

use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DistinguishedName, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::client::Fingerprint;
use crate::client::certificate::CertificateFacts;

/// `organizationName` of each authority; `commonName` is its key's SHA-256 in hex.
pub const AUTHORITY_ORGANIZATION: &str = "Metalwright CA";
/// Certificates of a chain that are looked at.
const CHAIN_MAX: usize = 8;
/// A set with one `organizationName` (RFC 5280 appendix A.1) of 14 bytes in UTF-8.
const ORGANIZATION: [u8; 11] = [0x31, 0x17, 0x30, 0x15, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x0e];
/// A set with one `commonName` of 64 bytes in UTF-8.
const COMMON_NAME: [u8; 11] = [0x31, 0x49, 0x30, 0x47, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x40];

/// An authority in a chain.
#[derive(Clone, Debug)]
pub struct ShownAuthority<'a> {
    /// SHA-256 of its public key (`SubjectPublicKeyInfo`, in DER).
    pub key: Fingerprint,
    pub certificate: &'a CertificateDer<'static>,
}

/// The name of the authority with this key.
pub fn authority_name(key: Fingerprint) -> DistinguishedName {
    let hex = key.hex();
    let parts = [&ORGANIZATION[..], AUTHORITY_ORGANIZATION.as_bytes(), &COMMON_NAME, hex.as_bytes()];
    DistinguishedName::in_sequence(&parts.concat())
}

/// The authority in a chain, as a server shows it. No other certificate has such a name.
pub fn find<'a>(chain: &'a [CertificateDer<'static>]) -> Option<ShownAuthority<'a>> {
    chain.iter().take(CHAIN_MAX).find_map(|certificate| {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let key = Fingerprint::of(parsed.public_key().raw);
        let is_named = parsed.subject().as_raw() == authority_name(key).as_ref();
        is_named.then_some(ShownAuthority { key, certificate })
    })
}

impl ShownAuthority<'_> {
    /// Whether the authority signed the certificate, for a server. Dates are ignored: a machine whose clock
    /// is wrong, or a renewal that failed, must not stop an installation.
    pub fn vouches(&self, leaf: &CertificateDer<'_>, provider: &CryptoProvider) -> bool {
        let mut roots = RootCertStore::empty();
        let added = roots.add(self.certificate.clone());
        let (Some(within), Ok(()), Ok(parsed)) = (begin(leaf), added, ParsedCertificate::try_from(leaf))
        else {
            return false;
        };
        let algorithms = provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], within, algorithms).is_ok()
    }
}

/// A time at which a certificate is valid: its first.
fn begin(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let begins = CertificateFacts::read(certificate)?.begins;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(begins.as_second()).ok()?)))
}
