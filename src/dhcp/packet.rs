//! Everything that one DHCP packet causes, as one value: [`decide`] takes the facts, the offers and the time,
//! and returns a [`PacketOutcome`] with the reply and every effect. Nothing is done here; `exchange` carries
//! it out.
//!
//! `decide::answer` chooses the address and writes the reply. `notes` finds what a packet shows about the
//! network and the client's boot, `event` makes the timeline's event, `leases` the changeset.

mod event;
mod notes;

use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::dhcp::decide::{
    AddressOffer, ClientKey, DhcpAnswer, DhcpClient, DhcpReply, LeaseChange, OpenOffers, PacketEvent,
    PacketFacts, SilenceReason, answer,
};
use crate::dhcp::leases::{claim_changeset, end_changeset, freed_changeset};
use crate::kernel::changeset::Changeset;
use crate::model::{Cidr, Machine, NewEvent, ProbeMode, Stored};
use crate::netboot::decide::BootDecision;
use crate::netboot::decide::attempt::PowerOn;
use crate::proto::dhcp4::codes;

pub use notes::PacketNote;

/// Everything that one packet causes.
#[derive(Debug)]
pub struct PacketOutcome {
    /// The reply, sent after everything else was done.
    pub reply: Option<DhcpReply>,
    pub kind: PacketEvent,
    /// For the log and the timeline: one clause without a full stop.
    pub reason: String,
    /// The address that the packet is about.
    pub address: Option<Ipv4Addr>,
    /// How to check whether the offered address is in use, before it is offered.
    pub probe: ProbeMode,
    /// The change of open offers.
    pub offer: OfferChange,
    /// The changeset, which is on disk before the reply is sent.
    pub changeset: Changeset,
    /// What the packet shows; recorded even if the changeset fails.
    pub notes: Vec<PacketNote>,
    pub counts: PacketCounts,
    /// The event of the packet, if no changeset contains it. [`PacketOutcome::complete`] makes it.
    pub event: Option<NewEvent>,
    /// The address that the client's machine has after the changeset was committed.
    pub machine_address: Option<Ipv4Addr>,
    /// A boot attempt that has to be recorded first. The packet is decided again afterwards; until then there
    /// is no reply.
    pub attempt: Option<PowerOn>,
    /// The variables for templates of the reply's options.
    pub templates: Option<Box<TemplateFacts>>,
    /// The time of the decision.
    pub decided_at: Timestamp,
}

/// The client, the machine and the boot that a packet is about.
#[derive(Debug, Clone, Copy)]
pub struct PacketParty<'a> {
    pub sender: &'a DhcpClient,
    pub machine: Option<&'a Stored<Machine>>,
    /// What the client should boot, and why.
    pub decision: Option<&'a BootDecision>,
}

/// A change of open offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferChange {
    None,
    /// Hold an address for a client until its REQUEST. Done under the lock of the decision.
    Keep {
        address: Ipv4Addr,
        hold: AddressOffer,
    },
    /// Free the address that is held for a client that took another server's offer. Done under the same lock.
    Withdraw {
        network: String,
        client: ClientKey,
    },
    /// Free the offer of an address that is leased when the changeset is committed.
    Settle {
        address: Ipv4Addr,
    },
}

/// What metrics count of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketCounts {
    /// No subnet fits it.
    pub is_unserved: bool,
    /// Why there is no reply although a client may wait for one.
    pub silence: Option<SilenceReason>,
}

/// The variables that templates of options get from a packet, besides the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFacts {
    /// The server's address that faces the client.
    pub server: Ipv4Addr,
    pub address: Ipv4Addr,
    pub subnet: String,
    pub cidr: Cidr,
}

/// Decides everything that a packet causes.
pub fn decide(facts: &PacketFacts<'_>, offers: &OpenOffers, now: Timestamp) -> PacketOutcome {
    if let Some(power_on) = notes::power_on(facts).filter(|power_on| is_attempt_due(facts, power_on, now)) {
        let outcome = DhcpAnswer::silence(PacketEvent::Ignored, "its boot attempt is recorded first");
        let notes = notes::boot_sign(facts).into_iter().collect();
        return PacketOutcome { attempt: Some(power_on), notes, ..PacketOutcome::of(outcome, now) };
    }
    let answered = answer(facts, offers, now);
    let mut notes = Vec::new();
    notes::collect(&mut notes, facts, (&answered, now));
    let is_claim = matches!(answered.change, LeaseChange::Claim(_));
    let is_unserved = answered.event == PacketEvent::NoSubnet;
    let changeset = match &answered.change {
        LeaseChange::Claim(lease) => claim_changeset(facts.world, lease, now),
        LeaseChange::Release(lease) => end_changeset(facts.world, lease, now),
        LeaseChange::Decline { lease, freed } => {
            let ended = end_changeset(facts.world, lease, now);
            freed.iter().fold(ended, |changeset, freed| freed_changeset(changeset, (facts.world, freed), now))
        }
        LeaseChange::None | LeaseChange::Hold { .. } | LeaseChange::Forget { .. } => Changeset::default(),
    };
    let templates = template_facts(facts, &answered);
    let mut outcome = PacketOutcome::of(answered, now);
    outcome.counts.is_unserved = is_unserved;
    outcome.machine_address = outcome.address.filter(|_| is_claim && facts.machine.is_some());
    PacketOutcome { changeset, notes, templates, ..outcome }
}

impl PacketOutcome {
    /// The outcome with the effects that follow from the answer alone.
    fn of(outcome: DhcpAnswer, decided_at: Timestamp) -> Self {
        let DhcpAnswer { reply, change, event: kind, reason, address, probe } = outcome;
        // An accepted RELEASE or DECLINE gets no reply.
        let is_heeded = matches!(change, LeaseChange::Release(_) | LeaseChange::Decline { .. });
        let silence = (reply.is_none() && !is_heeded).then(|| kind.into());
        let offer = match change {
            LeaseChange::Hold { address, hold } => OfferChange::Keep { address, hold },
            LeaseChange::Forget { network, client } => OfferChange::Withdraw { network, client },
            LeaseChange::Claim(lease) => OfferChange::Settle { address: lease.address },
            LeaseChange::None | LeaseChange::Release(_) | LeaseChange::Decline { .. } => OfferChange::None,
        };
        PacketOutcome {
            reply,
            kind,
            reason,
            address,
            probe,
            offer,
            changeset: Changeset::default(),
            notes: Vec::new(),
            counts: PacketCounts { is_unserved: false, silence },
            event: None,
            machine_address: None,
            attempt: None,
            templates: None,
            decided_at,
        }
    }

    /// Removes the reply, for this reason. What the packet shows is still recorded.
    pub fn silence(&mut self, kind: PacketEvent, reason: impl Into<String>) {
        let notes = std::mem::take(&mut self.notes);
        let outcome = PacketOutcome::of(DhcpAnswer::silence(kind, reason), self.decided_at);
        *self = PacketOutcome { notes, ..outcome };
    }

    /// Adds to the reason.
    pub fn add_reason(&mut self, why: std::fmt::Arguments<'_>) {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(self.reason, "; {why}");
    }

    /// Completes the outcome once its reply is final: the reason names the options that did not fit, and the
    /// packet's event is made, inside of the changeset if that writes anything.
    pub fn complete(&mut self, party: &PacketParty<'_>) {
        self.add_left_out();
        if !event::is_noted(self, party) {
            return;
        }
        let event = event::of_packet(self, party);
        // The end of a lease is recorded before its consequences.
        let is_end = matches!(self.kind, PacketEvent::Released | PacketEvent::Declined);
        match self.changeset.writes.is_empty() {
            true => self.event = Some(event),
            false if is_end => self.changeset.events.insert(0, event),
            false => self.changeset.events.push(event),
        }
    }

    fn add_left_out(&mut self) {
        let Some(reply) = self.reply.as_ref().filter(|reply| !reply.dropped.is_empty()) else { return };
        let names = reply
            .dropped
            .iter()
            .map(|code: &u8| {
                codes::by_code(*code).map_or_else(|| code.to_string(), |row| row.name.to_owned())
            })
            .collect::<Vec<_>>()
            .join(", ");
        self.add_reason(format_args!("left out, as the client has no room for it: {names}"));
    }
}

/// Whether a power-on has to be recorded before the packet is answered.
fn is_attempt_due(facts: &PacketFacts<'_>, power_on: &PowerOn, now: Timestamp) -> bool {
    let last = facts.machine.and_then(|machine| machine.status.boot_attempt.as_ref());
    let decision = facts.boot.decision.as_ref().filter(|_| !facts.boot.is_attempt_recorded);
    decision.is_some_and(|decision| power_on.is_news(last, &decision.verdict, now))
}

fn template_facts(facts: &PacketFacts<'_>, answered: &DhcpAnswer) -> Option<Box<TemplateFacts>> {
    answered.reply.as_ref().filter(|reply| !reply.unfilled.is_empty())?;
    let link = facts.link.as_ref().ok()?;
    let address = answered.address.unwrap_or(facts.query.packet.ciaddr);
    let subnet = link.subnet_of(address).unwrap_or(link.selected);
    let server = facts.boot_server().unwrap_or(Ipv4Addr::UNSPECIFIED);
    Some(Box::new(TemplateFacts { server, address, subnet: subnet.name.clone(), cidr: subnet.cidr }))
}
