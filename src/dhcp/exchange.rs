//! Answers DHCP packets. One read of the world gathers the facts of a packet and decides everything that
//! follows (`packet::decide`); this module carries the decision out. What a reply promises is on disk before
//! the reply is sent. Start at [`Dhcp::answer_dhcp`].

use std::sync::PoisonError;

use jiff::Timestamp;

use crate::dhcp::Dhcp;
use crate::dhcp::decide::{
    BootAnswer, ClientKey, DhcpClient, DhcpQuery, OpenOffers, PacketEvent, PacketFacts, ReplyDatagram,
    SilenceReason,
};
use crate::dhcp::packet::{OfferChange, PacketOutcome, PacketParty, decide};
use crate::kernel::Error;
use crate::model::{AddressKey, LeaseState};
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::decision::{BootDecision, BootGrant, BootQuestion, arch_of};
use crate::netboot::decide::loader::LoaderTransport;
use crate::netboot::decide::{BootData, Verdict};
use crate::netboot::loader_loops::LoaderPacket;
use crate::proto::dhcp4::{MessageType, parse};
use crate::rate_limit::warn_limited;

/// Most decisions on one packet whose lease changed meanwhile.
const DECISIONS_MAX: usize = 3;

/// Whether the boot attempt of a packet may still have to be recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptRecord {
    Open,
    Done,
}

/// The decision about a packet, with its client and its machine.
pub(super) struct DecidedPacket {
    pub sender: DhcpClient,
    pub gathered: BootFacts,
    pub decision: Option<BootDecision>,
    pub outcome: PacketOutcome,
}

impl Dhcp {
    /// The reply to a DHCP packet, if there is one. What it promises is on disk when this returns.
    pub async fn answer_dhcp(&self, query: &DhcpQuery<'_>) -> Result<Option<ReplyDatagram>, SilenceReason> {
        let now = self.kernel.now();
        if !self.lease_clock.is_steady(now) {
            return Err(SilenceReason::Failed);
        }
        let completed = {
            let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.conversations.complete(query.packet, now)
        };
        let query = &DhcpQuery { packet: completed.as_deref().unwrap_or(query.packet), ..*query };
        let mut decided = self.decide_packet(query, AttemptRecord::Open);
        if decided.outcome.attempt.is_some() {
            // Boxed, like everything that few packets need: the future of every packet must be small.
            if let Err(error) = Box::pin(self.record_attempt(query, &mut decided)).await {
                warn_limited!(%error, "the boot attempt could not be recorded: no answer");
                return Err(SilenceReason::Failed);
            }
            decided = self.decide_packet(query, AttemptRecord::Done);
        }
        for _ in 0..DECISIONS_MAX {
            self.probed(query, &mut decided).await;
            if decided.outcome.templates.is_some() {
                Box::pin(self.fill_options(query, &mut decided)).await;
            }
            match self.carry_out(query, &mut decided).await {
                Ok(answered) => return answered,
                // Another packet of the client was faster: decide again with its effects.
                Err(Error::Conflict(..)) => decided = self.decide_packet(query, AttemptRecord::Done),
                Err(_) => return Err(SilenceReason::Failed),
            }
            // The notes were recorded already.
            decided.outcome.notes.clear();
        }
        Err(SilenceReason::Failed)
    }

    /// Whether an ACK that was sent a moment ago still holds: the address is leased to the client, in a
    /// subnet that is served.
    pub fn still_holds(&self, reply: &ReplyDatagram) -> bool {
        let Ok(packet) = parse(&reply.bytes) else { return false };
        self.kernel.read(|world| {
            let lease = world.leases.get(&AddressKey::from(packet.yiaddr)).map(|row| &row.spec);
            let (Some(lease), Some(client)) = (lease, ClientKey::of(&packet)) else { return false };
            let is_served = world.subnets.get(&lease.subnet).is_some_and(|subnet| subnet.spec.enabled);
            is_served
                && packet.message_type() == Some(MessageType::Ack)
                && lease.client == client.as_str()
                && lease.state == LeaseState::Bound
                && lease.expires_at > self.kernel.now()
        })
    }

    /// Reads the world once: gathers the facts of a packet and decides everything that follows. The address
    /// of an offer is held for the client before another client can be offered it.
    pub(super) fn decide_packet(&self, query: &DhcpQuery<'_>, attempt: AttemptRecord) -> DecidedPacket {
        let now = self.kernel.now();
        self.kernel.read(|world| {
            let mut facts = PacketFacts::gather(*query, world);
            let mut gathered = self.gather_boot(&facts);
            facts.boot = self.boot_answer(&facts, &mut gathered, now);
            facts.boot.is_attempt_recorded = attempt == AttemptRecord::Done;
            let outcome = {
                let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
                if facts.machine.is_some() && facts.is_discover() {
                    facts.boot.repeated_since = offers.conversations.repeated_since(query.packet);
                }
                let mut outcome = decide(&facts, &offers, now);
                change_offers(&mut offers, &mut outcome);
                outcome
            };
            let PacketFacts { sender, boot: BootAnswer { decision, .. }, .. } = facts;
            DecidedPacket { sender, gathered, decision, outcome }
        })
    }

    /// The facts of the client's boot; the client may not be a machine.
    pub(super) fn gather_boot(&self, facts: &PacketFacts<'_>) -> BootFacts {
        let machine = facts.machine.and_then(|machine| facts.world.machines.get(&machine.key));
        let mut gathered = BootFacts::of(facts.world, &self.netboot.loaders, machine);
        gathered.subnet_mode = facts.sender.subnet_mode;
        gathered.client_arch = arch_of(&facts.sender.client);
        gathered.asks = self.netboot.asks_before(&loader_request(&facts.query), gathered.machine.as_deref());
        gathered.serves_https = self.kernel.endpoints.boot_https_port.is_some();
        gathered
    }

    /// The boot decision for the client. It moves the client's earlier loader requests out of `gathered`.
    pub(super) fn boot_answer(
        &self,
        facts: &PacketFacts<'_>,
        gathered: &mut BootFacts,
        now: Timestamp,
    ) -> BootAnswer {
        let decision = gathered.decide(&BootQuestion::BootData(facts.sender.client.clone()), now);
        let data = self.boot_data(facts, gathered, &decision);
        let asks = std::mem::take(&mut gathered.asks);
        BootAnswer { data, decision: Some(decision), asks, ..BootAnswer::default() }
    }

    /// The decision as names and URLs for this client.
    fn boot_data(&self, facts: &PacketFacts<'_>, gathered: &BootFacts, decision: &BootDecision) -> BootData {
        if matches!(decision.answer, BootGrant::NoBootData) {
            return BootData::None;
        }
        let Some(server) = facts.boot_server() else { return BootData::None };
        let facing = self.catalog.facing(server.into());
        let http = &facing.http;
        match &decision.answer {
            BootGrant::Loader { name } => BootData::Tftp { next_server: server, file: name.clone() },
            BootGrant::LoaderUrl { name, over } => facing.url(*over, name),
            BootGrant::BootServer { menu } => BootData::Server { next_server: server, menu: menu.clone() },
            BootGrant::BootFile { file, .. } if file.contains("://") => BootData::Url { url: file.clone() },
            BootGrant::BootFile { file, over: LoaderTransport::Tftp } => {
                BootData::Tftp { next_server: server, file: file.clone() }
            }
            BootGrant::BootFile { file, over } => facing.url(*over, file),
            BootGrant::ScriptUrl if !http.is_empty() => {
                let attempt =
                    gathered.attempt().filter(|_| !matches!(decision.verdict, Verdict::Ignore { .. }));
                let path = attempt.map_or_else(
                    || "boot.ipxe".to_owned(),
                    |attempt| format!("m/{}/boot.ipxe", self.catalog.capability(attempt)),
                );
                BootData::Script { url: format!("{http}/{path}") }
            }
            _ => BootData::None,
        }
    }

    /// Records the boot attempt that a packet begins or advances. It is on disk when this returns.
    async fn record_attempt(&self, query: &DhcpQuery<'_>, decided: &mut DecidedPacket) -> Result<(), Error> {
        self.record_notes(query, decided).await;
        let Some(power_on) = decided.outcome.attempt else { return Ok(()) };
        let (gathered, client) = (decided.gathered.clone(), decided.sender.client.clone());
        self.netboot.powered_on(gathered, power_on, &BootQuestion::BootData(client)).await?;
        Ok(())
    }

    /// Carries out an outcome in this order: records and counts what the packet shows; commits the changeset;
    /// frees the offer and updates the machine's address; queues the event if no changeset has it; returns
    /// the reply.
    ///
    /// # Errors
    /// The changeset was not committed. The server must not say what it cannot promise (RFC 2131 4.3); the
    /// client asks again.
    async fn carry_out(
        &self,
        query: &DhcpQuery<'_>,
        decided: &mut DecidedPacket,
    ) -> Result<Result<Option<ReplyDatagram>, SilenceReason>, Error> {
        decided.complete();
        let outcome = &decided.outcome;
        tracing::debug!(event = outcome.kind.as_str(), reason = outcome.reason, "dhcp");
        if outcome.counts.is_unserved {
            self.observations.unserved_packets.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        if !outcome.notes.is_empty() {
            self.record_notes(query, decided).await;
        }
        let durable = !decided.outcome.changeset.writes.is_empty();
        if durable {
            self.commit_outcome(decided).await?;
        }
        let PacketOutcome { event, reply, counts, .. } = &mut decided.outcome;
        if let Some(event) = event.take() {
            self.kernel.note(event);
        }
        let reply = reply.take().map(|reply| ReplyDatagram { durable, ..reply.into() });
        Ok(counts.silence.map_or(Ok(reply), Err))
    }

    /// Commits the changeset, and carries out what follows from it.
    async fn commit_outcome(&self, decided: &mut DecidedPacket) -> Result<(), Error> {
        let changeset = std::mem::take(&mut decided.outcome.changeset);
        let DecidedPacket { gathered, outcome, .. } = decided;
        if let Err(error) = self.kernel.commit(changeset).await {
            if !matches!(error, Error::Conflict(..)) {
                warn_limited!(%error, reason = outcome.reason, "the lease could not be written: no answer");
            }
            return Err(error);
        }
        if let Some(address) = outcome.machine_address {
            let machine = gathered.machine.as_deref();
            Box::pin(self.netboot.follow_address(machine, address.into(), outcome.decided_at)).await;
        }
        if let OfferChange::Settle { address } = outcome.offer {
            let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(hold) = offers.at(address, outcome.decided_at).cloned() {
                offers.release(&hold.network, &hold.client);
            }
        }
        Ok(())
    }
}

impl DecidedPacket {
    /// Completes the outcome once its reply is final.
    fn complete(&mut self) {
        let party = PacketParty {
            sender: &self.sender,
            machine: self.gathered.machine.as_deref(),
            decision: self.decision.as_ref(),
        };
        self.outcome.complete(&party);
    }
}

/// Holds the address of an offer, or frees one that is no longer needed. If too many offers are open, there
/// is none.
fn change_offers(offers: &mut OpenOffers, outcome: &mut PacketOutcome) {
    match &outcome.offer {
        OfferChange::Keep { address, hold } => {
            if !offers.hold(*address, hold.clone(), outcome.decided_at) {
                let why = "too many offers are open; the client has to ask again";
                outcome.silence(PacketEvent::PoolEmpty, why);
            }
        }
        OfferChange::Withdraw { network, client } => offers.release(network, client),
        OfferChange::None | OfferChange::Settle { .. } => {}
    }
}

fn loader_request(query: &DhcpQuery<'_>) -> LoaderPacket {
    LoaderPacket {
        mac: ClientKey::mac_of(query.packet),
        xid: query.packet.xid,
        is_discover: query.packet.message_type() == Some(MessageType::Discover),
    }
}
