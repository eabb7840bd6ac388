//! Makes an RSA key. The package `rsa` makes it and does nothing else with it: ring, which makes none, checks
//! it when it is loaded, and signs.

use anyhow::{Context, bail};
use getrandom::SysRng;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rsa::pkcs8::EncodePrivateKey;
use rsa::traits::PrivateKeyParts;
use rsa::{BoxedUint, PrivateKey};
use rustls::pki_types::PrivatePkcs8KeyDer;

/// What all firmware takes, and is safe until 2030 and beyond by NIST SP 800-57.
const BITS: usize = 2048;
const PUBLIC_EXPONENT: u64 = 65_537;

/// A new key, of this machine's randomness.
///
/// # Errors
/// It was not made; another try may make it.
pub fn generate() -> anyhow::Result<KeyPair> {
    let made = PrivateKey::new(&mut SysRng, BITS).context("making an RSA key")?;
    let mut primes: Vec<BoxedUint> = made.primes().iter().map(|prime| prime.as_ref().clone()).collect();
    primes.sort();
    let (Some(larger), Some(smaller)) = (primes.pop(), primes.pop()) else {
        bail!("an RSA key has two primes")
    };
    // ring wants the larger one first.
    let key = PrivateKey::from_p_q(larger, smaller, PUBLIC_EXPONENT.into()).context("an RSA key")?;
    let der = key.to_pkcs8_der().context("writing an RSA key")?;
    let der = PrivatePkcs8KeyDer::from(der.as_bytes());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256)
        .context("an RSA key that ring does not take")
}

#[cfg(test)]
mod tests {
    use super::super::{KeyAgreement, config};
    use super::*;

    #[test]
    fn a_key_that_is_made_signs_and_is_another_each_time() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.serialize_der(), other.serialize_der());
        let params = rcgen::CertificateParams::new(vec!["10.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&one).unwrap();
        // 2048 bits exactly: a DER INTEGER of 257 bytes, whose first is 0.
        assert!(one.public_key_raw().windows(4).any(|bytes| bytes == [0x02, 0x82, 0x01, 0x01]));
        let chain = vec![certificate.der().clone()];
        let key = |pair: &KeyPair| PrivatePkcs8KeyDer::from(pair.serialize_der()).into();
        assert!(config(chain.clone(), key(&one), KeyAgreement::CurvesOnly).is_ok());
        let error = config(chain, key(&other), KeyAgreement::CurvesOnly).unwrap_err();
        assert!(error.to_string().contains("keys may not be consistent"), "{error}");
    }
}
