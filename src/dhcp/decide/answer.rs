//! The answer to one DHCP packet, as a pure function of the packet, the facts and the time.
//!
//! Follows RFC 2131 4.3. Unknown clients get silence unless the subnet is authoritative. A NAK goes only to
//! clients of this server that use a wrong address.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use uuid::Uuid;

use crate::dhcp::decide::link::vrf_text;
use crate::dhcp::decide::offers::{hold_until, later};
use crate::dhcp::decide::proxy::BootServer;
use crate::dhcp::decide::reply::{self, ReplyContent};
use crate::dhcp::decide::{
    AddressOffer, AddressPicker, AddressRefusal, BOOT_SERVER_PORT, ClientMessage, DhcpAnswer, DhcpQuery,
    DhcpReply, LeaseChange, Link, NoAddress, OpenOffers, PacketEvent, PacketFacts, UnanswerablePacket,
    classify, classify_at_boot_server, server_identifier,
};
use crate::model::{Lease, LeaseState, ProbeMode, Subnet, SubnetMode};
use crate::netboot::decide::BootData;
use crate::proto::dhcp4::{DhcpPacket, MessageType, RelayVrf, ValueType, codes};

/// How long an address that a client found in use stays in quarantine.
const QUARANTINE_SECONDS: i64 = 1800;
/// Seconds of the record of a BOOTP client: its address is permanent (RFC 1534 2).
const BOOTP_LEASE_SECONDS: i64 = u32::MAX as i64;
/// Options that have no meaning for BOOTP clients.
const DHCP_ONLY_CODES: [u8; 5] = [
    codes::MESSAGE_TYPE,
    codes::SERVER_IDENTIFIER,
    codes::LEASE_TIME,
    codes::RENEWAL_TIME,
    codes::REBINDING_TIME,
];
const NO_RECORD: &str = "there is no record of it, and the subnet is authoritative";

/// Decides on a packet that came to port 67, or to the boot server's port.
pub fn answer(facts: &PacketFacts<'_>, offers: &OpenOffers, now: Timestamp) -> DhcpAnswer {
    let query = &facts.query;
    if let Some(class) = facts.sender.classes.denying() {
        return DhcpAnswer::silence(PacketEvent::Ignored, format!("client class {class} denies it"));
    }
    let at_boot_server = query.port == BOOT_SERVER_PORT;
    let classified =
        if at_boot_server { classify_at_boot_server(query.packet) } else { classify(query.packet) };
    let message = match classified {
        Ok(message) => message,
        Err(why @ (UnanswerablePacket::BadOption(_) | UnanswerablePacket::NoAddress)) => {
            return DhcpAnswer::silence(PacketEvent::Malformed, why.to_string());
        }
        Err(why) => return DhcpAnswer::silence(PacketEvent::Ignored, why.to_string()),
    };
    let link = match &facts.link {
        Ok(link) => link,
        Err(why) => return DhcpAnswer::silence(PacketEvent::NoSubnet, why.to_string()),
    };
    let Some((source, server)) = query.source_address(link).zip(server_identifier(query, link)) else {
        let why = format!("interface {} has no IPv4 address to answer from", query.interface.name);
        return DhcpAnswer::silence(PacketEvent::NoSubnet, why);
    };
    if message == ClientMessage::BootRequest || link.selected.mode == SubnetMode::Proxy {
        return BootServer { query, facts, link, source, server }.answer(message);
    }
    let Some(client) = &facts.sender.key else {
        let why = "the client has neither a hardware address nor a client identifier";
        return DhcpAnswer::silence(PacketEvent::Malformed, why);
    };
    let mut taken: Vec<Ipv4Addr> = query.interface.addresses.iter().map(|own| own.address).collect();
    taken.extend([query.packet.giaddr, server]);
    let ledger = AddressPicker {
        link,
        world: facts.world,
        offers,
        client,
        packet: query.packet,
        machine: facts.machine,
        taken: &taken,
        now,
    };
    DhcpExchange { query, facts, link, ledger, source, server, now }.serve(message)
}

/// The record that keeps an address from being given out, because a client declined it or a probe of it was
/// answered. It belongs to no client, so that the client can have another address.
pub fn quarantine(subnet: &Subnet, address: Ipv4Addr, now: Timestamp) -> Lease {
    Lease {
        address,
        client: format!("declined/{address}"),
        mac: None,
        state: LeaseState::Declined,
        subnet: subnet.name.clone(),
        network: subnet.network().to_owned(),
        bound_at: now,
        expires_at: later(now, QUARANTINE_SECONDS),
        machine: None,
        hostname: None,
    }
}

/// The exchange with one client: everything that an answer needs.
struct DhcpExchange<'a> {
    query: &'a DhcpQuery<'a>,
    facts: &'a PacketFacts<'a>,
    link: &'a Link<'a>,
    ledger: AddressPicker<'a>,
    source: Ipv4Addr,
    server: Ipv4Addr,
    now: Timestamp,
}

impl DhcpExchange<'_> {
    fn serve(&self, message: ClientMessage) -> DhcpAnswer {
        match message {
            ClientMessage::Discover => self.discover(),
            ClientMessage::Selecting { server, address } if self.is_us(server) => self.selecting(address),
            ClientMessage::Selecting { server, .. } => self.chose_another(server),
            ClientMessage::InitReboot { address } => self.init_reboot(address),
            ClientMessage::Renewing { address } => self.renewing(address),
            ClientMessage::Decline { server, address } => self.decline(server, address),
            ClientMessage::Release { server, address } => self.release(server, address),
            ClientMessage::Inform => self.inform(),
            ClientMessage::Bootp => self.bootp(),
            ClientMessage::BootRequest => self.ignored("it is for the boot server".into()),
        }
    }

    /// BOOTP clients get reserved addresses only, because they report neither acceptance nor release.
    fn bootp(&self) -> DhcpAnswer {
        let Some(reserved) = self.ledger.reservation() else {
            return self.ignored("it is BOOTP, and nothing is reserved for it here".into());
        };
        let address = reserved.address;
        let subnet = self.subnet_of(address);
        if !subnet.bootp {
            return self.ignored(format!("it is BOOTP, and `bootp` is off in subnet {}", subnet.name));
        }
        if let Some(refusal) = self.ledger.refuse(address) {
            return self.ignored(format!("it is BOOTP, and {refusal}"));
        }
        let mut draft = self.reply_with(MessageType::Ack, address);
        DHCP_ONLY_CODES.iter().for_each(|code| draft.packet.options.remove(*code));
        let lease = Lease { expires_at: later(self.now, BOOTP_LEASE_SECONDS), ..self.new_lease(address) };
        DhcpAnswer {
            reply: Some(self.finish(draft)),
            change: LeaseChange::Claim(lease),
            event: PacketEvent::Leased,
            reason: format!("asked over BOOTP for what is reserved for it: {address}"),
            address: Some(address),
            probe: ProbeMode::None,
        }
    }

    /// Encodes the reply and chooses its destination. If the subnet wants broadcasts, a relay is told so as
    /// well.
    fn finish(&self, draft: impl Into<reply::ReplyDraft>) -> DhcpReply {
        let mut draft = draft.into();
        if self.link.selected.always_broadcast {
            draft.packet.set_broadcast();
        }
        reply::finish(self.query, self.link, self.source, draft)
    }

    fn discover(&self) -> DhcpAnswer {
        let picked = match self.ledger.pick(self.packet().requested_address()) {
            Ok(picked) => picked,
            Err(why) => {
                let event = match why {
                    NoAddress::Empty(_) => PacketEvent::PoolEmpty,
                    NoAddress::ReservationsOnly(_) => PacketEvent::Ignored,
                };
                return DhcpAnswer::silence(event, format!("{why}{}", self.waiting()));
            }
        };
        let hold = AddressOffer {
            network: self.link.network().to_owned(),
            client: self.ledger.client.clone(),
            until: hold_until(self.now),
        };
        let subnet = self.subnet_of(picked.address);
        let offer = self.reply_with(MessageType::Offer, picked.address);
        DhcpAnswer {
            reply: Some(self.finish(offer)),
            change: LeaseChange::Hold { address: picked.address, hold },
            event: PacketEvent::Offered,
            reason: format!(
                "offered {}: {}{}{}",
                picked.address,
                picked.why,
                self.waiting(),
                self.unknown_vrf()
            ),
            address: Some(picked.address),
            probe: if picked.fresh { subnet.probe_mode() } else { ProbeMode::None },
        }
    }

    /// Why a client does not get the address that is reserved for it.
    fn waiting(&self) -> String {
        let refusal = self.ledger.reservation().and_then(|reserved| self.ledger.refuse(reserved.address));
        refusal.map_or_else(String::new, |why| format!("; its reservation has to wait: {why}"))
    }

    /// What the relay does not learn from the reply: its VRF is that of no subnet. A relay that wants to know
    /// drops the reply (RFC 6607 5).
    fn unknown_vrf(&self) -> String {
        let agent = self.packet().relay_agent().filter(|_| self.packet().is_relayed());
        match agent.and_then(|agent| agent.vrf()).filter(|_| !self.link.is_in_vrf) {
            Some(RelayVrf::Named(name)) => format!(
                "; its relay names the VRF `{}`, and the `vrf` of subnet {} does not",
                vrf_text(name),
                self.link.selected.name
            ),
            Some(RelayVrf::Global) | None => String::new(),
        }
    }

    fn selecting(&self, address: Ipv4Addr) -> DhcpAnswer {
        match self.ledger.refuse(address).or_else(|| self.reserved_elsewhere(address)) {
            Some(refusal) => self.nak(address, &refusal.to_string()),
            None => self.ack(address, PacketEvent::Leased, "took our offer"),
        }
    }

    fn chose_another(&self, server: Ipv4Addr) -> DhcpAnswer {
        let mut outcome = self.ignored(format!("the client chose server {server}"));
        outcome.change = LeaseChange::Forget {
            network: self.link.network().to_owned(),
            client: self.ledger.client.clone(),
        };
        outcome
    }

    fn init_reboot(&self, address: Ipv4Addr) -> DhcpAnswer {
        let authoritative = self.link.selected.authoritative;
        let refusal = self.refuse_remembered(address);
        match refusal {
            Some(refusal @ AddressRefusal::WrongLink(_)) => {
                let is_known =
                    self.facts.machine.is_some() || self.has_record() || self.has_lease_of(address);
                let is_told = authoritative || is_known;
                if is_told { self.nak(address, &refusal.to_string()) } else { self.stranger(address) }
            }
            _ if !self.has_record() && authoritative => self.nak(address, NO_RECORD),
            _ if !self.has_record() => self.stranger(address),
            Some(refusal) => self.nak(address, &refusal.to_string()),
            None => self.ack(address, PacketEvent::Leased, "came back for its address"),
        }
    }

    fn renewing(&self, address: Ipv4Addr) -> DhcpAnswer {
        let authoritative = self.link.selected.authoritative;
        match self.refuse_remembered(address) {
            Some(refusal @ AddressRefusal::WrongLink(_)) => self.uses_elsewhere(address, &refusal),
            // Two clients with one address are worse than a NAK to an unknown client.
            Some(refusal @ (AddressRefusal::Leased(_) | AddressRefusal::Reserved(_))) => {
                self.nak(address, &refusal.to_string())
            }
            _ if !self.has_record() && authoritative && self.in_pool(address) => self.nak(address, NO_RECORD),
            _ if !self.has_record() => self.stranger(address),
            Some(refusal) => self.nak(address, &refusal.to_string()),
            None => self.ack(address, PacketEvent::Renewed, "goes on with its address"),
        }
    }

    /// Handles a client that uses an address of another wire. If it sent only to this server, it may be on
    /// that wire, behind routers, and no subnet here has the address. If it rebinds, it is here and was
    /// moved, so its address does not work. As with INIT-REBOOT, it gets a NAK if the subnet is authoritative
    /// or it has a record. Merely being a known machine is not enough: it uses its address, which may come
    /// from another server that is only slow.
    fn uses_elsewhere(&self, address: Ipv4Addr, refusal: &AddressRefusal) -> DhcpAnswer {
        let is_here = self.query.is_from_here() || self.packet().is_relayed();
        let is_told = self.link.selected.authoritative || self.has_record() || self.has_lease_of(address);
        if is_here && is_told { self.nak(address, &refusal.to_string()) } else { self.stranger(address) }
    }

    /// RFC 2131 4.3.2: without a record of the client the server must remain silent.
    fn stranger(&self, address: Ipv4Addr) -> DhcpAnswer {
        self.ignored(format!("there is no record of {address} for this client"))
    }

    /// Why a client cannot continue with an address that it remembers.
    fn refuse_remembered(&self, address: Ipv4Addr) -> Option<AddressRefusal> {
        let lease = self.ledger.own_lease().map(|lease| lease.address);
        let reserved = self.ledger.reservation().is_some_and(|reservation| reservation.address == address);
        let refusal = self.ledger.refuse(address);
        refusal
            .or_else(|| self.reserved_elsewhere(address))
            .or_else(|| lease.filter(|own| *own != address && !reserved).map(AddressRefusal::Elsewhere))
    }

    /// The client's reservation, if it is for another address that the client may have now.
    fn reserved_elsewhere(&self, address: Ipv4Addr) -> Option<AddressRefusal> {
        let reserved = self.ledger.reservation()?.address;
        (reserved != address && self.ledger.refuse(reserved).is_none())
            .then_some(AddressRefusal::Elsewhere(reserved))
    }

    fn decline(&self, server: Option<Ipv4Addr>, address: Ipv4Addr) -> DhcpAnswer {
        let Some(lease) = self.own_active_lease(address).filter(|_| self.may_be_for_us(server)) else {
            return self.ignored(format!("it declines {address}, which is not its own"));
        };
        let kept_back = quarantine(self.subnet_of(address), address, self.now);
        let lease = Lease { mac: lease.mac, machine: lease.machine, ..kept_back };
        let surplus = self.ledger.surplus_decline();
        let freed = surplus.map(|oldest| Lease { expires_at: self.now, ..oldest.clone() });
        let again = surplus.map_or_else(String::new, |oldest| {
            format!("; {}, which it declined before, is given out again", oldest.address)
        });
        DhcpAnswer {
            reason: format!(
                "{address} is in use by another, says the client: not given out for a while{again}"
            ),
            event: PacketEvent::Declined,
            change: LeaseChange::Decline { lease, freed },
            address: Some(address),
            ..self.ignored(String::new())
        }
    }

    fn release(&self, server: Option<Ipv4Addr>, address: Ipv4Addr) -> DhcpAnswer {
        let Some(lease) = self.own_active_lease(address).filter(|_| self.may_be_for_us(server)) else {
            return self.ignored(format!("it releases {address}, which is not its own"));
        };
        let lease = Lease { state: LeaseState::Released, expires_at: self.now, ..lease.clone() };
        DhcpAnswer {
            reason: format!("gave {address} back"),
            event: PacketEvent::Released,
            change: LeaseChange::Release(lease),
            address: Some(address),
            ..self.ignored(String::new())
        }
    }

    /// Answers an INFORM. The answer goes to the address that the client names (RFC 2131 4.3.5), so that
    /// address must be on the client's link.
    fn inform(&self) -> DhcpAnswer {
        let address = self.query.address_in_use();
        if let Some(elsewhere) = address.filter(|address| !self.link.has_host(*address)) {
            return self.ignored(format!("it asks for {elsewhere}, which is not of its network"));
        }
        let subnet = address.map_or(self.link.selected, |address| self.subnet_of(address));
        let packet = reply::informed(self.query, &self.content(subnet));
        DhcpAnswer {
            reply: Some(self.finish(packet)),
            reason: "told the options of its network".into(),
            event: PacketEvent::Informed,
            ..self.ignored(String::new())
        }
    }

    fn ack(&self, address: Ipv4Addr, event: PacketEvent, what: &str) -> DhcpAnswer {
        let packet = self.reply_with(MessageType::Ack, address);
        DhcpAnswer {
            reply: Some(self.finish(packet)),
            change: LeaseChange::Claim(self.new_lease(address)),
            event,
            reason: format!("{what}: {address}"),
            address: Some(address),
            probe: ProbeMode::None,
        }
    }

    fn nak(&self, address: Ipv4Addr, why: &str) -> DhcpAnswer {
        let packet = reply::nak(self.packet(), self.server, why);
        DhcpAnswer {
            reply: Some(self.finish(packet)),
            reason: why.to_owned(),
            event: PacketEvent::Refused,
            address: Some(address),
            ..self.ignored(String::new())
        }
    }

    fn ignored(&self, reason: String) -> DhcpAnswer {
        DhcpAnswer::silence(PacketEvent::Ignored, reason)
    }

    fn reply_with(&self, message: MessageType, address: Ipv4Addr) -> reply::ReplyDraft {
        reply::lease(self.query, &self.content(self.subnet_of(address)), message, address)
    }

    fn content<'b>(&'b self, subnet: &'b Subnet) -> ReplyContent<'b> {
        let boots = subnet.mode == SubnetMode::Managed;
        ReplyContent {
            link: self.link,
            subnet,
            reservation: self.ledger.reservation(),
            machine: self.facts.machine,
            sender: &self.facts.sender,
            boot: if boots { &self.facts.boot.data } else { &BootData::None },
            server: self.server,
            source: self.source,
        }
    }

    fn new_lease(&self, address: Ipv4Addr) -> Lease {
        let subnet = self.subnet_of(address);
        let before = self.own_active_lease(address);
        let seconds = i64::from(reply::lease_seconds(self.query.packet, (subnet, &self.facts.sender.client)));
        Lease {
            address,
            client: self.ledger.client.as_str().to_owned(),
            mac: self.ledger.client.mac(),
            state: LeaseState::Bound,
            subnet: subnet.name.clone(),
            network: self.link.network().to_owned(),
            bound_at: before.map_or(self.now, |lease| lease.bound_at),
            expires_at: later(self.now, seconds),
            machine: self.facts.machine.and_then(|machine| machine.key.parse::<Uuid>().ok()),
            hostname: self.packet().host_name().filter(|name| is_host_name(name)).map(str::to_owned),
        }
    }

    fn own_active_lease(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.ledger.lease_at(address).filter(|lease| {
            let active = lease.state == LeaseState::Bound && lease.expires_at > self.now;
            active && self.ledger.is_our_lease(lease)
        })
    }

    fn subnet_of(&self, address: Ipv4Addr) -> &Subnet {
        self.link.subnet_of(address).unwrap_or(self.link.selected)
    }

    fn in_pool(&self, address: Ipv4Addr) -> bool {
        self.link.subnets.iter().any(|subnet| subnet.pools.iter().any(|pool| pool.contains(address)))
    }

    fn is_us(&self, server: Ipv4Addr) -> bool {
        self.query.is_to(self.link, server)
    }

    fn may_be_for_us(&self, server: Option<Ipv4Addr>) -> bool {
        server.is_none_or(|server| self.is_us(server))
    }

    fn has_record(&self) -> bool {
        self.ledger.own_lease().is_some() || self.ledger.reservation().is_some()
    }

    /// Whether the requested address is the client's own lease, possibly in another shared network.
    fn has_lease_of(&self, address: Ipv4Addr) -> bool {
        self.ledger.lease_at(address).is_some_and(|lease| lease.client == self.ledger.client.as_str())
    }

    fn packet(&self) -> &DhcpPacket {
        self.query.packet
    }
}

/// Whether a client's name is a plain host name: only such names go into events and pages.
fn is_host_name(name: &str) -> bool {
    name.len() <= 253 && ValueType::Names.encode(&[name]).is_some()
}
