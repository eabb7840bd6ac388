//! Built-in scripts for loaders, for the case that the template engine gives no result, or not in time.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::artifacts::opened::{FileBody, FileSubject, OpenedFile};
use crate::netboot::decide::namespace::ScriptKind;

/// A script and its label.
pub(super) type FallbackScript = (&'static str, &'static str);

/// Makes an unknown iPXE identify itself. The URL is relative to the one that this script was fetched from.
pub(super) const IDENTIFY: FallbackScript = (
    "#!ipxe\nisset ${netX/ip} || ifconf || goto failed\n\
     chain --replace --autofree boot.ipxe?mac=${netX/mac}&uuid=${uuid} ||\n:failed\nexit 1\n",
    "built-in:identify.ipxe",
);

/// The result of `templates/ipxe/local.ipxe`; a test compares the two.
const LOCAL_IPXE: &str = "#!ipxe\nisset ${netX/ip} || ifconf || goto failed\n:failed\n\
    echo Metalwright: booting from the disk\niseq ${platform} efi && goto efi ||\n\
    sanboot --no-describe --drive 0x80 || exit\n:efi\nexit 1\n";

/// The text of `templates/grub/local.cfg`.
static LOCAL_GRUB: LazyLock<String> =
    LazyLock::new(|| without_tags(include_str!("../../templates/grub/local.cfg")));

/// The screen for the case that even the template of the screen fails.
pub(super) fn last_resort(kind: ScriptKind, about: FileSubject) -> OpenedFile {
    let text = match kind {
        ScriptKind::Ipxe => {
            "#!ipxe\nisset ${netX/ip} || ifconf || goto failed\n:failed\n\
             echo Metalwright: the boot cannot go on and its screen cannot be rendered;\n\
             echo see the machine's timeline\nsleep 30\nexit 1\n"
        }
        ScriptKind::Grub => "echo 'Metalwright: the boot cannot go on; see the timeline'\nsleep 30\nexit\n",
        ScriptKind::Pxelinux => {
            "SAY Metalwright: the boot cannot go on; see the timeline\nPROMPT 1\nTIMEOUT 300\n"
        }
    };
    fallback((text, "screen"), about)
}

/// The script that boots the local disk.
pub(super) fn to_disk(kind: ScriptKind) -> FallbackScript {
    match kind {
        ScriptKind::Ipxe => (LOCAL_IPXE, "built-in:local.ipxe"),
        ScriptKind::Grub => (LOCAL_GRUB.as_str(), "built-in:local.cfg"),
        ScriptKind::Pxelinux => (
            "DEFAULT local\nPROMPT 0\nSAY Metalwright: booting from the disk\nLABEL local\n  \
             KERNEL /leave-to-the-disk\n  LOCALBOOT 0\n",
            "built-in:pxelinux.cfg",
        ),
    }
}

/// A template whose tags are those of blocks, which stand on lines of their own, without them and without the
/// comment at its beginning.
fn without_tags(template: &str) -> String {
    let script = template.split_once("-#}").map_or(template, |(_, script)| script.trim_start());
    script.split_inclusive('\n').filter(|line| !line.starts_with("{%")).collect()
}

pub(super) fn fallback((text, label): FallbackScript, about: FileSubject) -> OpenedFile {
    OpenedFile {
        body: FileBody::Bytes(Bytes::from_static(text.as_bytes())),
        label: label.to_owned(),
        content_type: "text/plain",
        version: None,
        about,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scripts_are_scripts_and_no_templates() {
        for kind in [ScriptKind::Ipxe, ScriptKind::Grub, ScriptKind::Pxelinux] {
            let (script, _) = to_disk(kind);
            assert!(script.contains("Metalwright: booting from the disk"), "{script}");
            for mark in ["{{", "{%", "{#", "#}"] {
                assert!(!script.contains(mark), "{script}");
            }
        }
    }

    #[test]
    fn the_built_in_scripts_are_what_the_templates_render_to() {
        let ipxe = include_str!("../../tests/vectors/render/local/uefi/ipxe/local.ipxe");
        let grub = include_str!("../../tests/vectors/render/local/uefi/grub/local.cfg");
        assert_eq!([ScriptKind::Ipxe, ScriptKind::Grub].map(|kind| to_disk(kind).0), [ipxe, grub]);
    }
}
