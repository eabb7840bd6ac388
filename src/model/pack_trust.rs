//! Whose signatures of packs a server accepts.

use std::collections::BTreeMap;

/// Whether a pack must be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureNeed {
    /// A pack without a signature is accepted.
    #[default]
    Optional,
    /// A pack without the signature of a trusted key is refused.
    Required,
}

/// The trusted keys, and whether a pack must be signed with one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackTrust {
    /// Public keys of minisign, in base64, by the names that the operator gave them.
    pub keys: BTreeMap<String, String>,
    pub need: SignatureNeed,
}
