//! Trust in a server by SHA-256: of its certificate, or of the key of the authority that signed it.
//!
//! Servers have an authority of their own (`client::authority`), so no other can vouch for them. Whoever
//! calls brings the fingerprints to trust; [`learn`] fetches that of a server that was never seen before. A
//! client that knows only a certificate learns the authority over a connection to it, so that it knows the
//! server after the certificate was renewed. Names and dates are not looked at: the fingerprint says it all.
//! That the server holds the key is checked.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::client::ClientError;
use crate::client::authority::{self, authority_name};
use crate::client::http::{BaseUrl, transport_error};

const LEARN_WITHIN: Duration = Duration::from_secs(15);

/// The SHA-256 of a certificate or of a public key, in DER. Shown as `sha256:` and 64 hex digits; read with
/// or without the prefix and with or without colons between the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(der: &[u8]) -> Self {
        Fingerprint(Sha256::digest(der).into())
    }

    /// 64 digits, without the prefix.
    pub fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.get(..7).filter(|start| start.eq_ignore_ascii_case("sha256:"));
        let digits: Vec<u8> = text[bare.map_or(0, str::len)..]
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or_else(|| fingerprint_error(text))?;
        let (pairs, []) = digits.as_chunks::<2>() else { return Err(fingerprint_error(text)) };
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        bytes.try_into().map(Fingerprint).map_err(|_| fingerprint_error(text))
    }
}

fn fingerprint_error(text: &str) -> String {
    format!("`{text}` is not a fingerprint: 64 hex digits, with or without `sha256:`")
}

/// What a server showed.
#[derive(Clone, Debug)]
struct ShownCertificates {
    certificate: CertificateDer<'static>,
    authority: Option<Fingerprint>,
    is_trusted: bool,
}

impl ShownCertificates {
    /// What the server is known by from now on.
    fn identity(&self) -> Fingerprint {
        self.authority.unwrap_or_else(|| Fingerprint::of(&self.certificate))
    }
}

/// An authority that was learned over a connection.
#[derive(Debug)]
struct LearnedAuthority {
    key: Fingerprint,
    /// The names of all that is trusted since.
    hints: Vec<DistinguishedName>,
}

/// What is trusted of one server, and what it showed.
#[derive(Debug)]
pub(crate) struct CertificatePin {
    /// Certificates, and keys of authorities. Empty takes any certificate, to learn it.
    trusted: Vec<Fingerprint>,
    hints: Vec<DistinguishedName>,
    learned: OnceLock<LearnedAuthority>,
    shown: Mutex<Option<ShownCertificates>>,
    provider: Arc<CryptoProvider>,
}

impl CertificatePin {
    pub(crate) fn new(trusted: Vec<Fingerprint>) -> Arc<Self> {
        Arc::new(CertificatePin {
            hints: trusted.iter().copied().map(authority_name).collect(),
            trusted,
            learned: OnceLock::new(),
            shown: Mutex::new(None),
            provider: Arc::new(ring::default_provider()),
        })
    }

    /// The trusted and the shown fingerprint, if they differ.
    pub(crate) fn mismatch(&self) -> Option<(Fingerprint, Fingerprint)> {
        let shown = self.shown()?;
        let expected = *self.trusted.first()?;
        (!shown.is_trusted).then(|| (expected, shown.identity()))
    }

    /// The authority that a trusted server showed, the first time that it is known to be one: call it after
    /// an answer has come.
    pub(crate) fn learn_authority(&self) -> Option<Fingerprint> {
        let shown = self.shown()?;
        let key = shown.authority.filter(|key| !self.trusted.contains(key))?;
        if self.learned.get().is_some() || !shown.is_trusted {
            return None;
        }
        let hints = self.hints.iter().cloned().chain([authority_name(key)]).collect();
        self.learned.set(LearnedAuthority { key, hints }).ok().map(|()| key)
    }

    fn shown(&self) -> Option<ShownCertificates> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has(&self, fingerprint: Fingerprint) -> bool {
        let learned = self.learned.get().map(|learned| learned.key);
        self.trusted.iter().copied().chain(learned).any(|trusted| trusted == fingerprint)
    }

    /// A certificate that is trusted itself, or an authority in `chain` that is trusted and signed it.
    fn trusts_chain(&self, certificate: &CertificateDer<'_>, chain: &[CertificateDer<'static>]) -> bool {
        self.has(Fingerprint::of(certificate))
            || authority::find(chain)
                .is_some_and(|shown| self.has(shown.key) && shown.vouches(certificate, &self.provider))
    }

    /// TLS settings that trust this pin only.
    pub(crate) fn tls(self: &Arc<Self>) -> Result<ClientConfig, ClientError> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::Invalid(format!("TLS cannot be set up: {error}")))?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(self) as _;
        Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

impl ServerCertVerifier for CertificatePin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain: Vec<_> = intermediates.iter().map(|one| one.clone().into_owned()).collect();
        let authority = authority::find(&chain).map(|shown| shown.key);
        let is_trusted = self.trusted.is_empty() || self.trusts_chain(end_entity, &chain);
        let certificate = end_entity.clone().into_owned();
        let shown = ShownCertificates { certificate, authority, is_trusted };
        let identity = shown.identity();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match self.trusted.first() {
            Some(expected) if !is_trusted => {
                Err(rustls::Error::General(format!("the server is {identity}, not {expected}")))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        let hints = self.learned.get().map_or(&self.hints, |learned| &learned.hints);
        (!hints.is_empty()).then_some(hints)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What the server at `url` is known by: the key of its authority where it shows one, else its certificate.
/// No token is sent.
///
/// # Errors
/// An invalid URL, or a server that cannot be reached.
pub async fn learn(url: &str) -> Result<Fingerprint, ClientError> {
    Ok(shown_at(url).await?.identity())
}

/// The certificate that the server at `url` shows to those who know nothing of it: to curl, to a browser. No
/// token is sent.
///
/// # Errors
/// As [`learn`].
pub async fn certificate_at(url: &str) -> Result<CertificateDer<'static>, ClientError> {
    Ok(shown_at(url).await?.certificate)
}

async fn shown_at(url: &str) -> Result<ShownCertificates, ClientError> {
    let base: BaseUrl = url.parse()?;
    let pin = CertificatePin::new(Vec::new());
    let http = reqwest::Client::builder().tls_backend_preconfigured(pin.tls()?).timeout(LEARN_WITHIN);
    let http = http.build().map_err(|error| ClientError::Invalid(error.to_string()))?;
    let answer = http.get(base.root("/healthz")).send().await;
    match (pin.shown(), answer) {
        (Some(shown), _) => Ok(shown),
        (None, Err(error)) => Err(transport_error(&base, "GET /healthz", &error)),
        (None, Ok(_)) => Err(ClientError::Unexpected {
            request: "GET /healthz".to_owned(),
            what: format!("{url} answered without showing a certificate"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_and_as_openssl_shows_it() {
        let one = Fingerprint::of(b"certificate");
        assert_eq!(one.to_string().parse(), Ok(one));
        let hex = one.to_string().trim_start_matches("sha256:").to_uppercase();
        let pairs: Vec<&str> =
            hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        assert_eq!(pairs.join(":").parse(), Ok(one));
        for wrong in ["", "sha256:", "ab", "sha256:zz", &hex[1..], &format!("{hex}00"), "é256:"] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
