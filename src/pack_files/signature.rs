//! The signature of a pack, which minisign makes of its list of files.

use minisign_verify::{PublicKey, Signature};

use super::{PackFile, file_list};
use crate::model::{PackTrust, Problem, RefusalCode, SignatureNeed};

/// The file of the signature. The digest does not cover it.
pub const SIGNATURE: &str = "pack.minisig";

/// The name of the trusted key that signed the pack; none for a pack without a signature.
///
/// # Errors
/// The signature is none of a trusted key over these files, or one is required and there is none.
pub fn signed_by(files: &[PackFile], trust: &PackTrust) -> Result<Option<String>, Problem> {
    let Some(file) = files.iter().find(|file| file.path == SIGNATURE) else {
        return match trust.need {
            SignatureNeed::Optional => Ok(None),
            SignatureNeed::Required => Err(unsigned()),
        };
    };
    let text = String::from_utf8_lossy(&file.body);
    let signature = Signature::decode(&text)
        .map_err(|error| Problem::new("", format!("not a signature of minisign: {error}")))?;
    let signed = file_list(files);
    let by = trust.keys.iter().find(|(_, key)| {
        let key = PublicKey::from_base64(key);
        key.is_ok_and(|key| key.verify(signed.as_bytes(), &signature, true).is_ok())
    });
    match (by, trust.need) {
        (Some((name, _)), _) => Ok(Some(name.clone())),
        // Nobody here knows the key: the pack counts as one without a signature.
        (None, SignatureNeed::Optional) if trust.keys.is_empty() => Ok(None),
        (None, _) => Err(Problem::new(
            "",
            "no trusted key made this signature of these files: `packs.trusted_keys` of the server's \
             configuration lists those that are trusted, and `metalwright packs files DIR` prints what is \
             signed",
        )
        .coded(RefusalCode::Malformed)),
    }
}

fn unsigned() -> Problem {
    let what = "it is missing, and this server takes signed packs only (`packs.require_signatures`): sign \
                what `metalwright packs files DIR` prints with minisign";
    Problem::new("", what).coded(RefusalCode::Missing)
}

/// The fault of a public key of minisign in base64.
///
/// # Errors
/// Why it is none.
pub fn check_key(key: &str) -> Result<(), String> {
    PublicKey::from_base64(key).map(|_| ()).map_err(|error| format!("not a public key of minisign: {error}"))
}
