//! The fields and options of a reply (RFC 2131 table 3).

use std::net::Ipv4Addr;

use crate::dhcp::decide::{
    DhcpClient, DhcpQuery, DhcpReply, Link, OptionScopes, ReplyDestination, TemplateOption, destination,
    encode_text,
};
use crate::model::{
    BOOT_FILE_BYTES_MAX, Machine, ReadyValue, Reservation, Stored, Subnet, check_boot_file, is_template,
};
use crate::netboot::decide::client::{BootProgram, NetbootClient};
use crate::netboot::decide::data::BootData;
use crate::proto::dhcp4::{
    DhcpOptions, DhcpPacket, MessageType, REPLY_BYTES_MIN, ValueType, codes, encode_reply, payload_bytes_max,
};

/// Shortest lease of a network boot client: firmware never renews, and must not lose its address while it
/// loads.
const NETBOOT_LEASE_SECONDS_MIN: u32 = 600;
/// Shortest lease of any client.
const LEASE_SECONDS_MIN: u32 = 60;
/// iPXE: do not wait for a proxy, because this reply is complete.
const IPXE_NO_PROXY: [u8; 3] = [0xb0, 1, 1];
/// Codes that say what to boot: always sent to a client that should boot, never to firmware that should not.
/// For other clients, such as telephones and access points, they are ordinary options.
const BOOT_CODES: [u8; 7] = [
    codes::VENDOR_OPTIONS,
    codes::VENDOR_CLASS,
    codes::TFTP_SERVER_NAME,
    codes::BOOTFILE_NAME,
    codes::TFTP_SERVER_ADDRESSES,
    codes::PXELINUX_CONFIG_FILE,
    codes::PXELINUX_PATH_PREFIX,
];

/// Options with text that some firmware reads up to the first NUL, past their length. It finds one there:
/// Windows and dnsmasq send it too, and every receiver must be able to take it off (RFC 2132 2).
const FIRMWARE_TEXTS: [u8; 5] = [
    codes::ROOT_PATH,
    codes::TFTP_SERVER_NAME,
    codes::BOOTFILE_NAME,
    codes::PXELINUX_CONFIG_FILE,
    codes::PXELINUX_PATH_PREFIX,
];
/// Longest option that is one piece on the wire; firmware does not join two (RFC 3396).
const OPTION_PIECE_BYTES_MAX: usize = 255;
const PAD: u8 = 0;
const END: u8 = 255;

/// The content of a reply with addresses and options.
#[derive(Debug, Clone)]
pub(super) struct ReplyContent<'a> {
    pub link: &'a Link<'a>,
    pub subnet: &'a Subnet,
    pub reservation: Option<&'a Reservation>,
    pub machine: Option<&'a Stored<Machine>>,
    pub sender: &'a DhcpClient,
    pub boot: &'a BootData,
    pub server: Ipv4Addr,
    /// The server's address that faces the client, for `siaddr` if nothing else is configured.
    pub source: Ipv4Addr,
}

/// A reply before it is encoded, with the templates that are not rendered yet.
#[derive(Debug, Clone)]
pub(super) struct ReplyDraft {
    pub packet: DhcpPacket,
    pub unfilled: Vec<TemplateOption>,
    /// Whether firmware reads it.
    pub for_firmware: bool,
}

impl From<DhcpPacket> for ReplyDraft {
    fn from(packet: DhcpPacket) -> Self {
        ReplyDraft { packet, unfilled: Vec::new(), for_firmware: false }
    }
}

/// The granted seconds: those of the subnet, or fewer if the client asks for fewer.
pub(super) fn lease_seconds(request: &DhcpPacket, (subnet, client): (&Subnet, &NetbootClient)) -> u32 {
    let wished = request.lease_seconds().unwrap_or(subnet.lease_seconds).max(LEASE_SECONDS_MIN);
    let granted = wished.min(subnet.lease_seconds);
    if client.is_netboot() { granted.max(NETBOOT_LEASE_SECONDS_MIN) } else { granted }
}

/// A reply with only the fields that every reply has.
pub(super) fn bare(request: &DhcpPacket, message: MessageType, server: Ipv4Addr) -> DhcpPacket {
    let mut reply = DhcpPacket {
        op: 2,
        htype: request.htype,
        hlen: request.hlen,
        xid: request.xid,
        flags: request.flags,
        giaddr: request.giaddr,
        chaddr: request.chaddr,
        ..DhcpPacket::default()
    };
    reply.options.set(codes::MESSAGE_TYPE, [u8::from(message)]);
    reply.options.set(codes::SERVER_IDENTIFIER, server.octets());
    echo(request, &mut reply);
    reply
}

/// RFC 6842 requires option 61 in replies, RFC 3046 2.2 option 82. Without a relay a client made 82 up
/// itself.
fn echo(request: &DhcpPacket, reply: &mut DhcpPacket) {
    if let Some(identifier) = request.client_identifier() {
        reply.options.set(codes::CLIENT_IDENTIFIER, identifier);
    }
    if let Some(agent) = request.relay_agent().filter(|_| request.is_relayed()) {
        reply.options.set(codes::RELAY_AGENT, agent.bytes());
    }
}

/// A NAK with its message.
pub(super) fn nak(request: &DhcpPacket, server: Ipv4Addr, message: &str) -> DhcpPacket {
    let mut reply = bare(request, MessageType::Nak, server);
    if request.is_relayed() {
        // RFC 2131 4.3.2: the client has no address at which its relay could reach it.
        reply.set_broadcast();
    }
    reply.options.set(codes::MESSAGE, message.as_bytes().get(..255).unwrap_or(message.as_bytes()));
    reply
}

/// An OFFER or ACK that gives `address`.
pub(super) fn lease(
    query: &DhcpQuery<'_>,
    content: &ReplyContent<'_>,
    message: MessageType,
    address: Ipv4Addr,
) -> ReplyDraft {
    let request = query.packet;
    let mut reply = bare(request, message, content.server);
    reply.yiaddr = address;
    if message == MessageType::Ack {
        reply.ciaddr = request.ciaddr;
    }
    let seconds = lease_seconds(request, (content.subnet, &content.sender.client));
    reply.options.set(codes::LEASE_TIME, seconds.to_be_bytes());
    reply.options.set(codes::RENEWAL_TIME, (seconds / 2).to_be_bytes());
    reply.options.set(codes::REBINDING_TIME, (seconds - seconds / 8).to_be_bytes());
    configure(query, content, reply)
}

/// The ACK to an INFORM: options and no address (RFC 2131 4.3.5).
pub(super) fn informed(query: &DhcpQuery<'_>, content: &ReplyContent<'_>) -> ReplyDraft {
    let request = query.packet;
    let mut reply = bare(request, MessageType::Ack, content.server);
    reply.ciaddr = request.ciaddr;
    if request.ciaddr.is_unspecified() && request.is_relayed() {
        reply.set_broadcast();
    }
    configure(query, content, reply)
}

/// Encodes a reply within the size that the client accepts, and chooses its destination.
pub(super) fn finish(
    query: &DhcpQuery<'_>,
    link: &Link<'_>,
    source: Ipv4Addr,
    draft: impl Into<ReplyDraft>,
) -> DhcpReply {
    let ReplyDraft { mut packet, unfilled, for_firmware } = draft.into();
    if let Some(agent) = packet.relay_agent().filter(|_| link.is_in_vrf) {
        let understood = agent.without_vss_control();
        packet.options.set(codes::RELAY_AGENT, understood);
    }
    let bytes_max = match packet.message_type() {
        Some(_) => payload_bytes_max(query.packet.max_message_bytes(), query.interface.mtu),
        // BOOTP clients need not accept more (RFC 951 3).
        None => REPLY_BYTES_MIN,
    };
    let mut reply = DhcpReply {
        destination: destination(query, link, &packet),
        packet,
        bytes: Vec::new(),
        dropped: Vec::new(),
        source,
        interface: query.interface.index,
        unfilled,
        for_firmware,
        bytes_max,
    };
    reply.encode();
    reply
}

impl DhcpReply {
    /// Adds the rendered text of a template to the reply; call [`DhcpReply::encode`] afterwards.
    ///
    /// # Errors
    /// The text does not fit the option, which is left out.
    pub fn fill(&mut self, code: u8, text: &str) -> Result<(), String> {
        let text = text.trim();
        if code == codes::BOOTFILE_NAME {
            check_boot_file(text)?;
            set_file(&mut self.packet, text);
            return Ok(());
        }
        self.packet.options.set(code, encode_text(code, text)?);
        Ok(())
    }

    /// Encodes the reply, again after it was filled.
    pub fn encode(&mut self) {
        if self.for_firmware {
            end_for_firmware(&mut self.packet.options);
        }
        let encoded = encode_reply(&self.packet, self.bytes_max);
        self.bytes = encoded.bytes;
        self.dropped = encoded.dropped;
    }
}

/// Ends texts and the vendor's options so that firmware which ignores lengths stops there.
fn end_for_firmware(options: &mut DhcpOptions) {
    for code in FIRMWARE_TEXTS {
        let open = options.get(code).filter(|text| !text.is_empty() && text.last() != Some(&0));
        if let Some(text) = open.filter(|text| text.len() < OPTION_PIECE_BYTES_MAX) {
            let ended = [text, &[0]].concat();
            options.set(code, ended);
        }
    }
    let open = options.get(codes::VENDOR_OPTIONS).filter(|bytes| is_open_list(bytes));
    if let Some(bytes) = open.filter(|bytes| bytes.len() < OPTION_PIECE_BYTES_MAX) {
        let ended = [bytes, &[END]].concat();
        options.set(codes::VENDOR_OPTIONS, ended);
    }
}

/// Whether the bytes are a list of encapsulated options without its END (RFC 2132 8.4).
fn is_open_list(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        match rest {
            [] => return !bytes.is_empty(),
            [PAD, after @ ..] => rest = after,
            [END, ..] | [_] => return false,
            [_, length, after @ ..] => match after.get(usize::from(*length)..) {
                Some(after) => rest = after,
                None => return false,
            },
        }
    }
}

fn configure(query: &DhcpQuery<'_>, content: &ReplyContent<'_>, mut reply: DhcpPacket) -> ReplyDraft {
    let request = query.packet;
    let client = &content.sender.client;
    let boots = *content.boot != BootData::None;
    let is_booting = boots && client.is_netboot();
    let wanted = request.parameter_list();
    let is_asked_for = |code: u8| wanted.is_some_and(|codes| codes.contains(&code));
    let is_sent = |code: u8| match BOOT_CODES.contains(&code) {
        true if is_booting => true,
        true => !client.is_netboot() && is_asked_for(code),
        // A client without a parameter request list gets every option, and every client gets the mask. Boot
        // ROMs do not list the router that they need.
        false if wanted.is_none() || code == codes::SUBNET_MASK || is_asked_for(code) => true,
        false if is_booting => {
            code == codes::ROUTERS || code == codes::DOMAIN_NAME_SERVERS && content.boot.names_host()
        }
        false => false,
    };
    let address = if reply.yiaddr.is_unspecified() { reply.ciaddr } else { reply.yiaddr };
    let (configured, mut unfilled) = configured(query, content, address);
    for (code, data) in configured.iter().filter(|(code, _)| is_sent(*code)) {
        reply.options.set(code, data);
    }
    unfilled.retain(|option| is_sent(option.code));
    if let Some(identifier) = request.machine_identifier() {
        reply.options.set(codes::CLIENT_MACHINE_ID, identifier);
    }
    // A reply that is broadcast anyway keeps the client's flag.
    if content.sender.classes.always_broadcast()
        && destination(query, content.link, &reply) != ReplyDestination::Broadcast
    {
        reply.set_broadcast();
    }
    if boots {
        unfilled.extend(set_boot(&mut reply, content));
    }
    ReplyDraft { packet: reply, unfilled, for_firmware: client.is_firmware() }
}

/// All options for this client, each from the highest scope that has it, and the templates among them.
fn configured(
    query: &DhcpQuery<'_>,
    content: &ReplyContent<'_>,
    address: Ipv4Addr,
) -> (DhcpOptions, Vec<TemplateOption>) {
    let (mut options, mut unfilled) = (DhcpOptions::default(), Vec::new());
    let subnet = content.subnet;
    options.set(codes::SUBNET_MASK, subnet.cidr.mask().octets());
    // Networks of one or two addresses have no address for all (RFC 3021 2.2).
    if !query.packet.is_relayed() && subnet.cidr.prefix <= 30 {
        options.set(codes::BROADCAST_ADDRESS, subnet.cidr.broadcast().octets());
    }
    if let Some(machine) = content.machine {
        options.set(codes::HOST_NAME, machine.spec.name.as_bytes());
    }
    let scopes = OptionScopes {
        subnet: Some(subnet),
        pool: subnet.pools.iter().find(|pool| pool.contains(address)),
        reservation: content.reservation,
        machine: content.machine,
        classes: &content.sender.classes,
    };
    for (code, (origin, option)) in scopes.effective() {
        match &option.value {
            ReadyValue::Bytes(bytes) => options.set(code, bytes.as_slice()),
            ReadyValue::Template(template) => {
                options.remove(code);
                let name = format!("{} of {} {origin}", option.name, origin.scope());
                unfilled.push(TemplateOption { code, name, template: template.clone() });
            }
        }
    }
    add_default_route(&mut options);
    let is_microsoft = query.packet.vendor_class().is_some_and(|class| class.starts_with(b"MSFT"));
    match options.get(codes::CLASSLESS_ROUTES).map(<[u8]>::to_vec) {
        _ if !is_microsoft => options.remove(codes::MICROSOFT_CLASSLESS_ROUTES),
        Some(routes) => options.set(codes::MICROSOFT_CLASSLESS_ROUTES, routes),
        None => {}
    }
    (options, unfilled)
}

/// RFC 3442: a client that reads option 121 ignores option 3, so 121 must contain the default route as well.
fn add_default_route(options: &mut DhcpOptions) {
    let Some(routes) = options.get(codes::CLASSLESS_ROUTES) else { return };
    let words = ValueType::Routes.decode(routes).unwrap_or_default();
    let has_default = words.iter().any(|route| route.starts_with("0.0.0.0/0="));
    let router = options.get(codes::ROUTERS).and_then(|routers| routers.first_chunk::<4>());
    if let Some(router) = router.filter(|_| !has_default) {
        let complete = [&[0], router.as_slice(), routes].concat();
        options.set(codes::CLASSLESS_ROUTES, complete);
    }
}

/// Sets the boot fields. `file` and option 67 have the same text: iPXE reads the one and EDK2 the other. PXE
/// firmware gets neither option 60 nor 43, which would send it to port 4011, unless a class has a menu for
/// it. A name that has to be rendered first is returned.
pub(super) fn set_boot(reply: &mut DhcpPacket, content: &ReplyContent<'_>) -> Option<TemplateOption> {
    let by_reservation = content.reservation.and_then(|reservation| reservation.next_server);
    let configured = content.sender.classes.next_server().or(by_reservation).or(content.subnet.next_server);
    reply.siaddr = configured.or(content.boot.next_server()).unwrap_or(content.source);
    if let BootData::Server { menu: Some(menu), .. } = content.boot {
        reply.options.set(codes::VENDOR_CLASS, "PXEClient");
        reply.options.set(codes::VENDOR_OPTIONS, pxe_menu(menu));
    }
    match content.sender.client.stage {
        BootProgram::HttpFirmware => reply.options.set(codes::VENDOR_CLASS, "HTTPClient"),
        BootProgram::Ipxe(_) => reply.options.set(codes::IPXE, IPXE_NO_PROXY),
        BootProgram::Firmware | BootProgram::Other => {}
    }
    let file = content.boot.file()?;
    if is_template(file) {
        let name = "boot_file of its client class".to_owned();
        return Some(TemplateOption { code: codes::BOOTFILE_NAME, name, template: file.to_owned() });
    }
    set_file(reply, file);
    None
}

fn set_file(reply: &mut DhcpPacket, file: &str) {
    reply.options.set(codes::BOOTFILE_NAME, file);
    if file.len() <= BOOT_FILE_BYTES_MAX {
        reply.file = file.as_bytes().to_vec();
    }
}

/// A boot menu with one entry that is chosen at once (PXE 2.1, options 6, 9 and 10 of 43).
fn pxe_menu(text: &str) -> Vec<u8> {
    const NO_DISCOVERY: [u8; 3] = [6, 1, 3];
    const PROMPT: &[u8] = b"\x0a\x04\x00PXE";
    let entry = [&[0, 0, length_octet(text.len())], text.as_bytes()].concat();
    [&NO_DISCOVERY, PROMPT, &[9, length_octet(entry.len())], &entry, &[255]].concat()
}

fn length_octet(bytes: usize) -> u8 {
    u8::try_from(bytes).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_firmware_may_read_past_its_length_has_an_end() {
        let ended = |code: u8, value: &[u8]| {
            let mut options = DhcpOptions::default();
            options.set(code, value);
            end_for_firmware(&mut options);
            end_for_firmware(&mut options);
            options.get(code).unwrap().to_vec()
        };
        assert_eq!(ended(codes::BOOTFILE_NAME, b"a.efi"), b"a.efi\0");
        assert_eq!(ended(codes::ROOT_PATH, b"/srv\0"), b"/srv\0", "once is enough");
        assert_eq!(ended(codes::HOST_NAME, b"web1"), b"web1", "a program reads it");
        assert_eq!(ended(codes::BOOTFILE_NAME, &[b'a'; 255]).len(), 255, "it stays in one piece");
        assert_eq!(ended(codes::VENDOR_OPTIONS, &[6, 1, 8]), [6, 1, 8, 255]);
        for as_it_is in [&[6, 1, 8, 255][..], &[6, 9, 8], &[b'x'], &[0, 255, 1]] {
            assert_eq!(ended(codes::VENDOR_OPTIONS, as_it_is), as_it_is);
        }
    }

    #[test]
    fn the_menu_of_a_raspberry_pi_is_what_its_firmware_compares() {
        let expected = b"\x06\x01\x03\x0a\x04\x00PXE\x09\x17\x00\x00\x14Raspberry Pi Boot   \xff";
        assert_eq!(pxe_menu("Raspberry Pi Boot   "), expected);
    }
}
