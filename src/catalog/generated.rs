//! Makes the values of params that are declared with `generate`. Whoever begins a run seals them and keeps
//! them with the machine (`runs::generated_params`).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

use crate::model::GeneratedSecret;

/// Letters and digits that nobody confuses.
const PASSWORD_CHARACTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// 24 of 56 characters are 139 bits.
const PASSWORD_LENGTH: usize = 24;
const TOKEN_BYTES: usize = 32;
/// Most random bytes that are drawn for one password; one in 1.2 is good.
const DRAWN_MAX: usize = 1024;

/// A value that was made.
#[derive(Debug)]
pub struct GeneratedValue {
    pub secret: Zeroizing<String>,
    /// What everybody may know of a pair of keys: one line, as in `known_hosts` without the names.
    pub public: Option<String>,
}

/// Makes a value.
///
/// # Errors
/// The system gave no random numbers.
pub fn generate(what: GeneratedSecret) -> io::Result<GeneratedValue> {
    match what {
        GeneratedSecret::Password => Ok(GeneratedValue { secret: password()?, public: None }),
        GeneratedSecret::Token => {
            let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*random::<TOKEN_BYTES>()?));
            Ok(GeneratedValue { secret, public: None })
        }
        GeneratedSecret::SshHostKey => ssh_host_key(),
    }
}

fn random<const BYTES: usize>() -> io::Result<Zeroizing<[u8; BYTES]>> {
    let mut bytes = Zeroizing::new([0u8; BYTES]);
    getrandom::fill(&mut *bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Every character is as likely as every other.
fn password() -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(PASSWORD_LENGTH));
    let drawn = random::<DRAWN_MAX>()?;
    let fair = u8::try_from(PASSWORD_CHARACTERS.len() * (256 / PASSWORD_CHARACTERS.len())).unwrap_or(u8::MAX);
    let good = drawn.iter().filter(|byte| **byte < fair).take(PASSWORD_LENGTH);
    let characters = good
        .filter_map(|byte| PASSWORD_CHARACTERS.get(usize::from(*byte) % PASSWORD_CHARACTERS.len()).copied());
    text.extend(characters.map(char::from));
    match text.len() {
        PASSWORD_LENGTH => Ok(text),
        _ => Err(io::Error::other("the random numbers of the system are not random")),
    }
}

/// An Ed25519 key as OpenSSH writes it, without a passphrase: sshd reads it without a person at hand.
fn ssh_host_key() -> io::Result<GeneratedValue> {
    let seed = Ed25519PrivateKey::from_bytes(&*random::<{ Ed25519PrivateKey::BYTE_SIZE }>()?);
    let pair = KeypairData::Ed25519(Ed25519Keypair::from(seed));
    let key = PrivateKey::new(pair, "").map_err(io::Error::other)?;
    let secret = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    let public = key.public_key().to_openssh().map_err(io::Error::other)?;
    Ok(GeneratedValue { secret: Zeroizing::new(secret.as_str().to_owned()), public: Some(public) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_value_is_another_one_and_none_needs_quoting() {
        for what in [GeneratedSecret::Password, GeneratedSecret::Token] {
            let made: BTreeSet<String> =
                (0..8).map(|_| generate(what).unwrap().secret.as_str().to_owned()).collect();
            assert_eq!(made.len(), 8);
            for text in made {
                assert!((24..=43).contains(&text.len()), "{text}");
                assert!(
                    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_host_key_is_an_openssh_key_with_its_public_half() {
        let made = generate(GeneratedSecret::SshHostKey).unwrap();
        assert!(made.secret.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        assert!(made.secret.ends_with("-----END OPENSSH PRIVATE KEY-----\n"));
        let public = made.public.unwrap();
        assert!(public.starts_with("ssh-ed25519 AAAA") && !public.contains('\n'), "{public}");
        let read = PrivateKey::from_openssh(made.secret.as_str()).unwrap();
        assert_eq!(read.public_key().to_openssh().unwrap(), public);
    }
}
