//! Diffie-Hellman in the group ffdhe2048 (RFC 7919 appendix A.1), for TLS 1.2. Each exchange has a secret of
//! its own, and no step takes a time that depends on it.

use std::sync::LazyLock;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::{FFDHE2048, FfdheGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

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
struct Exchange {
    secret: BoxedUint,
    public: Box<[u8]>,
}

impl SupportedKxGroup for Ffdhe2048 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut secret = [0; SECRET_BITS as usize / 8];
        getrandom::fill(&mut secret).map_err(|_| Error::FailedToGetRandomBytes)?;
        let secret = BoxedUint::from_be_slice_truncated(&secret, SECRET_BITS);
        let generator = BoxedUint::from_be_slice_truncated(FFDHE2048.g, BITS);
        let public = power(generator, &secret);
        Ok(Box::new(Exchange { secret, public }))
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

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let invalid = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
        let peer = BoxedUint::from_be_slice(peer, BITS).map_err(|_| invalid.clone())?;
        // 1 and the prime less 1 are the only small subgroup (RFC 7919 section 5.1).
        let one = BoxedUint::one_with_precision(BITS);
        if peer <= one || peer >= PRIME.wrapping_sub(&one) {
            return Err(invalid);
        }
        Ok(SharedSecret::from(&power(peer, &self.secret)[..]))
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
fn power(base: BoxedUint, exponent: &BoxedUint) -> Box<[u8]> {
    BoxedMontyForm::new(base, &MODULUS).pow_bounded_exp(exponent, SECRET_BITS).retrieve().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use rustls::version::TLS12;

    use super::*;

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

    #[test]
    fn powers_are_those_of_arithmetic() {
        // Below the prime: 3^7 = 2187. Beyond it, Fermat: 2^(p-1) = 1, so (2^((p-1)/2))^2 = 1.
        let three = BoxedUint::from_be_slice_truncated(&[3], BITS);
        let seven = BoxedUint::from_be_slice_truncated(&[7], SECRET_BITS);
        assert_eq!(power(three, &seven)[254..], 2187u16.to_be_bytes());
        let two = BoxedMontyForm::new(BoxedUint::from_be_slice_truncated(FFDHE2048.g, BITS), &MODULUS);
        let order = PRIME.wrapping_sub(BoxedUint::one_with_precision(BITS));
        assert_eq!(two.pow(&order).retrieve().to_be_bytes()[..], padded(1));
    }

    #[test]
    fn a_share_that_is_no_key_is_refused() {
        let mut last = FFDHE2048.p.to_vec();
        *last.last_mut().unwrap() -= 1;
        let beyond = [FFDHE2048.p, &[0]].concat();
        for share in [&[][..], &[0], &[1], &padded(1), &last, FFDHE2048.p, &[0xff; 256], &beyond] {
            let refused = Ffdhe2048.start().unwrap().complete(share).err();
            let expected = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
            assert_eq!(refused, Some(expected), "{} bytes", share.len());
        }
        assert!(Ffdhe2048.start().unwrap().complete(&[2]).is_ok());
    }

    #[test]
    fn tls_1_2_takes_the_secret_without_its_leading_zeros() {
        let exchange = Exchange {
            secret: BoxedUint::from_be_slice_truncated(&[7], SECRET_BITS),
            public: Box::default(),
        };
        let secret = Box::new(exchange).complete_for_tls_version(&[3], &TLS12).unwrap();
        assert_eq!(secret.secret_bytes(), 2187u16.to_be_bytes());
    }
}
