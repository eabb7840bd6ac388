//! TLS as firmware speaks it, for the boot side's HTTPS listener. UEFI of before 2023 is built without
//! elliptic curves: what it offers that is still sound is TLS 1.2 with DHE and RSA (`docs/adr/0019`). That is
//! added to what rustls has where the operator asks for it (`boot.https_dhe`); whoever knows curves gets
//! curves.
//!
//! [`config`] is the listener's side, `ffdhe` the key exchange, `rsa` makes a key. What is in a certificate
//! and where it is kept belongs to `server::data`.

mod ffdhe;
pub mod rsa;

use std::sync::Arc;

use rustls::crypto::{CipherSuiteCommon, KeyExchangeAlgorithm, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
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

/// How keys are agreed on with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAgreement {
    /// As rustls has it: elliptic curves.
    CurvesOnly,
    /// DHE with ffdhe2048 (RFC 7919) too, for firmware without curves.
    WithDhe,
}

/// HTTP/1.1 over TLS, with one certificate and its key.
///
/// # Errors
/// The key is not that of the certificate, or of a kind that rustls does not know.
pub fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    agreement: KeyAgreement,
) -> Result<ServerConfig, rustls::Error> {
    let mut provider = ring::default_provider();
    if agreement == KeyAgreement::WithDhe {
        provider.cipher_suites.extend([&AES_256, &AES_128].map(SupportedCipherSuite::Tls12));
        provider.kx_groups.push(&Ffdhe2048);
    }
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key)?;
    // Ours has the curves first.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // No session is taken up again: what it was encrypted with is forgotten when it ends.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rustls::client::Resumption;
    use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup};
    use rustls::ffdhe_groups::{FFDHE2048, FFDHE3072, FfdheGroup};
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::version::{TLS12, TLS13};
    use rustls::{
        AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, NamedGroup, PeerIncompatible,
        PeerMisbehaved, RootCertStore, ServerConnection, SupportedProtocolVersion,
    };

    use super::*;

    /// A client's group in which it says whatever it likes.
    #[derive(Clone, Copy, Debug)]
    struct Says {
        group: FfdheGroup<'static>,
        name: NamedGroup,
        share: &'static [u8],
    }

    impl SupportedKxGroup for Says {
        fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
            Ok(Box::new(*self))
        }

        fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
            Some(self.group)
        }

        fn name(&self) -> NamedGroup {
            self.name
        }
    }

    impl ActiveKeyExchange for Says {
        fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, Error> {
            Ok(SharedSecret::from(&[1][..]))
        }

        fn pub_key(&self) -> &[u8] {
            self.share
        }

        fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
            Some(self.group)
        }

        fn group(&self) -> NamedGroup {
            self.name
        }
    }

    /// A listener, and who trusts it.
    struct Scene {
        server: Arc<ServerConfig>,
        trusted: RootCertStore,
    }

    /// How a handshake went: what became of it at the server, and then at the client.
    type Outcome = (Result<(), Error>, Result<(), Error>);

    impl Scene {
        fn new() -> Scene {
            Scene::with(KeyAgreement::WithDhe)
        }

        fn with(agreement: KeyAgreement) -> Scene {
            let key = rsa::generate().unwrap();
            let made = rcgen::CertificateParams::new(vec!["10.0.0.1".to_owned()]).unwrap();
            let made = made.self_signed(&key).unwrap().der().clone();
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            let mut trusted = RootCertStore::empty();
            trusted.add(made.clone()).unwrap();
            Scene { server: Arc::new(config(vec![made], key.into(), agreement).unwrap()), trusted }
        }

        fn client(&self, knows: CryptoProvider, version: &'static SupportedProtocolVersion) -> ClientConfig {
            let builder = ClientConfig::builder_with_provider(Arc::new(knows));
            let builder = builder.with_protocol_versions(&[version]).unwrap();
            builder.with_root_certificates(self.trusted.clone()).with_no_client_auth()
        }

        fn meet(&self, client: &Arc<ClientConfig>) -> (Outcome, ServerConnection) {
            let mut client =
                ClientConnection::new(Arc::clone(client), "10.0.0.1".try_into().unwrap()).unwrap();
            let mut server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
            loop {
                let mut wire = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut wire).unwrap();
                }
                server.read_tls(&mut &wire[..]).unwrap();
                let at_server = server.process_new_packets().map(drop);
                let answered = server.wants_write();
                let mut wire = Vec::new();
                while server.wants_write() {
                    server.write_tls(&mut wire).unwrap();
                }
                client.read_tls(&mut &wire[..]).unwrap();
                let at_client = client.process_new_packets().map(drop);
                if at_server.is_err() || at_client.is_err() || !answered {
                    return ((at_server, at_client), server);
                }
            }
        }
    }

    fn knows(
        suites: Vec<SupportedCipherSuite>,
        groups: Vec<&'static dyn SupportedKxGroup>,
    ) -> CryptoProvider {
        CryptoProvider { cipher_suites: suites, kx_groups: groups, ..ring::default_provider() }
    }

    const OURS: [SupportedCipherSuite; 2] =
        [SupportedCipherSuite::Tls12(&AES_256), SupportedCipherSuite::Tls12(&AES_128)];

    #[test]
    fn a_client_whose_share_is_no_key_is_sent_away() {
        static NONE: [Says; 6] =
            [says(&[0]), says(&[1]), says(&[0; 256]), says(FFDHE2048.p), says(&[0xff; 256]), says(&[2; 257])];
        const fn says(share: &'static [u8]) -> Says {
            Says { group: FFDHE2048, name: NamedGroup::FFDHE2048, share }
        }
        let scene = Scene::new();
        for group in &NONE {
            let client = Arc::new(scene.client(knows(OURS.to_vec(), vec![group]), &TLS12));
            let ((at_server, at_client), _) = scene.meet(&client);
            let refused = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
            assert_eq!(at_server, Err(refused), "{group:?}");
            assert_eq!(at_client, Err(Error::AlertReceived(AlertDescription::IllegalParameter)));
        }
    }

    #[test]
    fn dhe_is_for_those_who_know_nothing_better() {
        static OTHER: Says = Says { group: FFDHE3072, name: NamedGroup::FFDHE3072, share: &[2] };
        let scene = Scene::new();
        let curves = || ring::default_provider().kx_groups;
        let ours_first = || [&OURS[..], ring::DEFAULT_CIPHER_SUITES].concat();
        let finite = || vec![&Ffdhe2048 as &'static dyn SupportedKxGroup];
        let suite = |client: ClientConfig| {
            let (outcome, server) = scene.meet(&Arc::new(client));
            assert_eq!(outcome, (Ok(()), Ok(())));
            server.negotiated_cipher_suite().unwrap().suite()
        };
        let both = [finite(), curves()].concat();
        let chosen = suite(scene.client(knows(ours_first(), both.clone()), &TLS12));
        assert_eq!(chosen, CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384);
        let chosen = suite(scene.client(knows(ours_first(), both), &TLS13));
        assert_eq!(chosen, CipherSuite::TLS13_AES_256_GCM_SHA384);
        let chosen = suite(scene.client(knows(OURS.to_vec(), finite()), &TLS12));
        assert_eq!(chosen, CipherSuite::TLS_DHE_RSA_WITH_AES_256_GCM_SHA384);
        // Who names groups gets none that it does not name (RFC 7919 section 4).
        let client = scene.client(knows(OURS.to_vec(), vec![&OTHER, curves()[0]]), &TLS12);
        let ((at_server, at_client), _) = scene.meet(&Arc::new(client));
        assert_eq!(at_server, Err(Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon)));
        assert_eq!(at_client, Err(Error::AlertReceived(AlertDescription::HandshakeFailure)));
    }

    #[test]
    fn without_the_setting_there_is_no_dhe() {
        let scene = Scene::with(KeyAgreement::CurvesOnly);
        let client = scene.client(knows(OURS.to_vec(), vec![&Ffdhe2048]), &TLS12);
        let ((at_server, _), _) = scene.meet(&Arc::new(client));
        assert_eq!(at_server, Err(Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon)));
        let client = scene.client(ring::default_provider(), &TLS12);
        assert_eq!(scene.meet(&Arc::new(client)).0, (Ok(()), Ok(())));
    }

    #[test]
    fn no_session_is_taken_up_again() {
        let scene = Scene::new();
        for (version, knows) in
            [(&TLS12, knows(OURS.to_vec(), vec![&Ffdhe2048])), (&TLS13, ring::default_provider())]
        {
            let mut client = scene.client(knows, version);
            client.resumption = Resumption::in_memory_sessions(8);
            let client = Arc::new(client);
            for _ in 0..2 {
                let (outcome, server) = scene.meet(&client);
                assert_eq!(outcome, (Ok(()), Ok(())));
                assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
            }
        }
    }
}
