//! Makes an RSA key as FIPS 186-5 appendix A.1 asks. ring, which signs with it, makes none, and checks what
//! it is given when it is loaded.

use anyhow::{Context, anyhow};
use crypto_bigint::{BoxedUint, ConcatenatingMul, Lcm, NonZero, Odd, Resize};
use crypto_primes::fips::{FipsOptions, is_prime};
use crypto_primes::hazmat::{SetBits, SmallFactorsSieveFactory};
use crypto_primes::{Flavor, sieve_and_find};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rustls::pki_types::PrivatePkcs8KeyDer;
use yasna::DERWriterSeq;
use yasna::models::ObjectIdentifier;

/// What all firmware takes, and is safe until 2030 and beyond by NIST SP 800-57.
const BITS: u32 = 2048;
const PUBLIC_EXPONENT: u32 = 65_537;
/// Rounds of Miller and Rabin's test for primes of this size (FIPS 186-5 table B.1).
const TESTS: FipsOptions = FipsOptions::with_mr_iterations(5);
/// The primes are further apart than 2 to this, or they could be found from their product (FIPS 186-5 A.1.3).
const APART_BITS: u32 = BITS / 2 - 100;
/// rsaEncryption (RFC 8017 appendix A.1).
const RSA_ENCRYPTION: [u64; 7] = [1, 2, 840, 113_549, 1, 1, 1];

/// Two primes and what follows from them.
struct RsaKey {
    p: BoxedUint,
    q: BoxedUint,
}

/// A new key, of this machine's randomness.
///
/// # Errors
/// It was not made; another try may make it.
pub fn generate() -> anyhow::Result<KeyPair> {
    let (a, b) = (prime()?, prime()?);
    // ring wants the larger one first.
    let key = if a > b { RsaKey { p: a, q: b } } else { RsaKey { p: b, q: a } };
    let der = PrivatePkcs8KeyDer::from(key.pkcs8().context("the primes are not those of an RSA key")?);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256)
        .context("an RSA key that ring does not take")
}

/// A prime of half the key's bits, the two highest of them set, so that a product of two has all of them.
fn prime() -> anyhow::Result<BoxedUint> {
    let exponent = NonZero::new(crypto_bigint::Limb::from_u32(PUBLIC_EXPONENT)).into_option();
    let exponent = exponent.context("the public exponent")?;
    let sieve = SmallFactorsSieveFactory::new(Flavor::Any, BITS / 2, SetBits::TwoMsb);
    let sieve = sieve.map_err(|error| anyhow!("{error}"))?;
    let found = sieve_and_find(&mut UnwrapErr(SysRng), sieve, |random, candidate: &BoxedUint| {
        candidate.rem_limb(exponent).0 != 1 && is_prime(random, Flavor::Any, candidate, TESTS)
    });
    found.map_err(|error| anyhow!("{error}"))?.context("no prime was found")
}

impl RsaKey {
    /// As PKCS #8 has it (RFC 5958 section 2, RFC 8017 appendix A.1.2); nothing if the numbers do not fit.
    fn pkcs8(&self) -> Option<Vec<u8>> {
        if self.p.wrapping_sub(&self.q).bit_width() <= APART_BITS {
            return None;
        }
        let one = BoxedUint::one_with_precision(BITS / 2);
        let (p1, q1) = (self.p.wrapping_sub(&one), self.q.wrapping_sub(&one));
        let order = NonZero::new(p1.lcm(&q1)).into_option()?;
        let exponent = BoxedUint::from(PUBLIC_EXPONENT).resize(BITS);
        let d = exponent.invert_mod(&order).into_option()?;
        let (p1, q1) = (NonZero::new(p1).into_option()?, NonZero::new(q1).into_option()?);
        let inverse = self.q.invert_odd_mod(&Odd::new(self.p.clone()).into_option()?).into_option()?;
        let n = self.p.concatenating_mul(&self.q);
        let numbers = [&n, &exponent, &d, &self.p, &self.q, &d.rem(&p1), &d.rem(&q1), &inverse];
        let key = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_u8(0);
                numbers.iter().for_each(|number| write(writer, number));
            });
        });
        Some(yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_u8(0);
                writer.next().write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(&RSA_ENCRYPTION));
                    writer.next().write_null();
                });
                writer.next().write_bytes(&key);
            });
        }))
    }
}

fn write(writer: &mut DERWriterSeq<'_>, number: &BoxedUint) {
    writer.next().write_bigint_bytes(&number.to_be_bytes(), true);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(hex: &str) -> BoxedUint {
        BoxedUint::from_be_hex(hex, BITS / 2).into_option().unwrap()
    }

    #[test]
    fn a_key_that_is_made_signs_and_is_another_each_time() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.serialize_der(), other.serialize_der());
        let params = rcgen::CertificateParams::new(vec!["10.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&one).unwrap();
        // 2048 bits exactly: a DER INTEGER of 257 bytes, whose first is 0.
        assert!(one.public_key_raw().windows(4).any(|bytes| bytes == [0x02, 0x82, 0x01, 0x01]));
        let chain = vec![certificate.der().clone()];
        let key = PrivatePkcs8KeyDer::from(one.serialize_der());
        assert!(super::super::config(chain.clone(), key.into()).is_ok());
        let key = PrivatePkcs8KeyDer::from(other.serialize_der());
        let error = super::super::config(chain, key.into()).unwrap_err();
        assert!(error.to_string().contains("keys may not be consistent"), "{error}");
    }

    #[test]
    fn primes_have_their_two_highest_bits_and_go_with_the_exponent() {
        for prime in [prime().unwrap(), prime().unwrap()] {
            assert_eq!(prime.bit_width_vartime(), BITS / 2);
            assert_eq!(prime.to_be_bytes()[0] >> 6, 0b11);
            assert_ne!(prime.rem_limb(NonZero::new(PUBLIC_EXPONENT.into()).unwrap()).0, 1);
        }
    }

    /// Two to the 1023, and so much more.
    fn large(low: u64) -> BoxedUint {
        number(&format!("8{}{low:016x}", "0".repeat(239)))
    }

    fn small(low: u64) -> BoxedUint {
        number(&format!("{}{low:016x}", "0".repeat(240)))
    }

    #[test]
    fn numbers_that_make_no_key_make_none() {
        let key = |p: BoxedUint, q: BoxedUint| RsaKey { p, q }.pkcs8();
        assert!(key(large(0x8003), small(7)).is_some());
        // 65537 is a factor of p - 1.
        assert!(key(large(0x8001), small(7)).is_none());
        assert!(key(large(0x8004), small(7)).is_none(), "even");
        assert!(key(large(0x8003), large(0x8003)).is_none(), "one number twice");
        assert!(key(large(0x8003), large(5)).is_none(), "too near to each other");
    }

    /// The numbers of a key, as RFC 8017 appendix A.1.2 has them, without the version.
    fn numbers(pkcs8: &[u8]) -> Vec<BoxedUint> {
        let key = yasna::parse_der(pkcs8, |reader| {
            reader.read_sequence(|reader| {
                assert_eq!(reader.next().read_u8()?, 0);
                reader.next().read_sequence(|reader| {
                    assert_eq!(*reader.next().read_oid()?.components(), RSA_ENCRYPTION);
                    reader.next().read_null()
                })?;
                reader.next().read_bytes()
            })
        });
        let numbers = yasna::parse_der(&key.unwrap(), |reader| {
            reader.read_sequence(|reader| {
                assert_eq!(reader.next().read_u8()?, 0);
                let number = |_| Ok(reader.next().read_bigint_bytes()?.0);
                (0..8).map(number).collect::<Result<Vec<_>, _>>()
            })
        });
        // The sign has a byte of its own where the number needs all bits.
        let unsigned = |bytes: &Vec<u8>| bytes.strip_prefix(&[0]).unwrap_or(bytes).to_vec();
        let number = |bytes: &Vec<u8>| BoxedUint::from_be_slice(&unsigned(bytes), BITS).unwrap();
        numbers.unwrap().iter().map(number).collect()
    }

    #[test]
    fn the_numbers_of_a_key_are_what_they_are_called() {
        let numbers = numbers(&generate().unwrap().serialize_der());
        let [n, e, d, p, q, dp, dq, inverse] = &numbers[..] else { panic!("{numbers:?}") };
        let one = BoxedUint::one_with_precision(BITS);
        let nonzero = |number: &BoxedUint| NonZero::new(number.clone()).unwrap();
        let product = |a: &BoxedUint, b: &BoxedUint, modulus: &BoxedUint| {
            a.concatenating_mul(b).rem(&nonzero(&modulus.resize(2 * BITS)))
        };
        let (p1, q1) = (p.wrapping_sub(&one), q.wrapping_sub(&one));
        assert_eq!(p.concatenating_mul(q), n.resize(2 * BITS));
        assert_eq!((n.bit_width(), e), (BITS, &BoxedUint::from(PUBLIC_EXPONENT)));
        assert!(p > q && p.wrapping_sub(q).bit_width() > APART_BITS);
        // 2^1024 < d < lcm(p - 1, q - 1), which is (p - 1)(q - 1) / 2 at most.
        assert!(d.bit_width() > BITS / 2 + 1 && *d < p1.lcm(&q1).resize(BITS));
        for (modulus, exponent) in [(&p1, dp), (&q1, dq)] {
            assert_eq!(product(e, d, modulus), one);
            assert_eq!(d.rem(&nonzero(modulus)), *exponent);
        }
        assert_eq!(product(q, inverse, p), one);
    }
}
