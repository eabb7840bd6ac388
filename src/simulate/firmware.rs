//! The DHCP packets of each kind of client, as the real ones send them: PXE ROMs, EDK2, iPXE and the DHCP
//! clients of installers. Pure; [`super::dhcp`] sends them.

use std::net::Ipv4Addr;

use uuid::Uuid;

use crate::model::Mac;
use crate::proto::dhcp4::{DhcpPacket, MessageType, codes};

/// The firmware of a simulated machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FirmwareKind {
    /// A BIOS with a PXE ROM: loads iPXE over TFTP.
    Bios,
    /// A BIOS whose network ROM is iPXE, like QEMU's: goes to the script at once.
    Ipxe,
    /// UEFI with PXE: loads iPXE over TFTP.
    Uefi,
    /// UEFI with HTTP boot: loads iPXE over HTTP.
    Http,
}

impl FirmwareKind {
    /// Whether it is a UEFI.
    pub fn is_efi(self) -> bool {
        matches!(self, FirmwareKind::Uefi | FirmwareKind::Http)
    }

    /// The value of iPXE's `${platform}`.
    pub fn platform(self) -> &'static str {
        if self.is_efi() { "efi" } else { "pcbios" }
    }

    /// The loader that another DHCP server would name.
    pub fn loader(self) -> &'static str {
        if self.is_efi() { "snponly.efi" } else { "undionly.kpxe" }
    }

    /// The program that sends DHCP packets first at power-on.
    pub fn first(self) -> DhcpProgram {
        match self {
            FirmwareKind::Bios => DhcpProgram::PxeRom,
            FirmwareKind::Ipxe => DhcpProgram::Ipxe(self),
            FirmwareKind::Uefi => DhcpProgram::Edk2,
            FirmwareKind::Http => DhcpProgram::Edk2Http,
        }
    }
}

/// A program with a DHCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DhcpProgram {
    PxeRom,
    Edk2,
    Edk2Http,
    /// On the firmware that it was started from.
    Ipxe(FirmwareKind),
    /// The udhcpc of the Debian installer and of most small images.
    Udhcpc,
    /// NetworkManager in an installer, which makes up its own client identifier.
    NetworkManager,
}

/// The offer of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferedAddress {
    pub address: Ipv4Addr,
    /// Option 54.
    pub server: Ipv4Addr,
}

/// The identity of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineIdentity {
    pub mac: Mac,
    pub uuid: Uuid,
}

impl MachineIdentity {
    /// A machine with this MAC. Its SMBIOS UUID is derived from the MAC, so that it stays the same machine.
    pub fn of(mac: Mac) -> Self {
        let mut low = [0x80, 0, 0, 0, 0, 0, 0, 0];
        low.iter_mut().skip(2).zip(mac.0).for_each(|(byte, of_mac)| *byte = of_mac);
        let uuid = Uuid::from_u64_pair(0x6d65_7461_6c77_4569, u64::from_be_bytes(low));
        MachineIdentity { mac, uuid }
    }
}

const PXE_LIST: &[u8] = &[
    1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97,
    128, 129, 130, 131, 132, 133, 134, 135,
];
const IPXE_LIST: &[u8] =
    &[1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134, 135, 175, 203];
const SYSTEM_LIST: &[u8] = &[1, 3, 6, 12, 15, 26, 28, 42, 51, 54, 58, 59, 119, 121];

impl DhcpProgram {
    /// A DISCOVER.
    pub fn discover(self, identity: &MachineIdentity, xid: u32) -> DhcpPacket {
        let mut packet = DhcpPacket { xid, ..DhcpPacket::default() };
        packet.chaddr.iter_mut().zip(identity.mac.0).for_each(|(byte, of_mac)| *byte = of_mac);
        packet.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Discover)]);
        self.describe(identity, &mut packet);
        packet
    }

    /// The REQUEST for an offer.
    pub fn request(discover: &DhcpPacket, offered: OfferedAddress) -> DhcpPacket {
        let mut packet = discover.clone();
        packet.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Request)]);
        packet.options.set(codes::REQUESTED_ADDRESS, offered.address.octets());
        packet.options.set(codes::SERVER_IDENTIFIER, offered.server.octets());
        packet
    }

    fn describe(self, identity: &MachineIdentity, packet: &mut DhcpPacket) {
        let (list, size) = match self {
            DhcpProgram::PxeRom => (PXE_LIST, 1260u16),
            DhcpProgram::Edk2 | DhcpProgram::Edk2Http => (PXE_LIST, 1472),
            DhcpProgram::Ipxe(_) => (IPXE_LIST, 1472),
            DhcpProgram::Udhcpc | DhcpProgram::NetworkManager => (SYSTEM_LIST, 576),
        };
        packet.options.set(codes::PARAMETER_REQUEST_LIST, list);
        packet.options.set(codes::MAX_MESSAGE_SIZE, size.to_be_bytes());
        match self {
            DhcpProgram::PxeRom => {
                netboot(identity, packet, "PXEClient:Arch:00000:UNDI:002001", 0, [1, 2, 1])
            }
            DhcpProgram::Edk2 => netboot(identity, packet, "PXEClient:Arch:00007:UNDI:003016", 7, [1, 3, 16]),
            DhcpProgram::Edk2Http => {
                netboot(identity, packet, "HTTPClient:Arch:00016:UNDI:003016", 16, [1, 3, 16])
            }
            DhcpProgram::Ipxe(firmware) => ipxe(identity, firmware, packet),
            DhcpProgram::Udhcpc => {
                packet.options.set(codes::VENDOR_CLASS, *b"d-i");
                packet.options.set(codes::CLIENT_IDENTIFIER, ethernet_identifier(identity.mac));
            }
            DhcpProgram::NetworkManager => {
                // RFC 4361 6.1: type 255, an IAID, and a DUID made from the MAC.
                let duid = [&[0xff, 0, 0, 0, 1, 0, 3, 0, 1][..], &identity.mac.0].concat();
                packet.options.set(codes::CLIENT_IDENTIFIER, duid);
            }
        }
    }
}

/// Options 60, 93, 94 and 97 (RFC 4578, PXE 2.1): class, architecture, and the version of UNDI.
fn netboot(identity: &MachineIdentity, packet: &mut DhcpPacket, class: &str, arch: u16, undi: [u8; 3]) {
    packet.options.set(codes::VENDOR_CLASS, class.as_bytes());
    packet.options.set(codes::CLIENT_ARCHITECTURES, arch.to_be_bytes());
    packet.options.set(codes::CLIENT_INTERFACE, undi);
    // The first three fields are little-endian in the packet (SMBIOS 7.2.1).
    let uuid = [&[0][..], &identity.uuid.to_bytes_le()].concat();
    packet.options.set(codes::CLIENT_MACHINE_ID, uuid);
}

fn ipxe(identity: &MachineIdentity, firmware: FirmwareKind, packet: &mut DhcpPacket) {
    // iPXE calls itself a PXE client, whatever loaded it.
    if firmware.is_efi() {
        netboot(identity, packet, "PXEClient:Arch:00007:UNDI:003010", 7, [1, 3, 10]);
    } else {
        netboot(identity, packet, "PXEClient:Arch:00000:UNDI:002001", 0, [1, 2, 1]);
    }
    packet.options.set(codes::USER_CLASS, *b"iPXE");
    packet.options.set(codes::CLIENT_IDENTIFIER, ethernet_identifier(identity.mac));
    // Features: http, https, tftp, dns, then bzImage and PXE on BIOS or EFI, then its version.
    let loads: &[u8] = if firmware.is_efi() { &[0x24, 1, 1] } else { &[0x18, 1, 1, 0x21, 1, 1] };
    let features =
        [&[0x13, 1, 1, 0x14, 1, 1, 0x15, 1, 1, 0x17, 1, 1][..], loads, &[0xeb, 3, 1, 21, 1]].concat();
    packet.options.set(codes::IPXE, features);
}

fn ethernet_identifier(mac: Mac) -> Vec<u8> {
    [&[1][..], &mac.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netboot::decide::client::{BootProgram, NetbootClient};
    use crate::proto::dhcp4::{encode_listed, parse};

    fn read(speaker: DhcpProgram) -> (DhcpPacket, NetbootClient) {
        let identity = MachineIdentity::of(Mac([0x52, 0x54, 0, 0xaa, 0, 1]));
        let packet = parse(&encode_listed(&speaker.discover(&identity, 7))).unwrap();
        assert_eq!(packet.faults, []);
        assert_eq!(packet.hardware_address(), identity.mac.0);
        let client = NetbootClient::read(&packet);
        if let Some(aliases) = client.uuid_aliases() {
            assert!(aliases.contains(&identity.uuid));
        }
        (packet, client)
    }

    #[test]
    fn the_server_takes_each_speaker_for_what_it_plays() {
        assert_eq!(read(DhcpProgram::PxeRom).1.stage, BootProgram::Firmware);
        assert_eq!(read(DhcpProgram::PxeRom).1.arches, [0]);
        assert_eq!(read(DhcpProgram::Edk2).1.arches, [7]);
        assert_eq!(read(DhcpProgram::Edk2Http).1.stage, BootProgram::HttpFirmware);
        for firmware in [FirmwareKind::Bios, FirmwareKind::Uefi] {
            let BootProgram::Ipxe(features) = read(DhcpProgram::Ipxe(firmware)).1.stage else {
                panic!("an iPXE")
            };
            assert!(features.http && features.efi == firmware.is_efi());
        }
        for speaker in [DhcpProgram::Udhcpc, DhcpProgram::NetworkManager] {
            assert!(!read(speaker).1.is_netboot(), "an installer wants an address only");
        }
    }

    #[test]
    fn the_request_names_the_server_and_the_address_and_keeps_the_rest() {
        let (discover, _) = read(DhcpProgram::Edk2);
        let (address, server) = (Ipv4Addr::new(10, 0, 0, 100), Ipv4Addr::new(10, 0, 0, 1));
        let request = DhcpProgram::request(&discover, OfferedAddress { address, server });
        assert_eq!(request.message_type(), Some(MessageType::Request));
        assert_eq!(request.requested_address(), Some(address));
        assert_eq!(request.server_identifier(), Some(server));
        assert_eq!((request.xid, request.architectures()), (7, vec![7]));
    }
}
