//! The unguessable part of a machine's URLs: `m/<capability>/preseed.cfg`.
//!
//! It is derived from the attempt's id and the server's key. So no secret is stored, and the capability
//! belongs to one attempt and ends with it.

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::model::hex;

/// The placeholder for a capability in a preview. It is not a capability: [`open`] refuses it.
pub const PREVIEW: &str = "preview";
/// Bytes of the keyed hash in a capability.
const TAG_BYTES: usize = 16;

/// The server's key for capabilities, prepared: the key's part of the hash is computed once.
#[derive(Clone)]
pub struct CapabilityKey(Hmac<Sha256>);

impl CapabilityKey {
    pub fn new(key: &[u8; 32]) -> Self {
        // HMAC pads a key to one block of the hash, so no key is too long or too short.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        CapabilityKey(Hmac::new(&block.into()))
    }
}

/// The capability of an attempt: its id in 32 hex digits, a dash, and 32 hex digits of proof.
pub fn issue(key: &CapabilityKey, attempt: Uuid) -> String {
    format!("{}-{}", attempt.simple(), hex(&tag(key, attempt)))
}

/// The attempt that a capability was issued for, if it was issued with this key.
pub fn open(key: &CapabilityKey, capability: &str) -> Option<Uuid> {
    let (id, _) = capability.split_once('-')?;
    let attempt = Uuid::try_parse(id).ok()?;
    let genuine: bool = issue(key, attempt).as_bytes().ct_eq(capability.as_bytes()).into();
    genuine.then_some(attempt)
}

/// A path or URL with its capability hidden, for events and logs: `m/…/preseed.cfg`.
pub fn hide(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').collect();
    let shown: Vec<&str> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| if i > 0 && is_folder(parts.get(i - 1)) && part.contains('-') { "…" } else { part })
        .collect();
    shown.join("/")
}

/// Whether the next part of a path is a capability; `::m` is what some readers of PXELINUX menus send.
fn is_folder(part: Option<&&str>) -> bool {
    part.is_some_and(|part| *part == "m" || part.ends_with("::m"))
}

fn tag(key: &CapabilityKey, attempt: Uuid) -> [u8; TAG_BYTES] {
    let mut mac = key.0.clone();
    mac.update(b"boot attempt ");
    mac.update(attempt.as_bytes());
    let mut out = [0; TAG_BYTES];
    for (to, from) in out.iter_mut().zip(mac.finalize().into_bytes()) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_opens_with_its_key_only_and_not_when_altered() {
        let attempt = Uuid::from_u128(7);
        let capability = issue(&CapabilityKey::new(&[1; 32]), attempt);
        assert_eq!(open(&CapabilityKey::new(&[1; 32]), &capability), Some(attempt));
        assert_eq!(open(&CapabilityKey::new(&[2; 32]), &capability), None);
        assert_eq!(open(&CapabilityKey::new(&[1; 32]), &capability.replace('0', "1")), None);
        assert_eq!(open(&CapabilityKey::new(&[1; 32]), ""), None);
        assert_eq!(open(&CapabilityKey::new(&[1; 32]), PREVIEW), None);
    }

    #[test]
    fn a_capability_is_the_same_as_ever() {
        // Machines that boot while the server is being upgraded already have their capabilities.
        let capability = issue(&CapabilityKey::new(&[7; 32]), Uuid::from_u128(0x1234));
        assert_eq!(capability, "00000000000000000000000000001234-a067691852a4eefba872ede74b5f5676");
    }

    #[test]
    fn what_is_shown_of_a_url_does_not_open_anything() {
        let capability = issue(&CapabilityKey::new(&[1; 32]), Uuid::from_u128(7));
        let url = format!("http://10.0.0.1:8080/m/{capability}/boot.ipxe");
        assert_eq!(hide(&url), "http://10.0.0.1:8080/m/…/boot.ipxe");
        assert_eq!(hide(&format!("/m/{capability}/linux")), "/m/…/linux");
        assert_eq!(hide(&format!("::m/{capability}/linux")), "::m/…/linux");
        assert_eq!(hide("artifacts/debian-12-amd64/linux"), "artifacts/debian-12-amd64/linux");
    }
}
