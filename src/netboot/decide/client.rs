//! The PXE facts of a DHCP packet: which program is booting, on which hardware.
//!
//! `loader` chooses the file, and the boot decision chooses what to boot. Every field comes from the packet,
//! and must not be trusted for more than choosing a loader.

use uuid::Uuid;

use crate::netboot::decide::loader::{LoaderTransport, client_arch};
use crate::proto::dhcp4::DhcpPacket;

/// The user class that this project's embedded iPXE script sets.
pub const OWN_USER_CLASS: &str = "metalwright";
/// Most architectures of option 93 that are read.
const ARCHES_MAX: usize = 16;

/// What a network boot client says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetbootClient {
    pub stage: BootProgram,
    /// Architecture codes in the client's order (option 93), or else the code in its vendor class.
    pub arches: Vec<u16>,
    /// SMBIOS UUID (option 97), bytes as sent; see [`NetbootClient::uuid_aliases`].
    pub uuid: Option<Uuid>,
    /// Option 60 as text, for logs.
    pub vendor: Option<String>,
    /// What the client classes say; empty until [`NetbootClient::with`] sets it.
    pub quirks: ClientQuirks,
}

/// What the classes of a client say about how it boots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientQuirks {
    /// The client is firmware, though it does not call itself a PXE client.
    pub firmware: bool,
    /// The class that makes the firmware fetch over HTTPS instead of HTTP.
    pub https: Option<String>,
    pub first_file: FirstFile,
}

/// The first file of a booting client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FirstFile {
    /// The loader or script that fits the client.
    #[default]
    Loader,
    /// This file or URL; it may be a template.
    File(String),
    /// Only the boot server's address, perhaps with a menu that the client expects.
    Server { menu: Option<String> },
    /// Nothing, because of this class.
    Nothing { class: String },
}

/// The program that sends the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootProgram {
    /// A PXE ROM or UEFI PXE.
    Firmware,
    /// UEFI HTTP boot.
    HttpFirmware,
    Ipxe(IpxeFeatures),
    /// An operating system, or another client that only wants an address.
    Other,
}

/// The features that an iPXE was built with (its option 175), and whether it runs this project's script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpxeFeatures {
    /// The user class is this project's: the iPXE fetches the script, whatever else it says.
    pub own: bool,
    pub http: bool,
    pub https: bool,
    pub tftp: bool,
    pub bzimage: bool,
    pub pxe: bool,
    pub efi: bool,
    pub vlan: bool,
    pub menu: bool,
}

impl NetbootClient {
    /// Reads the facts. The user class and iPXE's own options take precedence over the vendor class, because
    /// iPXE calls itself `PXEClient` even if a script asked it not to.
    pub fn read(packet: &DhcpPacket) -> NetbootClient {
        let vendor = packet.vendor_class().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let mut arches = packet.architectures();
        arches.truncate(ARCHES_MAX);
        if arches.is_empty() {
            arches.extend(vendor.as_deref().and_then(vendor_arch));
        }
        NetbootClient {
            stage: stage(packet, vendor.as_deref().unwrap_or_default(), &arches),
            arches,
            uuid: packet.machine_identifier().and_then(machine_uuid),
            vendor,
            quirks: ClientQuirks::default(),
        }
    }

    /// The client, with what its classes say.
    #[must_use]
    pub fn with(mut self, quirks: ClientQuirks) -> NetbootClient {
        if quirks.firmware && self.stage == BootProgram::Other {
            self.stage = BootProgram::Firmware;
        }
        self.quirks = quirks;
        self
    }

    /// Whether the client asks for something to boot, and not only for an address.
    pub fn is_netboot(&self) -> bool {
        self.stage != BootProgram::Other
    }

    /// Whether the client is firmware, whose readers of options cannot be changed.
    pub fn is_firmware(&self) -> bool {
        matches!(self.stage, BootProgram::Firmware | BootProgram::HttpFirmware)
    }

    /// The UUID in both byte orders: firmware differs in the order that it sends, so a machine is recognised
    /// by either (SMBIOS 2.6, 7.2.1).
    pub fn uuid_aliases(&self) -> Option<[Uuid; 2]> {
        let uuid = self.uuid?;
        Some([uuid, Uuid::from_bytes_le(*uuid.as_bytes())])
    }
}

fn stage(packet: &DhcpPacket, vendor: &str, arches: &[u16]) -> BootProgram {
    let own = packet.has_user_class(OWN_USER_CLASS);
    let ipxe = packet.ipxe_options();
    if own || ipxe.is_some() || packet.has_user_class("iPXE") {
        return BootProgram::Ipxe(features(own, &ipxe.unwrap_or_default()));
    }
    // Some firmware says by its architecture alone that it boots over HTTP.
    if vendor.starts_with("HTTPClient") || is_http_only(arches) {
        return BootProgram::HttpFirmware;
    }
    if vendor.starts_with("PXEClient") || !arches.is_empty() {
        return BootProgram::Firmware;
    }
    BootProgram::Other
}

/// Whether all architectures that are known are of HTTP boot. A list may name variants of both protocols.
fn is_http_only(arches: &[u16]) -> bool {
    let mut known = arches.iter().filter_map(|code| client_arch(*code)).peekable();
    known.peek().is_some() && known.all(|row| row.transport == LoaderTransport::Http)
}

fn features(own: bool, options: &[(u8, &[u8])]) -> IpxeFeatures {
    let has = |code: u8| options.iter().any(|(found, data)| *found == code && **data != [0]);
    IpxeFeatures {
        own,
        http: has(0x13),
        https: has(0x14),
        tftp: has(0x15),
        bzimage: has(0x18),
        pxe: has(0x21),
        efi: has(0x24),
        vlan: has(0x26),
        menu: has(0x27),
    }
}

/// `PXEClient:Arch:00007:UNDI:003016`: five decimal digits (PXE 2.1, 2.2.2).
fn vendor_arch(vendor: &str) -> Option<u16> {
    vendor.split_once(":Arch:")?.1.split(':').next()?.parse().ok()
}

/// RFC 4578 2.3: a type byte of 0 and 16 bytes. Some firmware leaves the type byte out.
fn machine_uuid(bytes: &[u8]) -> Option<Uuid> {
    let uuid = match bytes {
        [0, uuid @ ..] if uuid.len() == 16 => Uuid::from_slice(uuid).ok()?,
        uuid if uuid.len() == 16 => Uuid::from_slice(uuid).ok()?,
        _ => return None,
    };
    (!is_junk(&uuid)).then_some(uuid)
}

/// UUIDs that many boards share, in either byte order.
fn is_junk(uuid: &Uuid) -> bool {
    const SHARED: [u128; 2] =
        [0x03000200_0400_0500_0006_000700080009, 0x12345678_1234_5678_90ab_cddeefaabbcc];
    let swapped = Uuid::from_bytes_le(*uuid.as_bytes());
    let shared = |uuid: &Uuid| SHARED.contains(&uuid.as_u128());
    uuid.is_nil() || uuid.is_max() || shared(uuid) || shared(&swapped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::from_text;

    fn client(text: &str) -> NetbootClient {
        NetbootClient::read(&from_text(text).unwrap())
    }

    #[test]
    fn ipxe_is_told_from_firmware_though_it_says_pxeclient() {
        let text = "vendor_class_identifier \"PXEClient:Arch:00007:UNDI:003010\"\nclient_architectures 7\n";
        assert_eq!(client(text).stage, BootProgram::Firmware);
        let ipxe = client(&format!("{text}user_class \"iPXE\"\n"));
        assert_eq!(ipxe.stage, BootProgram::Ipxe(IpxeFeatures::default()));
        let ipxe = client(&format!("{text}ipxe_encapsulated_options 130101180101\n"));
        assert_eq!(
            ipxe.stage,
            BootProgram::Ipxe(IpxeFeatures { http: true, bzimage: true, ..IpxeFeatures::default() })
        );
    }

    #[test]
    fn our_own_user_class_counts_before_all_else() {
        let text = "vendor_class_identifier \"HTTPClient:Arch:00016\"\nuser_class \"metalwright\"\n";
        assert_eq!(
            client(text).stage,
            BootProgram::Ipxe(IpxeFeatures { own: true, ..IpxeFeatures::default() })
        );
    }

    #[test]
    fn the_vendor_class_names_the_architecture_where_option_93_does_not() {
        assert_eq!(client("vendor_class_identifier \"PXEClient:Arch:00011:UNDI:003000\"").arches, [11]);
        assert_eq!(client("client_architectures 7 16").arches, [7, 16]);
        assert_eq!(client("client_architectures 7").stage, BootProgram::Firmware);
        assert_eq!(client("host_name \"web1\"").stage, BootProgram::Other);
    }

    #[test]
    fn http_boot_is_known_by_the_architecture_where_the_vendor_class_does_not_say_so() {
        let of = |vendor: &str, arches: &str| {
            client(&format!("vendor_class_identifier \"{vendor}\"\nclient_architectures {arches}")).stage
        };
        assert_eq!(of("NVIDIA/BF/PXE", "19"), BootProgram::HttpFirmware);
        assert_eq!(of("PXEClient:Arch:00016", "16"), BootProgram::HttpFirmware);
        assert_eq!(of("PXEClient:Arch:00007", "7 16"), BootProgram::Firmware);
        assert_eq!(of("PXEClient", "30583"), BootProgram::Firmware, "an unknown one says nothing");
        assert_eq!(of("U-Boot.armv8", "24"), BootProgram::Firmware, "U-Boot asks the boot server");
    }

    #[test]
    fn machine_uuids_are_read_with_and_without_their_type_and_junk_is_none() {
        let uuid = "00112233445566778899aabbccddeeff";
        let typed = client(&format!("client_machine_identifier 00{uuid}"));
        let bare = client(&format!("client_machine_identifier {uuid}"));
        assert_eq!(typed.uuid, bare.uuid);
        let [wire, swapped] = typed.uuid_aliases().unwrap();
        assert_eq!(wire.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(swapped.to_string(), "33221100-5544-7766-8899-aabbccddeeff");
        for junk in ["00000000000000000000000000000000", "00020003000400050006000700080009", "00"] {
            assert_eq!(client(&format!("client_machine_identifier {junk}")).uuid, None, "{junk}");
        }
    }
}
