//! TLS as firmware speaks it, for the boot side's HTTPS listener. UEFI of before 2023 is built without
//! elliptic curves: what it offers that is still sound is TLS 1.2 with DHE and RSA (`docs/adr/0019`). That is
//! added to what rustls has; whoever knows curves gets curves.
//!
//! [`config`] is the listener's side, `ffdhe` the key exchange, `rsa` makes a key. What is in a certificate
//! and where it is kept belongs to `server::data`.

mod ffdhe;
pub mod rsa;

use std::sync::Arc;

use rustls::crypto::{CipherSuiteCommon, KeyExchangeAlgorithm, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite, Tls12CipherSuite};

use ffdhe::Ffdhe2048;

static AES_256: Tls12CipherSuite = over_dhe(
    CipherSuite::TLS_DHE_RSA_WITH_AES_256_GCM_SHA384,
    &ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
);
static AES_128: Tls12CipherSuite = over_dhe(
    CipherSuite::TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,
    &ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
);

/// A suite that is as `like` in all but how keys are agreed on.
const fn over_dhe(suite: CipherSuite, like: &'static SupportedCipherSuite) -> Tls12CipherSuite {
    let SupportedCipherSuite::Tls12(like) = like else { panic!("a suite of TLS 1.2") };
    let CipherSuiteCommon { hash_provider, confidentiality_limit, .. } = like.common;
    Tls12CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider, confidentiality_limit },
        prf_provider: like.prf_provider,
        kx: KeyExchangeAlgorithm::DHE,
        sign: like.sign,
        aead_alg: like.aead_alg,
    }
}

/// HTTP/1.1 over TLS, with one certificate and its key.
///
/// # Errors
/// The key is not that of the certificate, or of a kind that rustls does not know.
pub fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.extend([&AES_256, &AES_128].map(SupportedCipherSuite::Tls12));
    provider.kx_groups.push(&Ffdhe2048);
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key)?;
    // Ours has the curves first.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
