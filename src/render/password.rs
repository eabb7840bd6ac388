//! Password hashes in the format of crypt(5).

use hmac::{Hmac, KeyInit, Mac};
use sha_crypt::{CustomizedPasswordHasher, Params, ShaCrypt};
use sha2::Sha256;

/// 96 bits: the 16 characters that SHA-crypt allows.
const SALT_BYTES: usize = 12;

/// Prefixes of crypt(5) hashes, and the length of their last field.
const HASHES: [(&str, usize); 9] = [
    ("$1$", 22),
    ("$5$", 43),
    ("$6$", 86),
    ("$2a$", 53),
    ("$2b$", 53),
    ("$2y$", 53),
    ("$7$", 43),
    ("$gy$", 43),
    ("$y$", 43),
];

/// Whether the text is a hash that crypt(3) knows.
pub(super) fn is_hash(text: &str) -> bool {
    let clean = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"./$=,".contains(&b));
    clean && HASHES.iter().any(|(prefix, length)| has_hash_form(text, prefix, *length) == Some(true))
}

/// Whether the text is what crypt(5) has in the place of a hash for a password that nothing matches.
pub fn is_locked(text: &str) -> bool {
    matches!(text, "*" | "!" | "!!" | "!*" | "*LK*") || text.strip_prefix('!').is_some_and(is_hash)
}

/// Whether the text begins like a hash and is none, so that it would be taken for a password.
pub fn is_broken_hash(text: &str) -> bool {
    HASHES.iter().any(|(prefix, _)| text.starts_with(prefix)) && !is_hash(text)
}

fn has_hash_form(text: &str, prefix: &str, last_length: usize) -> Option<bool> {
    let fields = text.strip_prefix(prefix)?;
    let (_, last) = fields.rsplit_once('$')?;
    Some(last.len() == last_length)
}

/// The input of a salt. It never includes the password: a salt that is a fast digest of the password would
/// defeat the slow hash.
pub(super) struct SaltInput<'a> {
    /// The machine.
    pub seed: &'a str,
    /// Distinguishes several passwords of one machine.
    pub label: &'a str,
}

/// The SHA-512 crypt hash of `password`; the same for the same salt.
///
/// # Errors
/// The hashing library fails, for which there is no known reason.
pub(super) fn sha512_crypt(password: &str, from: SaltInput<'_>) -> Result<String, String> {
    let mut salt = <Hmac<Sha256>>::new_from_slice(from.seed.as_bytes()).map_err(|error| error.to_string())?;
    salt.update(b"password_hash\0");
    salt.update(from.label.as_bytes());
    let salt = salt.finalize().into_bytes();
    let salt = salt.get(..SALT_BYTES).unwrap_or_default();
    let hash = ShaCrypt::SHA512
        .hash_password_customized(password.as_bytes(), salt, None, None, Params::RECOMMENDED)
        .map_err(|error| error.to_string())?;
    // An absent field means 5000 rounds; old readers only know the short form.
    Ok(hash.as_str().replacen("$rounds=5000$", "$", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_other_implementations_make_of_the_same_salt() {
        // `openssl passwd -6 -salt SALT "Hello world! 'é"` gives this for the salt of `machine-1`.
        let expected = "$6$.SW.TpDO8wEnOoh1$CfM/PFXmbcd.gUzyn7MMclmEwFkAegDnEdKObwV.GTMpsKmuQG8mG35Zo5llxN\
                        NntOw7F8XnBuMNXvosqpzWk1";
        let salt = SaltInput { seed: "machine-1", label: "" };
        assert_eq!(sha512_crypt("Hello world! 'é", salt).unwrap(), expected);
    }

    #[test]
    fn the_salt_is_the_machines_and_not_the_passwords() {
        let salt = |password, seed, label| {
            sha512_crypt(password, SaltInput { seed, label }).unwrap().split('$').nth(2).unwrap().to_owned()
        };
        assert_eq!(salt("a", "m1", ""), salt("b", "m1", ""));
        assert_ne!(salt("a", "m1", ""), salt("a", "m2", ""));
        assert_ne!(salt("a", "m1", ""), salt("a", "m1", "root"));
    }

    #[test]
    fn only_whole_hashes_count_as_hashes() {
        let hash = sha512_crypt("x", SaltInput { seed: "m", label: "" }).unwrap();
        assert!(is_hash(&hash));
        assert!(is_hash("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"));
        assert!(is_hash("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"));
        for text in ["*", "!", "!!", &format!("!{hash}")] {
            assert!(is_locked(text) && !is_hash(text), "{text}");
        }
        for text in ["!secret", "**", "", &hash] {
            assert!(!is_locked(text), "{text}");
        }
        for text in ["$6$", "$6$secret", "hunter2", "", "$6$salt$short", &format!("{hash} ")] {
            assert!(!is_hash(text), "{text}");
        }
    }
}
