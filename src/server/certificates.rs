//! The certificates of the API's listener, in `DIR/tls` (`docs/adr/0030`).
//!
//! The authority of the data directory signs a certificate for this host (`host.pem`), which is renewed
//! before it ends. A client that says that it trusts the authority gets this certificate. All others get the
//! operator's own certificate (`cert.pem` and `key.pem`, or what an earlier version made there), if there is
//! one. Start at [`ApiCertificates::open`]; `authority` signs, `host_names` determines the names.

mod authority;
pub mod host_names;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DistinguishedName, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::client::authority::{ShownAuthority, authority_name};
use crate::client::{CertificateFacts, Fingerprint};
use crate::server::data::{make_private_folder, read_text, write_private};
use authority::{HostAuthority, RENEWED_DAYS, is_good};

/// Certificates of a file that are shown.
const CHAIN_MAX: usize = 8;

/// What the listener shows, and how it is made anew.
pub struct ApiCertificates {
    folder: PathBuf,
    /// What the operator wants named (`api.names`).
    names: ArcSwap<Vec<String>>,
    current: ArcSwap<CurrentCertificates>,
}

/// What is shown now.
#[derive(Debug)]
struct CurrentCertificates {
    authority: Fingerprint,
    authority_name: DistinguishedName,
    authority_ends: Timestamp,
    signed: ServedCertificate,
    brought: Option<ServedCertificate>,
}

/// A certificate with its key.
#[derive(Debug)]
struct ServedCertificate {
    key: Arc<CertifiedKey>,
    facts: CertificateFacts,
}

impl ApiCertificates {
    /// Reads what is there, and makes what is missing.
    ///
    /// # Errors
    /// The files cannot be read or written, or do not belong together.
    pub fn open(data: &Path, names: &[String], now: Timestamp) -> anyhow::Result<Arc<Self>> {
        let folder = data.join("tls");
        make_private_folder(&folder)?;
        let current = CurrentCertificates::load(&folder, names, now)?;
        Ok(Arc::new(ApiCertificates {
            folder,
            names: ArcSwap::from_pointee(names.to_vec()),
            current: ArcSwap::from_pointee(current),
        }))
    }

    /// SHA-256 of the key that clients trust, in hex.
    pub fn fingerprint(&self) -> String {
        self.current.load().authority.hex()
    }

    /// When each certificate ends, by what it is called.
    pub fn ends(&self) -> Vec<(&'static str, Timestamp)> {
        let current = self.current.load();
        let own = [("authority", current.authority_ends), ("host", current.signed.facts.ends)];
        own.into_iter().chain(current.brought.as_ref().map(|brought| ("own", brought.facts.ends))).collect()
    }

    /// What is to be named from the next [`ApiCertificates::refresh`] on.
    pub fn set_names(&self, names: &[String]) {
        self.names.store(Arc::new(names.to_vec()));
    }

    /// Reads what is there anew, and renews what is due. What is shown changes at once; connections stay.
    /// Says what changed.
    ///
    /// # Errors
    /// As [`ApiCertificates::open`]. What was shown is still shown then.
    pub fn refresh(&self, now: Timestamp) -> anyhow::Result<Vec<String>> {
        let new = CurrentCertificates::load(&self.folder, &self.names.load(), now)?;
        let changes = new.changes_since(&self.current.load());
        if !changes.is_empty() {
            self.current.store(Arc::new(new));
        }
        Ok(changes)
    }

    /// For the API's listener: HTTP/2, and HTTP/1.1.
    ///
    /// # Errors
    /// None that a program can do anything about.
    pub fn acceptor(self: &Arc<Self>) -> anyhow::Result<TlsAcceptor> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().context("TLS")?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl fmt::Debug for ApiCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiCertificates").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ApiCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.load();
        let names = hello.certificate_authorities().unwrap_or_default();
        let knows = names.iter().any(|name| name.as_ref() == current.authority_name.as_ref());
        let shown = current.brought.as_ref().filter(|_| !knows).unwrap_or(&current.signed);
        Some(Arc::clone(&shown.key))
    }
}

impl CurrentCertificates {
    fn load(folder: &Path, wanted: &[String], now: Timestamp) -> anyhow::Result<Self> {
        let authority = HostAuthority::open(folder, now)?;
        let names = host_names::names(wanted)?;
        let signed = match kept(folder, &authority).filter(|kept| serves(&kept.facts, &names, now)) {
            Some(kept) => kept,
            None => {
                let path = folder.join("host.pem");
                write_private(&path, &authority.sign(&names, now)?)?;
                read_pair((&path, &path), &authority)?
            }
        };
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let brought = match certificate.try_exists().with_context(|| certificate.display().to_string())? {
            true => Some(read_pair((&certificate, &key), &authority)?),
            false => None,
        };
        Ok(CurrentCertificates {
            authority: authority.fingerprint,
            authority_name: authority_name(authority.fingerprint),
            authority_ends: authority.facts.ends,
            signed,
            brought,
        })
    }

    fn changes_since(&self, old: &CurrentCertificates) -> Vec<String> {
        let mut changes = Vec::new();
        if self.authority_ends != old.authority_ends || self.authority != old.authority {
            changes.push(format!("tls/ca.pem, which ends {}", self.authority_ends));
        }
        if self.signed.key.cert != old.signed.key.cert {
            changes.push(format!("tls/host.pem, which ends {}", self.signed.facts.ends));
        }
        match (&self.brought, &old.brought) {
            (Some(new), Some(old)) if new.key.cert == old.key.cert => {}
            (Some(new), _) => changes.push(format!("tls/cert.pem, which ends {}", new.facts.ends)),
            (None, Some(_)) => changes.push("tls/host.pem instead of tls/cert.pem, which is gone".to_owned()),
            (None, None) => {}
        }
        changes
    }
}

/// The certificate of this host that is there, if the authority signed it.
fn kept(folder: &Path, authority: &HostAuthority) -> Option<ServedCertificate> {
    let path = folder.join("host.pem");
    if !path.exists() {
        return None;
    }
    let read = read_pair((&path, &path), authority);
    let read = read.inspect_err(|error| tracing::warn!(%error, "tls/host.pem is made anew")).ok()?;
    let leaf = read.key.cert.first()?;
    let shown = ShownAuthority { key: authority.fingerprint, certificate: &authority.certificate };
    shown.vouches(leaf, &ring::default_provider()).then_some(read)
}

/// Whether a certificate is good for a while, and names all that it should.
fn serves(facts: &CertificateFacts, names: &[String], now: Timestamp) -> bool {
    is_good(facts, RENEWED_DAYS, now) && names.iter().all(|name| facts.names.contains(name))
}

/// A certificate and its key in PEM. The authority is shown after its chain, for clients to learn it.
fn read_pair(
    (certificate, key): (&Path, &Path),
    authority: &HostAuthority,
) -> anyhow::Result<ServedCertificate> {
    let place = certificate.display();
    let chain = read_text(certificate)?;
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).take(CHAIN_MAX);
    let mut chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|error| anyhow!("{place}: {error}"))?;
    let leaf = chain.first().ok_or_else(|| anyhow!("{place} holds no certificate"))?;
    let facts = CertificateFacts::read(leaf).ok_or_else(|| anyhow!("{place} holds no certificate"))?;
    chain.push(authority.certificate.clone());
    let secret = PrivateKeyDer::from_pem_slice(read_text(key)?.as_bytes());
    let secret = secret.map_err(|error| anyhow!("{}: {error}", key.display()))?;
    let pair = CertifiedKey::from_der(chain, secret, &ring::default_provider());
    let pair = pair.with_context(|| format!("{place} and its key in {}", key.display()))?;
    Ok(ServedCertificate { key: Arc::new(pair), facts })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + day * 24 * 60 * 60).unwrap()
    }

    fn ends(certificates: &ApiCertificates, what: &str) -> i64 {
        let ends = certificates.ends();
        let (_, end) = ends.iter().find(|(name, _)| *name == what).unwrap();
        (end.as_second() - at(0).as_second()) / (24 * 60 * 60)
    }

    #[test]
    fn a_certificate_is_renewed_before_it_ends_and_the_trusted_key_stays() {
        let data = tempfile::tempdir().unwrap();
        let certificates = ApiCertificates::open(data.path(), &[], at(0)).unwrap();
        let key = certificates.fingerprint();
        assert!((363..=365).contains(&ends(&certificates, "host")));
        assert!((3650..=3652).contains(&ends(&certificates, "authority")));
        assert_eq!(certificates.refresh(at(300)).unwrap(), [""; 0]);
        assert_eq!(certificates.refresh(at(310)).unwrap().len(), 1);
        assert!((673..=675).contains(&ends(&certificates, "host")));
        // The authority's own certificate a year before its end, for the same key.
        let changes = certificates.refresh(at(3300)).unwrap();
        assert!(changes[0].starts_with("tls/ca.pem") && changes.len() == 2, "{changes:?}");
        assert_eq!(certificates.fingerprint(), key);
        let again = ApiCertificates::open(data.path(), &[], at(3300)).unwrap();
        assert_eq!((again.fingerprint(), again.ends()), (key, certificates.ends()));
    }

    #[test]
    fn a_new_name_is_named_and_one_that_is_named_is_no_reason_for_another_certificate() {
        let data = tempfile::tempdir().unwrap();
        let certificates = ApiCertificates::open(data.path(), &[], at(0)).unwrap();
        certificates.set_names(&["boot.example".to_owned()]);
        assert_eq!(certificates.refresh(at(1)).unwrap().len(), 1);
        assert!(certificates.current.load().signed.facts.is_for("boot.example"));
        certificates.set_names(&[]);
        assert_eq!(certificates.refresh(at(1)).unwrap(), [""; 0]);
    }

    #[test]
    fn a_certificate_of_the_operator_is_theirs_and_a_faulty_one_changes_nothing() {
        let data = tempfile::tempdir().unwrap();
        let certificates = ApiCertificates::open(data.path(), &[], at(0)).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["boot.example".to_owned()]).unwrap();
        let (cert, key) = (data.path().join("tls/cert.pem"), data.path().join("tls/key.pem"));
        fs::write(&cert, made.cert.pem()).unwrap();
        // Its key is not there yet.
        assert!(format!("{:#}", certificates.refresh(at(0)).unwrap_err()).contains("key.pem"));
        assert!(certificates.current.load().brought.is_none());
        let other = rcgen::generate_simple_self_signed(vec!["boot.example".to_owned()]).unwrap();
        fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(certificates.refresh(at(0)).is_err());
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        assert!(certificates.refresh(at(0)).unwrap()[0].starts_with("tls/cert.pem"));
        certificates.refresh(at(310)).unwrap();
        assert_eq!(fs::read_to_string(&cert).unwrap(), made.cert.pem());
        fs::write(&cert, "no certificate").unwrap();
        assert!(certificates.refresh(at(310)).is_err());
        assert!(certificates.current.load().brought.is_some());
        fs::remove_file(&cert).unwrap();
        assert!(certificates.refresh(at(310)).unwrap()[0].contains("is gone"));
    }

    #[test]
    fn an_authority_without_its_key_or_with_another_is_no_start() {
        let data = tempfile::tempdir().unwrap();
        let open = || ApiCertificates::open(data.path(), &[], at(0)).map_err(|error| format!("{error:#}"));
        open().unwrap();
        let key = data.path().join("tls/ca-key.pem");
        fs::remove_file(&key).unwrap();
        assert!(open().unwrap_err().contains("put it back from a backup"));
        fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(open().unwrap_err().contains("is not the certificate of ca-key.pem"));
    }
}
