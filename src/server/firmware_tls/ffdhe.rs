//! Diffie-Hellman in the group ffdhe2048 (RFC 7919 appendix A.1), for TLS 1.2. Each exchange has a secret of
//! its own, which is wiped when it is over, and no step takes a time that depends on it.

use std::sync::LazyLock;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::{FFDHE2048, FfdheGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};
use zeroize::Zeroizing;

const BITS: u32 = 2048;
/// RFC 7919 appendix A.1 wants 225 at least.
const SECRET_BITS: u32 = 256;

static PRIME: LazyLock<BoxedUint> = LazyLock::new(|| BoxedUint::from_be_slice_truncated(FFDHE2048.p, BITS));
static MODULUS: LazyLock<BoxedMontyParams> = LazyLock::new(|| {
    let odd = Odd::new(PRIME.clone()).into_option().expect("a prime beyond 2 is odd");
    BoxedMontyParams::new_vartime(odd)
});

/// The group, as rustls takes it.
#[derive(Debug)]
pub struct Ffdhe2048;

/// One exchange that has begun.
struct KeyExchange {
    secret: Zeroizing<BoxedUint>,
    public: Vec<u8>,
}

impl SupportedKxGroup for Ffdhe2048 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut secret = Zeroizing::new([0; SECRET_BITS as usize / 8]);
        getrandom::fill(&mut secret[..]).map_err(|_| Error::FailedToGetRandomBytes)?;
        let secret = Zeroizing::new(BoxedUint::from_be_slice_truncated(&secret[..], SECRET_BITS));
        let generator = BoxedUint::from_be_slice_truncated(FFDHE2048.g, BITS);
        let public = power(generator, &secret);
        Ok(Box::new(KeyExchange { secret, public }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        Some(FFDHE2048)
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::FFDHE2048
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_2
    }
}

impl ActiveKeyExchange for KeyExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let invalid = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
        let peer = BoxedUint::from_be_slice(peer, BITS).map_err(|_| invalid.clone())?;
        // 1 and the prime less 1 are the only small subgroup (RFC 7919 section 5.1). Beyond it, a share that
        // is no quadratic residue leaks one bit of a single-use secret: its parity.
        let one = BoxedUint::one_with_precision(BITS);
        if peer <= one || peer >= PRIME.wrapping_sub(&one) {
            return Err(invalid);
        }
        // Taken over as it is: rustls wipes it.
        Ok(SharedSecret::from(power(peer, &self.secret)))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        Some(FFDHE2048)
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::FFDHE2048
    }
}

/// In as many bytes as the prime has, with zeros before.
fn power(base: BoxedUint, exponent: &BoxedUint) -> Vec<u8> {
    let base = BoxedMontyForm::new(base, &MODULUS);
    let power = Zeroizing::new(base.pow_bounded_exp(exponent, SECRET_BITS));
    Zeroizing::new(power.retrieve()).to_be_bytes().into_vec()
}

#[cfg(test)]
mod tests {
    use rustls::version::TLS12;

    use super::*;
    use crate::model::sha256_hex;

    /// A secret of 32 bytes that count up from `first`.
    fn counting(first: u8) -> [u8; 32] {
        std::array::from_fn(|at| first + at as u8)
    }

    fn exchange(secret: &[u8]) -> Box<KeyExchange> {
        let secret = Zeroizing::new(BoxedUint::from_be_slice_truncated(secret, SECRET_BITS));
        let public = power(BoxedUint::from_be_slice_truncated(FFDHE2048.g, BITS), &secret);
        Box::new(KeyExchange { secret, public })
    }

    /// The prime, and so much less.
    fn prime_less(less: u8) -> Vec<u8> {
        let mut bytes = FFDHE2048.p.to_vec();
        *bytes.last_mut().unwrap() -= less;
        bytes
    }

    fn padded(low: u8) -> Vec<u8> {
        [vec![0; BITS as usize / 8 - 1], vec![low]].concat()
    }

    #[test]
    fn both_ends_come_to_one_secret_of_the_group() {
        let (ours, theirs) = (Ffdhe2048.start().unwrap(), Ffdhe2048.start().unwrap());
        let (a, b) = (ours.pub_key().to_vec(), theirs.pub_key().to_vec());
        assert!(a != b && a.len() == 256 && b.len() == 256);
        let secret = ours.complete(&b).unwrap();
        assert_eq!(secret.secret_bytes(), theirs.complete(&a).unwrap().secret_bytes());
        assert_eq!(secret.secret_bytes().len(), 256);
    }

    /// SHA-256 of what Python's `pow` says of the same secrets, in 256 bytes.
    #[test]
    fn powers_are_those_of_arithmetic() {
        let (ours, theirs) = (exchange(&counting(1)), exchange(&counting(0x81)));
        let public = "53b37a098c5882b9f56495d787706d354ac8ebc273e680a7047c70228ce24ad3";
        assert_eq!(sha256_hex(ours.pub_key()), public);
        assert_eq!(
            sha256_hex(theirs.pub_key()),
            "0c72878ad325a1d42af5eef7880b40b666db0d688cd8f3704acadf3156afbdfb"
        );
        assert_eq!(
            sha256_hex(ours.complete(theirs.pub_key()).unwrap().secret_bytes()),
            "06cd0393695dda3b1414715ea92e7cf8069be0b776c3da68ebfb993b88b7b454"
        );
        // The secret is even: (p - 2)^secret is 2^secret.
        let largest = exchange(&counting(1)).complete(&prime_less(2)).unwrap();
        assert_eq!(sha256_hex(largest.secret_bytes()), public);
        let least = exchange(&counting(1)).complete(&[2]).unwrap();
        assert_eq!(sha256_hex(least.secret_bytes()), public);
    }

    #[test]
    fn a_share_that_is_no_key_is_refused() {
        let longer = [&[0], &prime_less(2)[..]].concat();
        let refused = [
            &[][..],
            &[0],
            &[1],
            &padded(0),
            &padded(1),
            &prime_less(1),
            FFDHE2048.p,
            &[0xff; 256],
            &[1; 257],
            &[0; 65_535],
            &longer,
        ];
        for share in refused {
            let refused = Ffdhe2048.start().unwrap().complete(share).err();
            let expected = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
            assert_eq!(refused, Some(expected), "{} bytes", share.len());
        }
        for share in [&[2][..], &padded(2), &prime_less(2)] {
            assert!(Ffdhe2048.start().unwrap().complete(share).is_ok());
        }
    }

    #[test]
    fn tls_1_2_takes_the_secret_without_its_leading_zeros() {
        let secret = exchange(&[7]).complete_for_tls_version(&[3], &TLS12).unwrap();
        assert_eq!(secret.secret_bytes(), 2187u16.to_be_bytes());
        // One of full size, whose first byte is zero; the sum is of the 255 that are left.
        let mut theirs = counting(0x81);
        theirs[30..].copy_from_slice(&[0xa0, 0xe5]);
        let theirs = exchange(&theirs);
        let secret = exchange(&counting(1)).complete_for_tls_version(theirs.pub_key(), &TLS12).unwrap();
        assert_eq!(secret.secret_bytes().len(), 255);
        assert_eq!(
            sha256_hex(secret.secret_bytes()),
            "4ddd21720c76eb4afe07cc4c1b26513cda566587fc0cb5e515e5fd8c9499c774"
        );
    }
}
