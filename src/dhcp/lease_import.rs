//! Imports the leases of another DHCP server, so that its clients keep their addresses.
//!
//! `dhcp::decide::import` reads the files; this module decides which entries are imported. A newer lease of
//! this server wins over an imported one, and no address is taken from a present client or a reservation.
//! Importing a file again changes nothing.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dhcp::Dhcp;
use crate::dhcp::decide::import::{self, LeaseEntry, LeaseFileFormat, LeaseJournal};
use crate::dhcp::lease_actions::lease_event;
use crate::dhcp::leases::{filing, lease_changeset};
use crate::kernel::{Caller, Changeset, Error, STALE_RETRIES_MAX, StoreError, TrackedWorld};
use crate::model::event::{LeaseNow, MachineAddressChanged};
use crate::model::{
    EventBody, Lease, LeaseState, Machine, Object, Problem, RefusalCode, Reservation, Stored, SubnetMode,
    World, check_host_name,
};

/// Most files of one import: Kea has three at a time.
pub const FILES_MAX: usize = 8;
/// Most lines of a report; entries that were skipped come first.
pub const LINES_MAX: usize = 20_000;
/// Most commits that run at once.
const COMMITS_MAX: usize = 64;

/// The lease files of another server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseImport {
    pub format: LeaseFileFormat,
    /// The files in the order in which they were written: for Kea the `.2` and `.1` before the file itself.
    #[schemars(length(min = 1, max = FILES_MAX))]
    pub files: Vec<ImportFile>,
    /// Only report what would be imported.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportFile {
    /// The name of the file in the report.
    pub name: String,
    pub text: String,
}

/// The result of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryResult {
    /// It cannot be parsed.
    Unread,
    Skipped,
    /// The same lease is present already.
    Present,
    Taken,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ImportLine {
    pub file: String,
    pub line: usize,
    pub address: Option<Ipv4Addr>,
    pub client: Option<String>,
    pub outcome: EntryResult,
    pub reason: String,
}

/// The result of an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct ImportReport {
    pub dry_run: bool,
    /// Entries in the files, including those that a later entry replaced.
    pub read: usize,
    pub superseded: usize,
    pub taken: usize,
    pub present: usize,
    pub skipped: usize,
    /// Entries that cannot be parsed.
    pub unread: usize,
    /// One line per address and per entry that cannot be parsed; skipped entries come first.
    pub lines: Vec<ImportLine>,
    /// Number of lines that were left out.
    pub more: usize,
}

impl Dhcp {
    /// Imports the leases in the files.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too many files, or those of the store; leases that were imported before stay.
    pub async fn import_leases(&self, caller: &Caller, import: &LeaseImport) -> Result<ImportReport, Error> {
        if import.files.is_empty() || import.files.len() > FILES_MAX {
            let what = format!("give 1 to {FILES_MAX} files");
            return Err(Problem::new("/files", what).coded(RefusalCode::OutOfRange).into());
        }
        let texts: Vec<&str> = import.files.iter().map(|file| file.text.as_str()).collect();
        let journal = import::read(import.format, &texts);
        let chosen = self.kernel.read(|world| chosen(&journal, world));
        let one = async |entry: &LeaseEntry| {
            let fate = match chosen.get(&entry.address) {
                Some(other) => {
                    Ok((EntryResult::Skipped, format!("its client also has a newer lease of {other}")))
                }
                None => self.import_one(caller, entry, import.dry_run).await,
            };
            fate.map(|(outcome, reason)| line(import, entry, (outcome, reason)))
        };
        let done = stream::iter(journal.entries().map(one)).buffered(COMMITS_MAX);
        let lines: Vec<Result<ImportLine, Error>> = done.collect().await;
        let lines = lines.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(report(import, &journal, lines))
    }

    async fn import_one(
        &self,
        caller: &Caller,
        entry: &LeaseEntry,
        dry_run: bool,
    ) -> Result<(EntryResult, String), Error> {
        for _ in 0..STALE_RETRIES_MAX {
            let planned = self.kernel.read(|world| {
                let lease = to_lease(world, entry, caller.now)?;
                Ok((!dry_run).then(|| import_changeset(caller, world, &lease)))
            });
            let changeset = match planned {
                Ok(Some(changeset)) => changeset,
                Ok(None) => return Ok((EntryResult::Taken, "it would be taken".to_owned())),
                Err(refused) => return Ok(refused),
            };
            match self.kernel.try_commit(changeset).await {
                Ok(_) => return Ok((EntryResult::Taken, "taken".to_owned())),
                Err(StoreError::Stale { .. } | StoreError::Taken { .. }) => continue,
                Err(other) => return Err(other.into()),
            }
        }
        Ok((EntryResult::Skipped, "it is being changed by many at once".to_owned()))
    }
}

fn line(import: &LeaseImport, entry: &LeaseEntry, (outcome, reason): (EntryResult, String)) -> ImportLine {
    ImportLine {
        file: import.files.get(entry.file).map(|file| file.name.clone()).unwrap_or_default(),
        line: entry.line,
        address: Some(entry.address),
        client: entry.client.clone(),
        outcome,
        reason,
    }
}

fn report(import: &LeaseImport, journal: &LeaseJournal, lines: Vec<ImportLine>) -> ImportReport {
    let mut report = ImportReport {
        dry_run: import.dry_run,
        read: journal.read,
        superseded: journal.read.saturating_sub(lines.len()),
        taken: count_results(&lines, EntryResult::Taken),
        present: count_results(&lines, EntryResult::Present),
        skipped: count_results(&lines, EntryResult::Skipped),
        unread: journal.faults.len() + journal.unread,
        ..ImportReport::default()
    };
    let faults = journal.faults.iter().map(|fault| ImportLine {
        file: import.files.get(fault.file).map(|file| file.name.clone()).unwrap_or_default(),
        line: fault.line,
        address: None,
        client: None,
        outcome: EntryResult::Unread,
        reason: fault.what.clone(),
    });
    report.lines = faults.chain(lines).collect();
    report.lines.sort_by_key(|line| line.outcome);
    report.more = report.lines.len().saturating_sub(LINES_MAX) + journal.unread;
    report.lines.truncate(LINES_MAX);
    report
}

fn count_results(lines: &[ImportLine], fate: EntryResult) -> usize {
    lines.iter().filter(|line| line.outcome == fate).count()
}

/// A client has one lease per network here, but other servers may record several. The one that is in effect
/// and was heard of last is chosen. Returns the addresses of the others, each with the chosen one.
fn chosen(journal: &LeaseJournal, world: &World) -> HashMap<Ipv4Addr, Ipv4Addr> {
    let mut best: HashMap<(&str, &str), &LeaseEntry> = HashMap::new();
    let mut passed = Vec::new();
    let rank = |entry: &LeaseEntry| (entry.state == LeaseState::Bound, entry.heard_at, entry.ends_at);
    for entry in journal.entries() {
        let (Some(client), Some(subnet)) = (&entry.client, world.subnet_of(entry.address)) else { continue };
        let key = (subnet.network(), client.as_str());
        match best.get(&key) {
            Some(other) if rank(other) >= rank(entry) => passed.push((key, entry.address)),
            other => {
                passed.extend(other.map(|other| (key, other.address)));
                best.insert(key, entry);
            }
        }
    }
    let kept = |key| best.get(&key).map(|entry: &&LeaseEntry| entry.address);
    passed.into_iter().filter_map(|(key, address)| Some((address, kept(key)?))).collect()
}

/// The lease that an entry becomes, or why it is skipped.
fn to_lease(world: &World, entry: &LeaseEntry, now: Timestamp) -> Result<Lease, (EntryResult, String)> {
    let address = entry.address;
    let Some(subnet) = world.subnet_of(address) else { return skipped("it is in no subnet".to_owned()) };
    let cidr = subnet.cidr;
    if subnet.mode == SubnetMode::Proxy {
        return skipped(format!("subnet `{}` has its addresses from another server", subnet.name));
    }
    if cidr.prefix <= 30 && (address == cidr.address || address == cidr.broadcast()) {
        return skipped("it is not an address of a host".to_owned());
    }
    let Some(client) = client_of(entry) else { return skipped("it is nobody's".to_owned()) };
    let machine = entry.mac.and_then(|mac| world.machines.find("mac", &mac.to_string()));
    if let Some(reserved) = world.reservations.get(&address.to_string())
        && !is_for(&reserved.spec, entry, machine.map(Arc::as_ref))
    {
        return skipped("it is reserved for another".to_owned());
    }
    let lease = Lease {
        address,
        client,
        mac: entry.mac,
        state: state_of(entry, now),
        subnet: subnet.name.clone(),
        network: subnet.network().to_owned(),
        bound_at: entry.heard_at.max(Timestamp::UNIX_EPOCH),
        expires_at: entry.ends_at,
        machine: machine.and_then(|machine| machine.key.parse().ok()),
        hostname: entry.hostname.clone().filter(|name| check_host_name(name, "").is_empty()),
    };
    if lease.state == LeaseState::Declined && lease.expires_at <= now {
        return skipped("it was found in use long ago".to_owned());
    }
    against_ours(world, entry, &lease, now).map_or(Ok(lease), Err)
}

fn skipped(why: String) -> Result<Lease, (EntryResult, String)> {
    Err((EntryResult::Skipped, why))
}

/// The present lease or reservation that prevents an import.
fn against_ours(
    world: &World,
    entry: &LeaseEntry,
    lease: &Lease,
    now: Timestamp,
) -> Option<(EntryResult, String)> {
    if let Some(present) = world.leases.get(&lease.address.to_string()) {
        let ours = &present.spec;
        let same = Lease { machine: ours.machine, hostname: ours.hostname.clone(), ..lease.clone() } == *ours;
        let as_marked = Lease { state: ours.state, ..lease.clone() };
        let marked = ours.state == LeaseState::Expired && as_marked.client == ours.client;
        if same || marked && as_marked.expires_at == ours.expires_at {
            return Some((EntryResult::Present, "it is here already".to_owned()));
        }
        let in_effect = ours.expires_at > now && !matches!(ours.state, LeaseState::Released);
        let in_effect = in_effect && ours.state != LeaseState::Expired;
        if in_effect && ours.client != lease.client {
            return Some((EntryResult::Skipped, format!("it is leased to {}", ours.client)));
        }
        let longer = ours.effective_state(now) == LeaseState::Bound && lease.expires_at > ours.expires_at;
        if entry.heard_at <= present.updated_at && !longer {
            return Some((
                EntryResult::Skipped,
                format!("it is older than what is here, of {}", present.updated_at),
            ));
        }
    }
    let key = format!("{} {}", lease.network, lease.client);
    let other = world.leases.find("client", &key).filter(|other| other.spec.address != lease.address)?;
    let newer = other.spec.effective_state(now) == LeaseState::Bound || other.updated_at >= entry.heard_at;
    newer.then(|| (EntryResult::Skipped, format!("its client has {} here", other.spec.address)))
}

/// A quarantine has no client.
fn client_of(entry: &LeaseEntry) -> Option<String> {
    match entry.state {
        LeaseState::Declined => Some(format!("declined/{}", entry.address)),
        _ => entry.client.clone(),
    }
}

fn state_of(entry: &LeaseEntry, now: Timestamp) -> LeaseState {
    match entry.state {
        LeaseState::Bound if entry.ends_at <= now => LeaseState::Expired,
        state => state,
    }
}

fn is_for(reservation: &Reservation, entry: &LeaseEntry, machine: Option<&Stored<Machine>>) -> bool {
    let by_mac = reservation.mac.is_some() && reservation.mac == entry.mac;
    let by_id = reservation.client_id.is_some() && reservation.client_id == entry.client_id;
    let name = machine.map(|machine| machine.spec.name.as_str());
    by_mac || by_id || name.is_some() && reservation.machine.as_deref() == name
}

fn import_changeset(caller: &Caller, world: &World, lease: &Lease) -> Changeset {
    let now = LeaseNow::new(lease, "another server's lease was imported");
    let imported = EventBody::LeaseImported(LeaseNow { state: Some(lease.state), ..now });
    let event = lease_event(caller, lease, imported);
    // The reads ensure that nobody reserves the address for another client meanwhile.
    let tracked = TrackedWorld::new(world);
    tracked.get::<Reservation>(&lease.address.to_string());
    let reads = tracked.into_reads().into_iter().chain([filing(world, lease)]);
    let changeset = lease_changeset(world, lease, caller.now).event(event).with_reads(reads);
    let id = lease.machine.filter(|_| lease.state == LeaseState::Bound);
    let machine = id.and_then(|id| world.machines.get(&id.to_string()));
    let Some(machine) = machine.filter(|machine| machine.status.address.is_none()) else { return changeset };
    if world.machines.find("address", &lease.address.to_string()).is_some() {
        return changeset;
    }
    let mut next = machine.next_status(caller.now);
    next.status.address = Some(lease.address.into());
    let changed = MachineAddressChanged { address: Some(lease.address.into()), was: None };
    let event = caller.event_about(&next, changed);
    changeset.update(Object::Machine(Arc::new(next))).event(event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::houses::{Houses, testing};
    use crate::model::Subnet;

    const MAC: &str = "02:00:00:00:00:01";

    async fn houses() -> (Arc<Houses>, Caller) {
        let (houses, caller) = (testing::houses(), testing::caller());
        let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.200"}]);
        let subnet = json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools});
        houses.objects.create::<Subnet>(&caller, subnet).await.unwrap();
        (houses, caller)
    }

    /// The test's clock is at 10:00; times are on the same day.
    fn isc(leases: &[(&str, &str, &str)]) -> LeaseImport {
        let text = leases
            .iter()
            .map(|(address, mac, rest)| format!("lease {address} {{ hardware ethernet {mac}; {rest} }}\n"));
        let text = text.collect();
        let file = ImportFile { name: "dhcpd.leases".into(), text };
        LeaseImport { format: LeaseFileFormat::Isc, files: vec![file], dry_run: false }
    }

    fn active(from: &str, until: &str) -> String {
        let day = "5 2026/11/20";
        format!("starts {day} {from}:00; ends {day} {until}:00; binding state active;")
    }

    async fn outcomes(houses: &Houses, caller: &Caller, import: &LeaseImport) -> Vec<(EntryResult, String)> {
        let report = houses.dhcp.import_leases(caller, import).await.unwrap();
        report.lines.into_iter().map(|line| (line.outcome, line.reason)).collect()
    }

    fn skipped(why: &str) -> Vec<(EntryResult, String)> {
        vec![(EntryResult::Skipped, why.to_owned())]
    }

    #[tokio::test]
    async fn a_file_is_taken_once_and_again_changes_nothing() {
        let (houses, caller) = houses().await;
        let id = houses
            .objects
            .create::<Machine>(&caller, json!({"name": "web1", "macs": [MAC]}))
            .await
            .unwrap()
            .key;
        let mut import = isc(&[("10.0.0.100", MAC, &active("09:30", "10:30"))]);
        import.dry_run = true;
        assert_eq!(outcomes(&houses, &caller, &import).await[0].0, EntryResult::Taken);
        assert_eq!(houses.kernel.read(|world| world.leases.len()), 0);
        import.dry_run = false;
        assert_eq!(outcomes(&houses, &caller, &import).await, [(EntryResult::Taken, "taken".into())]);
        let lease = houses.kernel.get::<Lease>("10.0.0.100").unwrap();
        assert_eq!(lease.spec.machine.map(|id| id.to_string()), Some(id.clone()));
        assert_eq!(
            (lease.spec.state, lease.spec.client.as_str()),
            (LeaseState::Bound, "1/02:00:00:00:00:01")
        );
        assert_eq!(
            houses.kernel.get::<Machine>(&id).unwrap().status.address,
            Some(lease.spec.address.into())
        );
        let last = houses.kernel.last_event();
        assert_eq!(
            outcomes(&houses, &caller, &import).await,
            [(EntryResult::Present, "it is here already".into())]
        );
        assert_eq!(houses.kernel.last_event(), last);
    }

    #[tokio::test]
    async fn a_later_file_extends_and_an_older_one_does_not() {
        let (houses, caller) = houses().await;
        let file = |from, until| isc(&[("10.0.0.100", MAC, &active(from, until))]);
        outcomes(&houses, &caller, &file("09:30", "10:30")).await;
        assert_eq!(outcomes(&houses, &caller, &file("09:40", "10:40")).await[0].0, EntryResult::Taken);
        let older = outcomes(&houses, &caller, &file("09:35", "10:35")).await;
        assert!(older[0].0 == EntryResult::Skipped && older[0].1.starts_with("it is older"), "{older:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_had_is_skipped_with_its_reason() {
        let (houses, caller) = houses().await;
        let reserved = json!({"address": "10.0.0.20", "mac": "02:00:00:00:00:09"});
        houses.objects.create::<Reservation>(&caller, reserved).await.unwrap();
        let now = active("09:30", "10:30");
        let alone = async |address: &str, rest: &str| {
            let import = isc(&[(address, MAC, rest)]);
            outcomes(&houses, &caller, &import).await
        };
        assert_eq!(alone("10.9.0.1", &now).await, skipped("it is in no subnet"));
        assert_eq!(alone("10.0.0.255", &now).await, skipped("it is not an address of a host"));
        assert_eq!(alone("10.0.0.20", &now).await, skipped("it is reserved for another"));
        let long_ago = active("08:00", "09:00").replace("active", "abandoned");
        assert_eq!(alone("10.0.0.100", &long_ago).await, skipped("it was found in use long ago"));
        outcomes(&houses, &caller, &isc(&[("10.0.0.100", "02:00:00:00:00:07", &now)])).await;
        assert_eq!(alone("10.0.0.100", &now).await, skipped("it is leased to 1/02:00:00:00:00:07"));
        outcomes(&houses, &caller, &isc(&[("10.0.0.101", MAC, &now)])).await;
        assert_eq!(alone("10.0.0.102", &now).await, skipped("its client has 10.0.0.101 here"));
    }

    #[tokio::test]
    async fn of_two_leases_of_one_client_the_one_in_effect_is_taken() {
        let (houses, caller) = houses().await;
        let ended = active("08:00", "09:59").replace("active", "free");
        let import = isc(&[("10.0.0.100", MAC, &active("07:00", "11:00")), ("10.0.0.101", MAC, &ended)]);
        let report = houses.dhcp.import_leases(&caller, &import).await.unwrap();
        let lines: Vec<_> =
            report.lines.iter().map(|line| (line.address.unwrap().octets()[3], line.outcome)).collect();
        assert_eq!(lines, [(101, EntryResult::Skipped), (100, EntryResult::Taken)]);
        assert_eq!((report.taken, report.skipped, report.read), (1, 1, 2));
    }

    #[tokio::test]
    async fn an_ended_lease_is_kept_for_its_client_and_a_quarantine_for_nobody() {
        let (houses, caller) = houses().await;
        let file = isc(&[
            ("10.0.0.100", MAC, &active("08:00", "09:00")),
            ("10.0.0.101", "02:00:00:00:00:02", &active("09:00", "11:00").replace("active", "abandoned")),
        ]);
        let report = houses.dhcp.import_leases(&caller, &file).await.unwrap();
        assert_eq!(report.taken, 2);
        let state = |key: &str| houses.kernel.get::<Lease>(key).unwrap().spec.state;
        assert_eq!((state("10.0.0.100"), state("10.0.0.101")), (LeaseState::Expired, LeaseState::Declined));
        assert_eq!(houses.kernel.get::<Lease>("10.0.0.101").unwrap().spec.client, "declined/10.0.0.101");
        assert_eq!(houses.dhcp.import_leases(&caller, &file).await.unwrap().present, 2);
    }
}
