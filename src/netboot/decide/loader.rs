//! The loader that a client starts with, and where distributions install it.
//!
//! Two tables: the IANA processor architectures, and the loader files of the boot namespace with the places
//! to search for them. Neither reads the file system; `loaders` checks which files exist.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Arch;
use crate::netboot::decide::client::{BootProgram, FirstFile, NetbootClient};

/// The protocol by which a client fetches its first file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoaderTransport {
    Tftp,
    Http,
    Https,
}

impl LoaderTransport {
    /// The protocol by which this client, with its classes, fetches the first file from this server.
    pub fn of(client: &NetbootClient) -> LoaderTransport {
        // A list of architectures may name PXE and HTTP variants; the vendor class says which one is running.
        match (client.stage, &client.quirks.https) {
            (BootProgram::HttpFirmware, Some(_)) => LoaderTransport::Https,
            (BootProgram::HttpFirmware, None) => LoaderTransport::Http,
            _ => LoaderTransport::Tftp,
        }
    }

    /// The name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            LoaderTransport::Tftp => "TFTP",
            LoaderTransport::Http => "HTTP",
            LoaderTransport::Https => "HTTPS",
        }
    }
}

/// One row of the IANA registry of processor architecture types (RFC 5970 3.3, RFC 4578 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientArch {
    pub code: u16,
    /// The registry's name of the architecture.
    pub name: &'static str,
    /// `None` for processors that no bootenv supports.
    pub arch: Option<Arch>,
    pub transport: LoaderTransport,
    /// The loader for firmware; `None` if there is none.
    pub loader: Option<&'static str>,
    /// The complete iPXE for an iPXE that lacks features.
    pub full_ipxe: Option<&'static str>,
}

/// A loader in the boot namespace. Names are stable, because sites use them in their own scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootLoader {
    pub name: &'static str,
    pub arch: Arch,
    /// Paths in distribution packages, the preferred one first.
    pub paths: &'static [&'static str],
}

/// The first file for a client that boots from the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStage {
    /// The client is an iPXE that can fetch and run the boot script.
    Script,
    /// The client is an iPXE without HTTP: it loads this complete iPXE over TFTP first.
    FullIpxe(&'static str),
    /// The client is firmware, and this is its loader.
    Loader { name: &'static str, transport: LoaderTransport },
    /// The file or URL of a client class.
    File(String),
    /// The client is firmware that knows the names of its files on the boot server.
    Server { menu: Option<String> },
}

/// Why there is no first file for a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLoader {
    #[error("it does not ask for a network boot")]
    NotNetboot,
    #[error("its client class {0} gives no boot data")]
    ByClass(String),
    #[error("it names no architecture")]
    NoArch,
    #[error("unknown architecture {0:#06x}")]
    UnknownArch(u16),
    #[error("there is no loader for architecture {0:#06x}")]
    Unsupported(u16),
}

/// The row of an architecture code.
pub fn client_arch(code: u16) -> Option<&'static ClientArch> {
    CLIENT_ARCHES.get(usize::from(code))
}

/// Every loader that DHCP offers to firmware, with its architecture.
pub fn advertised() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tftp = CLIENT_ARCHES.iter().filter(|row| row.transport == LoaderTransport::Tftp);
    tftp.filter_map(|row| Some((row.loader?, row.name)))
}

/// The loader of the boot namespace with this name.
pub fn loader_named(name: &str) -> Option<&'static BootLoader> {
    LOADERS.iter().find(|loader| loader.name == name)
}

/// The file without which a loader starts nothing. Distributions have it in a package of its own, which may
/// be missing (Debian's pxelinux only recommends syslinux-common).
pub fn companion(name: &str) -> Option<&'static str> {
    match name {
        "pxelinux.0" | "lpxelinux.0" => Some("ldlinux.c32"),
        "syslinux.efi" => Some("ldlinux.e64"),
        _ => None,
    }
}

/// Whether firmware with this architecture code is a BIOS, which starts other files than UEFI.
pub fn is_bios(code: u16) -> bool {
    matches!(code, 0x00 | 0x14)
}

/// Whether a client is UEFI firmware, or an iPXE that it started, which gets the usual first file.
pub fn is_uefi(client: &NetbootClient) -> bool {
    let loader = known_arch(client).ok().and_then(|row| row.loader);
    client.quirks.first_file == FirstFile::Loader && loader.is_some_and(|name| name.ends_with(".efi"))
}

/// Whether a BIOS starts the loader with this name.
pub fn is_for_bios(name: &str) -> bool {
    [".0", ".kpxe", ".pxe", ".kkpxe"].iter().any(|ending| name.ends_with(ending))
}

/// The first file for a client that boots from the network. An unknown architecture is never treated as a PC.
pub fn next_stage(client: &NetbootClient) -> Result<NextStage, NoLoader> {
    let row = || known_arch(client);
    match (client.stage, &client.quirks.first_file) {
        (BootProgram::Other, _) => return Err(NoLoader::NotNetboot),
        (_, FirstFile::Nothing { class }) => return Err(NoLoader::ByClass(class.clone())),
        (_, FirstFile::File(file)) => return Ok(NextStage::File(file.clone())),
        (BootProgram::Firmware | BootProgram::HttpFirmware, FirstFile::Server { menu }) => {
            return Ok(NextStage::Server { menu: menu.clone() });
        }
        (_, FirstFile::Loader | FirstFile::Server { .. }) => {}
    }
    match client.stage {
        BootProgram::Other => Err(NoLoader::NotNetboot),
        BootProgram::Ipxe(features) if features.own || features.http => Ok(NextStage::Script),
        BootProgram::Ipxe(_) => {
            let row = row()?;
            row.full_ipxe.map(NextStage::FullIpxe).ok_or(NoLoader::Unsupported(row.code))
        }
        BootProgram::Firmware | BootProgram::HttpFirmware => {
            let row = row()?;
            let name = row.loader.ok_or(NoLoader::Unsupported(row.code))?;
            Ok(NextStage::Loader { name, transport: LoaderTransport::of(client) })
        }
    }
}

fn known_arch(client: &NetbootClient) -> Result<&'static ClientArch, NoLoader> {
    let first = client.arches.first().ok_or(NoLoader::NoArch)?;
    client.arches.iter().find_map(|code| client_arch(*code)).ok_or(NoLoader::UnknownArch(*first))
}

/// A row with one loader or none, by the protocol of the firmware.
const fn row(code: u16, name: &'static str, arch: Option<Arch>, boot: LoaderChoice) -> ClientArch {
    let (transport, loader, full_ipxe) = match boot {
        LoaderChoice::Nothing => (LoaderTransport::Tftp, None, None),
        LoaderChoice::Tftp(loader, full) => (LoaderTransport::Tftp, Some(loader), full),
        LoaderChoice::Http(loader, full) => (LoaderTransport::Http, Some(loader), full),
    };
    ClientArch { code, name, arch, transport, loader, full_ipxe }
}

enum LoaderChoice {
    Nothing,
    Tftp(&'static str, Option<&'static str>),
    Http(&'static str, Option<&'static str>),
}

use LoaderChoice::{Http, Nothing, Tftp};

const BIOS: &str = "undionly.kpxe";
const BIOS_FULL: Option<&str> = Some("ipxe.pxe");
const X64: &str = "snponly.efi";
const X64_FULL: Option<&str> = Some("ipxe.efi");
const ARM64: &str = "snponly-arm64.efi";
const ARM64_FULL: Option<&str> = Some("snponly-arm64.efi");

/// Indexed by code, which a test checks. RFC 4578 prints 7 and 9 the wrong way round: in the registry and in
/// all firmware x86-64 is 7.
static CLIENT_ARCHES: [ClientArch; 0x2a] = [
    row(0x00, "x86 BIOS", Some(Arch::Amd64), Tftp(BIOS, BIOS_FULL)),
    row(0x01, "NEC/PC98", None, Nothing),
    row(0x02, "EFI Itanium", None, Nothing),
    row(0x03, "DEC Alpha", None, Nothing),
    row(0x04, "Arc x86", None, Nothing),
    row(0x05, "Intel Lean Client", None, Nothing),
    row(0x06, "x86 EFI", Some(Arch::I386), Tftp("ipxe-i386.efi", Some("ipxe-i386.efi"))),
    row(0x07, "x86-64 EFI", Some(Arch::Amd64), Tftp(X64, X64_FULL)),
    row(0x08, "EFI Xscale", None, Nothing),
    row(0x09, "EFI BC", Some(Arch::Amd64), Tftp(X64, X64_FULL)),
    row(0x0a, "ARM 32-bit EFI", Some(Arch::Arm), Tftp("snponly-arm.efi", Some("snponly-arm.efi"))),
    row(0x0b, "ARM 64-bit EFI", Some(Arch::Arm64), Tftp(ARM64, ARM64_FULL)),
    row(0x0c, "PowerPC Open Firmware", Some(Arch::Ppc64el), Tftp("core.elf", None)),
    row(0x0d, "PowerPC ePAPR", None, Nothing),
    row(0x0e, "POWER OPAL v3", Some(Arch::Ppc64el), Nothing),
    row(0x0f, "x86 EFI, HTTP", Some(Arch::I386), Http("ipxe-i386.efi", Some("ipxe-i386.efi"))),
    row(0x10, "x86-64 EFI, HTTP", Some(Arch::Amd64), Http(X64, X64_FULL)),
    row(0x11, "EFI BC, HTTP", Some(Arch::Amd64), Http(X64, X64_FULL)),
    row(0x12, "ARM 32-bit EFI, HTTP", Some(Arch::Arm), Http("snponly-arm.efi", Some("snponly-arm.efi"))),
    row(0x13, "ARM 64-bit EFI, HTTP", Some(Arch::Arm64), Http(ARM64, ARM64_FULL)),
    row(0x14, "x86 BIOS, HTTP", Some(Arch::Amd64), Http("ipxe.lkrn", BIOS_FULL)),
    row(0x15, "ARM 32-bit U-Boot", Some(Arch::Arm), Nothing),
    row(0x16, "ARM 64-bit U-Boot", Some(Arch::Arm64), Nothing),
    row(0x17, "ARM 32-bit U-Boot, HTTP", Some(Arch::Arm), Nothing),
    row(0x18, "ARM 64-bit U-Boot, HTTP", Some(Arch::Arm64), Nothing),
    row(0x19, "RISC-V 32-bit EFI", None, Nothing),
    row(0x1a, "RISC-V 32-bit EFI, HTTP", None, Nothing),
    row(0x1b, "RISC-V 64-bit EFI", Some(Arch::Riscv64), Tftp("snponly-riscv64.efi", None)),
    row(0x1c, "RISC-V 64-bit EFI, HTTP", Some(Arch::Riscv64), Http("snponly-riscv64.efi", None)),
    row(0x1d, "RISC-V 128-bit EFI", None, Nothing),
    row(0x1e, "RISC-V 128-bit EFI, HTTP", None, Nothing),
    row(0x1f, "s390 basic", Some(Arch::S390x), Nothing),
    row(0x20, "s390 extended", Some(Arch::S390x), Nothing),
    row(0x21, "MIPS 32-bit EFI", None, Nothing),
    row(0x22, "MIPS 64-bit EFI", None, Nothing),
    row(0x23, "Sunway 32-bit EFI", None, Nothing),
    row(0x24, "Sunway 64-bit EFI", None, Nothing),
    row(0x25, "LoongArch 32-bit EFI", None, Nothing),
    row(0x26, "LoongArch 32-bit EFI, HTTP", None, Nothing),
    row(0x27, "LoongArch 64-bit EFI", Some(Arch::Loong64), Tftp("snponly-loong64.efi", None)),
    row(0x28, "LoongArch 64-bit EFI, HTTP", Some(Arch::Loong64), Http("snponly-loong64.efi", None)),
    row(0x29, "ARM rpiboot", Some(Arch::Arm64), Nothing),
];

/// Every loader with a name. Paths in packages of Debian and Ubuntu come first, then those of Fedora and
/// openSUSE.
pub static LOADERS: &[BootLoader] = &[
    loader("undionly.kpxe", Arch::Amd64, &["/usr/lib/ipxe/undionly.kpxe", "/usr/share/ipxe/undionly.kpxe"]),
    loader("ipxe.pxe", Arch::Amd64, &["/usr/lib/ipxe/ipxe.pxe", "/usr/share/ipxe/ipxe.pxe"]),
    loader(
        "ipxe.lkrn",
        Arch::Amd64,
        &["/usr/lib/ipxe/ipxe.lkrn", "/boot/ipxe.lkrn", "/usr/share/ipxe/ipxe.lkrn"],
    ),
    loader(
        "snponly.efi",
        Arch::Amd64,
        &[
            "/usr/lib/ipxe/snponly.efi",
            "/usr/share/ipxe/ipxe-snponly-x86_64.efi",
            "/usr/share/ipxe/snponly-x86_64.efi",
        ],
    ),
    loader(
        "ipxe.efi",
        Arch::Amd64,
        &["/usr/lib/ipxe/ipxe.efi", "/boot/ipxe.efi", "/usr/share/ipxe/ipxe-x86_64.efi"],
    ),
    loader("ipxe-i386.efi", Arch::I386, &["/usr/lib/ipxe/ipxe-i386.efi", "/usr/share/ipxe/ipxe-i386.efi"]),
    loader("snponly-arm.efi", Arch::Arm, &["/usr/lib/ipxe/snponly-arm.efi"]),
    loader(
        "snponly-arm64.efi",
        Arch::Arm64,
        &[
            "/usr/lib/ipxe/snponly-arm64.efi",
            "/usr/lib/ipxe/ipxe-arm64.efi",
            "/usr/share/ipxe/arm64-efi/snponly.efi",
            "/usr/share/ipxe/snponly-arm64.efi",
        ],
    ),
    loader("snponly-riscv64.efi", Arch::Riscv64, &["/usr/lib/ipxe/snponly-riscv64.efi"]),
    loader("snponly-loong64.efi", Arch::Loong64, &["/usr/lib/ipxe/snponly-loong64.efi"]),
    loader("pxelinux.0", Arch::Amd64, &["/usr/lib/PXELINUX/pxelinux.0", "/usr/share/syslinux/pxelinux.0"]),
    loader("lpxelinux.0", Arch::Amd64, &["/usr/lib/PXELINUX/lpxelinux.0", "/usr/share/syslinux/lpxelinux.0"]),
    loader(
        "ldlinux.c32",
        Arch::Amd64,
        &["/usr/lib/syslinux/modules/bios/ldlinux.c32", "/usr/share/syslinux/ldlinux.c32"],
    ),
    loader(
        "syslinux.efi",
        Arch::Amd64,
        &["/usr/lib/SYSLINUX.EFI/efi64/syslinux.efi", "/usr/share/syslinux/efi64/syslinux.efi"],
    ),
    loader(
        "ldlinux.e64",
        Arch::Amd64,
        &["/usr/lib/syslinux/modules/efi64/ldlinux.e64", "/usr/share/syslinux/efi64/ldlinux.e64"],
    ),
    loader(
        "shimx64.efi",
        Arch::Amd64,
        &[
            "/usr/lib/shim/shimx64.efi.signed",
            "/usr/lib/shim/shimx64.efi.dualsigned",
            "/boot/efi/EFI/fedora/shimx64.efi",
            "/usr/share/efi/x86_64/shim.efi",
        ],
    ),
    loader(
        "grubx64.efi",
        Arch::Amd64,
        &[
            "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
            "/boot/efi/EFI/fedora/grubx64.efi",
            "/usr/share/efi/x86_64/grub.efi",
        ],
    ),
    loader(
        "mmx64.efi",
        Arch::Amd64,
        &[
            "/usr/lib/shim/mmx64.efi.signed",
            "/boot/efi/EFI/fedora/mmx64.efi",
            "/usr/share/efi/x86_64/MokManager.efi",
        ],
    ),
    loader(
        "mmaa64.efi",
        Arch::Arm64,
        &["/usr/lib/shim/mmaa64.efi.signed", "/boot/efi/EFI/fedora/mmaa64.efi"],
    ),
    loader(
        "shimaa64.efi",
        Arch::Arm64,
        &["/usr/lib/shim/shimaa64.efi.signed", "/boot/efi/EFI/fedora/shimaa64.efi"],
    ),
    loader(
        "grubaa64.efi",
        Arch::Arm64,
        &["/usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed", "/boot/efi/EFI/fedora/grubaa64.efi"],
    ),
    loader("core.elf", Arch::Ppc64el, &["/var/lib/tftpboot/boot/grub/powerpc-ieee1275/core.elf"]),
];

const fn loader(name: &'static str, arch: Arch, paths: &'static [&'static str]) -> BootLoader {
    BootLoader { name, arch, paths }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netboot::decide::client::ClientQuirks;
    use crate::proto::dhcp4::from_text;

    #[test]
    fn every_code_of_the_registry_has_its_row_and_no_other_has() {
        for code in 0..=0x29 {
            assert_eq!(client_arch(code).map(|row| row.code), Some(code));
        }
        assert_eq!(client_arch(0x2a), None);
        assert_eq!(client_arch(0x10).unwrap().arch, Some(Arch::Amd64));
        assert_eq!(client_arch(0x0a).unwrap().arch, Some(Arch::Arm));
    }

    #[test]
    fn every_loader_of_an_architecture_has_places_to_look_and_fits_the_file_field() {
        for row in &CLIENT_ARCHES {
            for name in row.loader.into_iter().chain(row.full_ipxe) {
                let loader = loader_named(name).unwrap_or_else(|| panic!("{name} is not in the table"));
                assert!(!loader.paths.is_empty() && name.len() < 128);
                assert_eq!(Some(loader.arch), row.arch, "{name}");
            }
            assert!(
                row.loader.is_none()
                    || (row.transport == LoaderTransport::Http) == row.name.ends_with("HTTP")
            );
        }
    }

    fn next(text: &str) -> Result<NextStage, NoLoader> {
        next_stage(&NetbootClient::read(&from_text(text).unwrap()))
    }

    #[test]
    fn firmware_gets_the_loader_of_the_first_architecture_we_know() {
        let tftp = |name| Ok(NextStage::Loader { name, transport: LoaderTransport::Tftp });
        assert_eq!(next("client_architectures 0"), tftp("undionly.kpxe"));
        assert_eq!(next("client_architectures 7"), tftp("snponly.efi"));
        assert_eq!(next("client_architectures 9"), tftp("snponly.efi"));
        assert_eq!(next("client_architectures 30583 11"), tftp("snponly-arm64.efi"));
        assert_eq!(next("client_architectures 30583"), Err(NoLoader::UnknownArch(0x7777)));
        assert_eq!(next("vendor_class_identifier \"PXEClient\""), Err(NoLoader::NoArch));
        assert_eq!(next("client_architectures 3"), Err(NoLoader::Unsupported(3)));
    }

    #[test]
    fn an_ipxe_that_lacks_http_is_given_a_complete_one() {
        assert_eq!(next("user_class \"iPXE\"\nclient_architectures 0"), Ok(NextStage::FullIpxe("ipxe.pxe")));
        assert_eq!(next("user_class \"iPXE\"\nipxe_encapsulated_options 130101"), Ok(NextStage::Script));
        assert_eq!(next("user_class \"metalwright\""), Ok(NextStage::Script));
    }

    fn next_of(text: &str, first_file: FirstFile) -> Result<NextStage, NoLoader> {
        let client = NetbootClient::read(&from_text(text).unwrap());
        next_stage(&client.with(ClientQuirks { first_file, ..ClientQuirks::default() }))
    }

    #[test]
    fn what_a_client_class_says_goes_before_the_table() {
        let file = FirstFile::File("pxelinux.0".into());
        assert_eq!(next_of("client_architectures 0", file), Ok(NextStage::File("pxelinux.0".into())));
        let server = FirstFile::Server { menu: None };
        assert_eq!(next_of("client_architectures 21", server.clone()), Ok(NextStage::Server { menu: None }));
        assert_eq!(next_of("user_class \"metalwright\"", server), Ok(NextStage::Script));
        let nothing = FirstFile::Nothing { class: "phones".into() };
        assert_eq!(next_of("client_architectures 0", nothing), Err(NoLoader::ByClass("phones".into())));
        assert_eq!(next_of("host_name \"x\"", FirstFile::File("x".into())), Err(NoLoader::NotNetboot));
    }

    #[test]
    fn firmware_that_does_not_say_so_is_what_its_class_says() {
        let client =
            NetbootClient::read(&from_text("vendor_class_identifier \"onie_vendor:x86_64\"").unwrap());
        assert!(!client.is_netboot());
        assert!(client.with(ClientQuirks { firmware: true, ..ClientQuirks::default() }).is_netboot());
    }
}
