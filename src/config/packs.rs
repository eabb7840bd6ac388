//! What operators set of packs: whose signatures are accepted, and whether a pack must have one.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{PackTrust, SignatureNeed, check_name};
use crate::pack_files::check_key;

/// Every key of the section.
pub(super) const KEYS: &[&str] = &["trusted_keys", "require_signatures"];

/// Most trusted keys.
const KEYS_MAX: usize = 64;

#[derive(Clone, Debug, Default, clap::Args)]
pub struct PackFlags {
    /// A public key of minisign whose signatures of packs are accepted, with a name for it: NAME:KEY; repeat
    /// for more.
    #[arg(long = "pack-key", env = "METALWRIGHT_PACK_KEYS", value_name = "NAME:KEY", value_delimiter = ',')]
    pub pack_keys: Vec<String>,
    /// Refuse packs without the signature of such a key.
    #[arg(long, env = "METALWRIGHT_PACK_SIGNATURES", value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true")]
    pub require_pack_signatures: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PackSection {
    trusted_keys: Option<Vec<String>>,
    require_signatures: Option<bool>,
}

/// Puts flags and file together; what is wrong is added to `faults`.
pub(super) fn load(flags: PackFlags, file: PackSection, faults: &mut Vec<String>) -> PackTrust {
    let listed = match flags.pack_keys.is_empty() {
        true => file.trusted_keys.unwrap_or_default(),
        false => flags.pack_keys,
    };
    if listed.len() > KEYS_MAX {
        faults.push(format!("packs.trusted_keys: {} keys, and {KEYS_MAX} at most", listed.len()));
    }
    let mut keys = BTreeMap::new();
    for entry in listed.iter().take(KEYS_MAX) {
        match read(entry) {
            Ok((name, _)) if keys.contains_key(&name) => {
                faults.push(format!("packs.trusted_keys: two keys have the name `{name}`"));
            }
            Ok((name, key)) => {
                keys.insert(name, key);
            }
            Err(fault) => faults.push(format!("packs.trusted_keys: {fault}")),
        }
    }
    let need = match flags.require_pack_signatures.or(file.require_signatures) {
        Some(true) => SignatureNeed::Required,
        _ => SignatureNeed::Optional,
    };
    if need == SignatureNeed::Required && keys.is_empty() {
        faults.push(
            "packs.require_signatures: no key is trusted, so that every pack would be refused: name one in \
             packs.trusted_keys"
                .to_owned(),
        );
    }
    PackTrust { keys, need }
}

fn read(entry: &str) -> Result<(String, String), String> {
    let (name, key) = entry.split_once(':').ok_or_else(|| {
        format!("`{entry}` is not NAME:KEY, like release:RWQ… with the line of minisign.pub")
    })?;
    if let Some(fault) = check_name(name, "").into_iter().next() {
        return Err(fault.to_string());
    }
    check_key(key.trim()).map_err(|fault| format!("`{name}`: {fault}"))?;
    Ok((name.to_owned(), key.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn loaded(keys: &[&str], required: bool) -> (PackTrust, Vec<String>) {
        let mut faults = Vec::new();
        let trusted_keys = Some(keys.iter().map(|key| (*key).to_owned()).collect());
        let file = PackSection { trusted_keys, require_signatures: Some(required) };
        (load(PackFlags::default(), file, &mut faults), faults)
    }

    #[test]
    fn keys_have_names_and_are_keys_of_minisign() {
        let (trust, faults) = loaded(&[&format!("release:{KEY}")], true);
        assert_eq!(faults, [""; 0]);
        assert_eq!((trust.keys["release"].as_str(), trust.need), (KEY, SignatureNeed::Required));
        let twice = format!("b:{KEY}");
        let (_, faults) = loaded(&["release:RWQ", KEY, &twice, &twice], false);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].contains("`release`: not a public key of minisign"), "{faults:?}");
    }

    #[test]
    fn to_require_signatures_and_to_trust_nobody_is_a_fault() {
        assert_eq!(loaded(&[], true).1.len(), 1);
        assert_eq!(loaded(&[], false).1, [""; 0]);
    }
}
