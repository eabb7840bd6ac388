//! Boot data without an address: ProxyDHCP on port 67 beside another DHCP server, and the boot server's port
//! 4011 (PXE 2.1, 2.2.5 and 2.2.6).
//!
//! Only clients that should boot from the network get a reply; there is never a lease and never a NAK.
//! `netboot` decides what to boot and remembers who has which address. Start at [`BootServer::answer`].

use std::net::Ipv4Addr;

use crate::dhcp::decide::reply::{self, ReplyContent, ReplyDraft};
use crate::dhcp::decide::{
    BOOT_SERVER_PORT, ClientMessage, DhcpAnswer, DhcpClient, DhcpQuery, Link, PacketEvent, PacketFacts,
};
use crate::model::SubnetMode;
use crate::netboot::decide::BootData;
use crate::netboot::decide::client::BootProgram;
use crate::proto::dhcp4::{DhcpPacket, MessageType, codes};

/// Option 43: boot the named file, without a menu or a search for servers (PXE 2.1, tag 6, bit 3).
const BOOT_AT_ONCE: [u8; 3] = [6, 1, 8];
/// Option 43: the boot item that a client chose (tag 71).
const BOOT_ITEM: u8 = 71;
const END: u8 = 255;
/// Architecture of BIOS firmware (option 93), which needs an option that suppresses the search for a menu.
const BIOS: u16 = 0;

/// The answer of a boot server, which gives no addresses.
#[derive(Debug, Clone)]
pub(super) struct BootServer<'a> {
    pub query: &'a DhcpQuery<'a>,
    pub facts: &'a PacketFacts<'a>,
    pub link: &'a Link<'a>,
    /// The source address of replies.
    pub source: Ipv4Addr,
    /// This server's identifier (option 54).
    pub server: Ipv4Addr,
}

impl BootServer<'_> {
    pub fn answer(&self, message: ClientMessage) -> DhcpAnswer {
        match message {
            ClientMessage::Discover => self.tell(MessageType::Offer),
            ClientMessage::BootRequest => self.tell(MessageType::Ack),
            ClientMessage::Selecting { server, .. } if self.query.is_to(self.link, server) => {
                self.tell(MessageType::Ack)
            }
            ClientMessage::Selecting { server, address } => DhcpAnswer {
                address: Some(address),
                ..self.silence(format!("takes {address} from server {server}"))
            },
            ClientMessage::InitReboot { address } | ClientMessage::Renewing { address } => DhcpAnswer {
                address: Some(address),
                ..self.silence(format!("goes on with {address}, which another server gave it"))
            },
            ClientMessage::Decline { .. }
            | ClientMessage::Release { .. }
            | ClientMessage::Inform
            | ClientMessage::Bootp => {
                self.silence(format!("subnet {} has its addresses from another server", self.name()))
            }
        }
    }

    fn tell(&self, message: MessageType) -> DhcpAnswer {
        if !self.facts.sender.client.is_netboot() {
            return self.silence("it does not boot from the network, and addresses are another's".into());
        }
        if self.facts.boot.data == BootData::None || self.link.selected.mode == SubnetMode::AddressOnly {
            return self.silence("it is not to boot from the network".into());
        }
        let asks_from = self.query.address_in_use().filter(|_| self.query.port == BOOT_SERVER_PORT);
        if let Some(address) = asks_from.filter(|address| !self.link.has_host(*address)) {
            return self.silence(format!("it asks from {address}, which is not of its network"));
        }
        let packet = self.boot_reply(message);
        DhcpAnswer {
            reply: Some(reply::finish(self.query, self.link, self.source, packet)),
            event: if message == MessageType::Offer { PacketEvent::Offered } else { PacketEvent::BootServed },
            reason: "told what to boot; its address is another server's".into(),
            ..self.silence(String::new())
        }
    }

    /// `yiaddr` stays 0. UEFI gets no option 43: firmware from before 2017 drops an offer without an address
    /// that has it, and asks port 4011 if it is missing.
    fn boot_reply(&self, message: MessageType) -> ReplyDraft {
        let request = self.query.packet;
        let mut reply = reply::bare(request, message, self.server);
        if message == MessageType::Ack {
            reply.ciaddr = request.ciaddr;
        } else if request.is_relayed() {
            // The relay has no address to send it to.
            reply.set_broadcast();
        }
        let content = ReplyContent {
            link: self.link,
            subnet: self.link.selected,
            reservation: None,
            machine: None,
            sender: &self.facts.sender,
            boot: &self.facts.boot.data,
            server: self.server,
            source: self.source,
        };
        let unfilled = reply::set_boot(&mut reply, &content).into_iter().collect();
        if let Some(identifier) = request.machine_identifier() {
            reply.options.set(codes::CLIENT_MACHINE_ID, identifier);
        }
        if !reply.options.contains(codes::VENDOR_CLASS) {
            reply.options.set(codes::VENDOR_CLASS, "PXEClient");
        }
        let vendor_options = vendor_options(request, self.boots_at_once());
        if vendor_options.len() > 1 && !reply.options.contains(codes::VENDOR_OPTIONS) {
            reply.options.set(codes::VENDOR_OPTIONS, vendor_options);
        }
        ReplyDraft { packet: reply, unfilled, for_firmware: self.facts.sender.client.is_firmware() }
    }

    /// Whether the reply tells the client to skip menus and other servers. A class can set this.
    fn boots_at_once(&self) -> bool {
        let DhcpClient { client, classes, .. } = &self.facts.sender;
        let is_bios = client.arches.first().is_none_or(|arch| *arch == BIOS);
        let usual = is_bios && client.stage != BootProgram::HttpFirmware;
        classes.proxy_discovery_control().unwrap_or(usual)
    }

    fn silence(&self, reason: String) -> DhcpAnswer {
        DhcpAnswer::silence(PacketEvent::Ignored, reason)
    }

    fn name(&self) -> &str {
        &self.link.selected.name
    }
}

/// The content of option 43. A client that asks for a boot item drops an answer without that item.
fn vendor_options(request: &DhcpPacket, boots_at_once: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if boots_at_once {
        bytes.extend(BOOT_AT_ONCE);
    }
    if let Some((length, item)) =
        boot_item(request).and_then(|item| Some((u8::try_from(item.len()).ok()?, item)))
    {
        bytes.extend([BOOT_ITEM, length]);
        bytes.extend(item);
    }
    bytes.push(END);
    bytes
}

fn boot_item(request: &DhcpPacket) -> Option<&[u8]> {
    let mut rest = request.options.get(codes::VENDOR_OPTIONS)?;
    loop {
        match rest {
            [0, after @ ..] => rest = after,
            [END, ..] | [] | [_] => return None,
            [tag, length, after @ ..] => {
                let data = after.get(..usize::from(*length))?;
                if *tag == BOOT_ITEM {
                    return Some(data);
                }
                rest = after.get(usize::from(*length)..)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::from_text;

    #[test]
    fn a_boot_item_is_found_among_others_and_not_in_garbage() {
        let item = |hex: &str| {
            let packet = from_text(&format!("option 43 {hex}")).unwrap();
            boot_item(&packet).map(<[u8]>::to_vec)
        };
        assert_eq!(item("00 4704 00000001 ff"), Some(vec![0, 0, 0, 1]));
        assert_eq!(item("060108 4704 00020000"), Some(vec![0, 2, 0, 0]));
        for garbage in ["ff 4704 00000000", "4704 0000", "47", "06ff 4704 00000000", "00"] {
            assert_eq!(item(garbage), None, "{garbage}");
        }
    }
}
