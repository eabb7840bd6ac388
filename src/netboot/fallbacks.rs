//! Built-in scripts for loaders, for the case that the template engine gives no result, or not in time.

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
        ScriptKind::Grub => {
            (without_comment(include_str!("../../templates/grub/local.cfg")), "built-in:local.cfg")
        }
        ScriptKind::Pxelinux => (
            "DEFAULT local\nPROMPT 0\nSAY Metalwright: booting from the disk\nLABEL local\n  \
             KERNEL /leave-to-the-disk\n  LOCALBOOT 0\n",
            "built-in:pxelinux.cfg",
        ),
    }
}

/// A template that has no instructions, without the comment at its beginning.
fn without_comment(template: &'static str) -> &'static str {
    template.split_once("-#}").map_or(template, |(_, script)| script.trim_start())
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
    fn the_built_in_local_script_is_what_the_template_renders_to() {
        let network = without_comment(include_str!("../../templates/ipxe/network.ipxe"));
        let template = without_comment(include_str!("../../templates/ipxe/local.ipxe"));
        let rendered = template.replace("{% include \"ipxe/network.ipxe\" -%}\n", network);
        assert_eq!(to_disk(ScriptKind::Ipxe).0, rendered);
    }
}
