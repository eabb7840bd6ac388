//! Answers DHCP: gathers the facts, asks for the boot decision and the reply, and has the lease on disk
//! before the reply leaves. Everything that decides is in `boot` and `dhcp`; here is only what they need and
//! what follows.

use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use serde_json::json;

use crate::dhcp;
use crate::dhcp::Dhcp;
use crate::dhcp::decide::{
    Change, ClientKey, Datagram, EventKind, Facts, Link, Outcome, Query, Sender, Silence,
};
use crate::dhcp::lease_actions::{lease_event, without_address};
use crate::kernel::{Caller, Error};
use crate::model::{
    AddressKey, BootProgress, Kind, Lease, LeaseState, NewEvent, Noun, Object, Stored, World,
};
use crate::netboot::attempts::PowerOn;
use crate::netboot::boot_facts::Gathered;
use crate::netboot::decide::client::{Client, Stage};
use crate::netboot::decide::decision::{Answer, Asked, Decision, arch_of};
use crate::netboot::decide::loader::Transport;
use crate::netboot::decide::stops::Sign;
use crate::netboot::decide::{BootData, Verdict, capability};
use crate::netboot::identify::about;
use crate::netboot::loader_loops::LoaderRequest;
use crate::proto::dhcp4::{MessageType, codes, parse};
use crate::seldom::warn_seldom;
use crate::store::Deed;

/// How often one packet is decided on anew because its lease changed meanwhile.
const DECISIONS_MAX: usize = 3;

impl Dhcp {
    /// The reply to a DHCP packet, if there is one. What it promises is on disk when this returns.
    pub async fn answer_dhcp(&self, query: &Query<'_>) -> Result<Option<Datagram>, Silence> {
        if !self.lease_clock.is_steady(self.kernel.now()) {
            return Err(Silence::Failed);
        }
        let sender = Sender::of(query, &self.kernel.world());
        let client = &sender.client;
        let gathered = self.dhcp_client(query, &sender);
        let elsewhere = dhcp::decide::address_elsewhere(query, &self.kernel.world());
        if let Some(heard) = elsewhere {
            self.netboot.heard_elsewhere(heard, &gathered).await;
        }
        let (gathered, decision) = match self.dhcp_boot(query, client, gathered).await {
            Ok(decided) => decided,
            Err(error) => {
                warn_seldom!(%error, "the boot attempt cannot be recorded: no answer");
                return Err(Silence::Failed);
            }
        };
        self.netboot.asked(&loader_request(query), &gathered, &decision);
        self.netboot.without_loader(&loader_request(query), &gathered, &decision);
        let boot = self.boot_data(query, &gathered, &decision);
        for _ in 0..DECISIONS_MAX {
            let now = self.kernel.now();
            let decide = || self.decide_reply(query, &sender, (&gathered, &boot), self.kernel.now());
            let mut outcome = self.probed(query, decide).await;
            if outcome.reply.as_ref().is_some_and(|reply| !reply.unfilled.is_empty()) {
                Box::pin(self.fill_options(query, &gathered, &mut outcome)).await;
            }
            tell_left_out(&mut outcome);
            self.saw_dhcp(query, &outcome, now);
            if gathered.machine.is_none() {
                self.saw_unknown_client((query, &sender), (&outcome, &decision), now);
            }
            let seen =
                Seen { sender: &sender, gathered: &gathered, outcome: &outcome, decision: &decision, now };
            match self.carry_out(&seen).await {
                Ok(()) => return answered(outcome),
                // Another packet of the client was quicker: what it left behind decides now.
                Err(Error::Conflict(_)) => continue,
                // RFC 2131 4.3: what cannot be promised is not said. The client asks again.
                Err(error) => {
                    warn_seldom!(%error, reason = outcome.reason, "a lease was not written: no answer");
                    return Err(Silence::Failed);
                }
            }
        }
        Err(Silence::Failed)
    }

    /// Whether an ACK that was sent a moment ago still holds: its address is leased to that client, in a
    /// subnet that is served.
    pub fn still_holds(&self, reply: &Datagram) -> bool {
        let Ok(packet) = parse(&reply.bytes) else { return false };
        let world = self.kernel.world();
        let lease = world.leases.get(&AddressKey::from(packet.yiaddr)).map(|row| &row.spec);
        let (Some(lease), Some(client)) = (lease, ClientKey::of(&packet)) else { return false };
        let is_served = world.subnets.get(&lease.subnet).is_some_and(|subnet| subnet.spec.enabled);
        is_served
            && packet.message_type() == Some(MessageType::Ack)
            && lease.client == client.as_str()
            && lease.state == LeaseState::Bound
            && lease.expires_at > self.kernel.now()
    }

    /// Who asks: by its hardware address, else by its SMBIOS UUID in either byte order.
    fn dhcp_client(&self, query: &Query<'_>, sender: &Sender) -> Gathered {
        let (world, client) = (self.kernel.world(), &sender.client);
        let mac = ClientKey::mac_of(query.packet);
        let by_mac = mac.and_then(|mac| world.machines.find("mac", &mac.to_string()));
        let by_uuid = || {
            let aliases = client.uuid_aliases()?;
            aliases.iter().find_map(|uuid| world.machines.find("smbios_uuid", &uuid.to_string()))
        };
        let mut gathered = Gathered::of(&world, &self.netboot.loaders, by_mac.or_else(by_uuid));
        gathered.subnet_mode = sender.subnet_mode;
        gathered.client_arch = arch_of(client);
        gathered.asks = self.netboot.asks_before(&loader_request(query));
        gathered.serves_https = self.kernel.endpoints.boot_https_port.is_some();
        gathered
    }

    /// The boot decision; a DISCOVER that asks for a boot may begin an attempt.
    async fn dhcp_boot(
        &self,
        query: &Query<'_>,
        client: &Client,
        gathered: Gathered,
    ) -> Result<(Gathered, Decision), Error> {
        let asked = Asked::BootData(client.clone());
        let progress = match client.stage {
            Stage::Firmware | Stage::HttpFirmware => BootProgress::Firmware,
            Stage::Ipxe(_) => BootProgress::Loader,
            Stage::Other => {
                let decision = gathered.decide(&asked, self.kernel.now());
                return Ok((gathered, decision));
            }
        };
        if query.packet.message_type() != Some(MessageType::Discover) || gathered.subnet_mode.is_none() {
            let decision = gathered.decide(&asked, self.kernel.now());
            return Ok((gathered, decision));
        }
        if let Some(machine) = &gathered.machine {
            let is_firmware = progress == BootProgress::Firmware;
            self.netboot.saw_sign(machine, if is_firmware { Sign::FirmwareAsks } else { Sign::LoaderRuns });
        }
        let power_on = PowerOn {
            progress,
            reached: progress,
            mac: ClientKey::mac_of(query.packet),
            client_arch: client.arches.first().copied(),
            server: self.server_address(query),
        };
        // Apart, like all that few packets need: what every packet carries along must be small.
        Box::pin(self.netboot.powered_on(gathered, power_on, &asked)).await
    }

    fn server_address(&self, query: &Query<'_>) -> Option<Ipv4Addr> {
        let world = self.kernel.world();
        let link = Link::select(query, &world).ok()?;
        link.selected.next_server.or_else(|| query.source_address(&link))
    }

    /// The decision as names and URLs that the client can use.
    fn boot_data(&self, query: &Query<'_>, gathered: &Gathered, decision: &Decision) -> BootData {
        if matches!(decision.answer, Answer::NoBootData) {
            return BootData::None;
        }
        let Some(server) = self.server_address(query) else { return BootData::None };
        let facing = self.catalog.facing(server.into());
        let http = &facing.http;
        match &decision.answer {
            Answer::Loader { name } => BootData::Tftp { next_server: server, file: name.clone() },
            Answer::LoaderUrl { name, over } => facing.url(*over, name),
            Answer::BootServer { menu } => BootData::Server { next_server: server, menu: menu.clone() },
            Answer::BootFile { file, .. } if file.contains("://") => BootData::Url { url: file.clone() },
            Answer::BootFile { file, over: Transport::Tftp } => {
                BootData::Tftp { next_server: server, file: file.clone() }
            }
            Answer::BootFile { file, over } => facing.url(*over, file),
            Answer::ScriptUrl if !http.is_empty() => {
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

    /// The reply, with the address held for the client before anybody else can be offered it.
    fn decide_reply(
        &self,
        query: &Query<'_>,
        sender: &Sender,
        (gathered, boot): (&Gathered, &BootData),
        now: Timestamp,
    ) -> Outcome {
        let world = self.kernel.world();
        let mut holds = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = gathered.machine.as_deref();
        let facts = Facts { world: &world, holds: &holds, sender, machine, boot };
        let outcome = dhcp::decide::answer(query, &facts, now);
        match &outcome.change {
            Change::Hold { address, hold } if !holds.hold(*address, hold.clone(), now) => {
                let why = "too many offers are open; the client will ask again";
                return Outcome::silence(EventKind::PoolEmpty, why);
            }
            Change::Forget { network, client } => holds.release(network, client),
            _ => {}
        }
        outcome
    }

    async fn carry_out(&self, seen: &Seen<'_>) -> Result<(), Error> {
        let outcome = seen.outcome;
        tracing::debug!(event = outcome.event.as_str(), reason = outcome.reason, "dhcp");
        match &outcome.change {
            Change::Claim(lease) => {
                let deed = {
                    let world = self.kernel.world();
                    let mut deed = lease_deed(&world, lease, seen.now);
                    deed.events.extend(left_behind(&world, lease, seen.now));
                    deed
                };
                // Renewals of whom nobody knows are many, and the lease says all there is to them.
                let is_noted = outcome.event != EventKind::Renewed || seen.is_worth_noting();
                let deed = if is_noted { deed.event(seen.event()) } else { deed };
                self.kernel.commit(deed).await?;
                if let Some(machine) = &seen.gathered.machine {
                    Box::pin(self.netboot.follow_address(Some(machine), lease.address, seen.now)).await;
                }
                let mut holds = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(hold) = holds.at(lease.address, seen.now).cloned() {
                    holds.release(&hold.network, &hold.client);
                }
                Ok(())
            }
            Change::Release(lease) | Change::Decline(lease) => {
                let caller = Caller::server(seen.now);
                let deed = lease_deed(&self.kernel.world(), lease, seen.now).event(seen.event());
                let deed = without_address(deed, &caller, (&self.kernel.world(), lease));
                self.kernel.commit(deed).await.map(drop)
            }
            Change::None | Change::Hold { .. } | Change::Forget { .. } => {
                if seen.is_worth_noting() {
                    self.kernel.note(seen.event());
                }
                Ok(())
            }
        }
    }

    /// Writes a lease in place of the record of its address and of any other of its client in the network.
    pub async fn write_lease(&self, lease: &Lease, event: NewEvent, now: Timestamp) -> Result<(), Error> {
        let deed = lease_deed(&self.kernel.world(), lease, now).event(event);
        self.kernel.commit(deed).await?;
        Ok(())
    }
}

fn loader_request(query: &Query<'_>) -> LoaderRequest {
    LoaderRequest {
        mac: ClientKey::mac_of(query.packet),
        xid: query.packet.xid,
        is_discover: query.packet.message_type() == Some(MessageType::Discover),
    }
}

/// Options that the client has no room for are missed at the client; here is where it is said.
fn tell_left_out(outcome: &mut Outcome) {
    let Some(dropped) = outcome.reply.as_ref().map(|reply| &reply.dropped).filter(|codes| !codes.is_empty())
    else {
        return;
    };
    let name = |code: &u8| codes::by_code(*code).map_or_else(|| code.to_string(), |row| row.name.to_owned());
    let names: Vec<String> = dropped.iter().map(name).collect();
    outcome.reason += &format!("; left out, as the client has no room for it: {}", names.join(", "));
}

/// Of a reply or none; a RELEASE or a DECLINE that was heeded wants none.
fn answered(outcome: Outcome) -> Result<Option<Datagram>, Silence> {
    match outcome.change {
        Change::Release(_) | Change::Decline(_) => Ok(None),
        _ => {
            let durable = matches!(outcome.change, Change::Claim(_));
            let reply = outcome.reply.map(|reply| Datagram { durable, ..reply.into() });
            reply.map(Some).ok_or_else(|| outcome.event.into())
        }
    }
}

/// What is known after an answer was decided.
struct Seen<'a> {
    sender: &'a Sender,
    gathered: &'a Gathered,
    outcome: &'a Outcome,
    decision: &'a Decision,
    now: Timestamp,
}

impl Seen<'_> {
    /// The packet and its answer, for the timeline.
    fn event(&self) -> NewEvent {
        let about = about(self.gathered.machine.as_deref());
        let outcome = self.outcome;
        let subject = match (&about.machine, outcome.address) {
            (Some(machine), _) => Kind::Machine.subject(machine),
            (None, Some(address)) => Kind::Lease.subject(address),
            (None, None) => "server".to_owned(),
        };
        let lease = match &outcome.change {
            Change::Claim(lease) | Change::Release(lease) => Some(lease),
            _ => None,
        };
        let Sender { key, client, classes, .. } = self.sender;
        let key = key.as_ref();
        let mut data = json!({
            "reason": outcome.reason,
            "address": outcome.address,
            "mac": key.and_then(ClientKey::mac),
            "client": key.map(ClientKey::as_str),
            "hostname": lease.and_then(|lease| lease.hostname.as_deref()),
            "expires_at": lease.map(|lease| lease.expires_at),
            "stage": stage_name(client.stage),
            "vendor": client.vendor,
        });
        let classes: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        if !classes.is_empty() {
            data["client_classes"] = json!(classes);
        }
        if client.is_netboot() {
            let reply = outcome.reply.as_ref();
            let boot_file = reply.and_then(|reply| reply.packet.options.get(codes::BOOTFILE_NAME));
            let loader = self.decision.trace.iter().find(|rule| rule.rule == "loader");
            data["arch"] = json!(client.arches.first());
            data["boot_file"] = json!(boot_file.map(|file| capability::hide(&String::from_utf8_lossy(file))));
            data["verdict"] = json!(self.decision.verdict);
            data["loader"] = json!(loader.map(|rule| &rule.detail));
        }
        NewEvent {
            time: self.now,
            kind: outcome.event.as_str().to_owned(),
            actor: subject.clone(),
            subject,
            attempt: about.attempt,
            data,
        }
    }

    /// Whether anybody will look for it: all of a machine's packets, and what an operator has to mend.
    fn is_worth_noting(&self) -> bool {
        self.gathered.machine.is_some()
            || self.sender.client.is_netboot() && self.outcome.reply.is_some()
            || matches!(self.outcome.event, EventKind::PoolEmpty | EventKind::Refused)
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Firmware => "firmware",
        Stage::HttpFirmware => "http_firmware",
        Stage::Ipxe(_) => "ipxe",
        Stage::Other => "system",
    }
}

/// The end of the lease that a client had at another address until it took this one, for the history of that
/// address.
fn left_behind(world: &World, lease: &Lease, now: Timestamp) -> Option<NewEvent> {
    let (index, client) = lease.unique(&Default::default()).swap_remove(0);
    let left = world.leases.find(index, &client).map(|row| &row.spec)?;
    if left.address == lease.address || left.effective_state(now) != LeaseState::Bound {
        return None;
    }
    let reason = format!("its client has {} now", lease.address);
    let mut event = lease_event(&Caller::server(now), ("dhcp.released", &reason), left);
    event.data["moved_to"] = json!(lease.address);
    Some(event)
}

/// The writes that put a lease in place. Each is checked against what the decision saw: a lease that changed
/// meanwhile refuses the deed.
pub fn lease_deed(world: &World, lease: &Lease, now: Timestamp) -> Deed {
    let address = AddressKey::from(lease.address);
    let mut deed = Deed::default();
    for (index, value) in lease.unique(&Default::default()) {
        if let Some(other) = world.leases.find(index, &value)
            && *other.key != *address
        {
            deed = deed.delete(&Object::Lease(Arc::clone(other)));
        }
    }
    match world.leases.get(&address) {
        Some(present) => {
            let mut next: Stored<Lease> = present.next(now);
            next.spec = lease.clone();
            deed.update(Object::Lease(Arc::new(next)))
        }
        None => deed.create(Object::Lease(Arc::new(Stored::new(address.to_string(), lease.clone(), now)))),
    }
}
