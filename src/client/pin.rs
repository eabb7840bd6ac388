//! Trust in a server by the SHA-256 of its certificate.
//!
//! Servers have self-signed certificates, so no authority can vouch for them. The caller provides the trusted
//! fingerprint; [`learn`] fetches that of a server that was never seen before. Names, dates and issuers are
//! ignored, because the fingerprint is sufficient. It is verified that the server has the private key.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::client::ClientError;
use crate::client::http::{BaseUrl, transport_error};

const LEARN_WITHIN: Duration = Duration::from_secs(15);

/// The SHA-256 of a certificate in DER. Shown as `sha256:` and 64 hex digits; read with or without the prefix
/// and with or without colons between the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(certificate: &[u8]) -> Self {
        Fingerprint(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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

/// The pin of one server, and the certificate that it showed.
#[derive(Debug)]
pub(crate) struct CertificatePin {
    /// `None` accepts any certificate, to learn it.
    expected: Option<Fingerprint>,
    seen: Mutex<Option<Fingerprint>>,
    provider: Arc<CryptoProvider>,
}

impl CertificatePin {
    pub(crate) fn new(expected: Option<Fingerprint>) -> Arc<Self> {
        Arc::new(CertificatePin {
            expected,
            seen: Mutex::new(None),
            provider: Arc::new(ring::default_provider()),
        })
    }

    /// The trusted and the shown fingerprint, if they differ.
    pub(crate) fn mismatch(&self) -> Option<(Fingerprint, Fingerprint)> {
        self.expected.zip(self.seen()).filter(|(expected, seen)| expected != seen)
    }

    fn seen(&self) -> Option<Fingerprint> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(end_entity);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match self.expected {
            Some(expected) if expected != shown => {
                Err(rustls::Error::General(format!("the certificate is {shown}, not {expected}")))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
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

/// The fingerprint of the certificate that the server at `url` shows now. No token is sent.
///
/// # Errors
/// An invalid URL, or a server that cannot be reached.
pub async fn learn(url: &str) -> Result<Fingerprint, ClientError> {
    let base: BaseUrl = url.parse()?;
    let pin = CertificatePin::new(None);
    let http = reqwest::Client::builder().tls_backend_preconfigured(pin.tls()?).timeout(LEARN_WITHIN);
    let http = http.build().map_err(|error| ClientError::Invalid(error.to_string()))?;
    let answer = http.get(base.root("/healthz")).send().await;
    match (pin.seen(), answer) {
        (Some(seen), _) => Ok(seen),
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
