//! The history of an address: who had it from when until when, read from the events of leases.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dhcp::Dhcp;
use crate::kernel::{Caller, EVENTS_MAX, Error, EventQuery, LeaseOf};
use crate::model::event::{DhcpRelease, LeaseNow, PacketAnswer};
use crate::model::{Event, EventBody, Kind, LeaseState, Mac, Machine, Stored};

/// One period in which one client had one address.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LeasePeriod {
    pub address: Ipv4Addr,
    /// The client as leases name it; `mac` has its MAC if known.
    pub client: Option<String>,
    pub mac: Option<Mac>,
    /// The machine's present name, or its id if it was deleted or the caller may not read it.
    pub machine: Option<String>,
    pub hostname: Option<String>,
    /// `None` if the beginning is older than the kept events.
    pub from: Option<Timestamp>,
    /// `None` if the client still has the address.
    pub until: Option<Timestamp>,
    /// How the period ended: `released`, `expired`, `declined`, `deleted`, `moved` to another address, or
    /// `taken` by another client; `unknown` if no event tells.
    pub ended: Option<String>,
    /// Who or what ended it.
    pub ended_by: Option<String>,
}

/// A page of a history, the latest period first.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LeaseHistory {
    pub items: Vec<LeasePeriod>,
    /// The `before` of the next page; null on the last page.
    pub next: Option<u64>,
}

impl Dhcp {
    /// Who had an address, or which addresses a MAC had: `10.0.0.5`, `mac:52:54:00:aa:00:01`. Only events
    /// before the number `before` are read.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if `of` is neither, or the database failed.
    pub async fn lease_history(
        &self,
        caller: &Caller,
        of: &str,
        before: Option<u64>,
    ) -> Result<LeaseHistory, Error> {
        let lease = read_of(of)?;
        let query = EventQuery {
            lease: Some(lease),
            before,
            limit: EVENTS_MAX,
            newest_first: true,
            ..EventQuery::default()
        };
        let read = self.kernel.read_events(query).await?;
        let (mut events, whole) = (read.events, !read.is_cut);
        let oldest = events.last().map(|event| event.seq);
        events.reverse();
        let mut items = tenures(&events);
        let next = oldest.filter(|_| !whole);
        self.kernel.read(|world| {
            items.retain(|tenure| caller.may_read(world, (Kind::Lease, &tenure.address.to_string())));
            for tenure in &mut items {
                let holds = world.leases.get(&tenure.address.to_string()).is_some_and(|row| {
                    let now = self.kernel.now();
                    let active = row.spec.state == LeaseState::Bound && row.spec.expires_at > now;
                    active && tenure.client.as_ref().is_none_or(|client| *client == row.spec.client)
                });
                // No event says that the lease ended: the record was lost when the database was restored.
                if tenure.until.is_none() && !holds {
                    tenure.ended = Some("unknown".to_owned());
                }
                let name = |id: &String| caller.find(world, id).ok().map(|machine| name_of(machine));
                tenure.machine = tenure.machine.take().map(|id| name(&id).unwrap_or(id));
            }
            items.reverse();
            Ok(LeaseHistory { items, next })
        })
    }
}

fn name_of(machine: &Stored<Machine>) -> String {
    machine.spec.name.clone()
}

fn read_of(of: &str) -> Result<LeaseOf, Error> {
    match of.strip_prefix("mac:") {
        Some(mac) => mac.parse().map(LeaseOf::Mac).map_err(|_| history_error(of)),
        None => of.parse().map(LeaseOf::Address).map_err(|_| history_error(of)),
    }
}

fn history_error(of: &str) -> Error {
    let what = "name an address (10.0.0.5) or a MAC (mac:52:54:00:aa:00:01)";
    Error::BadRequest(format!("{what}, not of `{of}`"))
}

impl LeasePeriod {
    fn is_before(&self, other: &LeasePeriod) -> bool {
        self.address == other.address && (self.client == other.client || other.client.is_none())
    }
}

/// The periods that a list of events makes, oldest first.
fn tenures(events: &[Event]) -> Vec<LeasePeriod> {
    let mut all: Vec<LeasePeriod> = Vec::new();
    for event in events {
        let Some(period) = lease_period(event) else { continue };
        let is_known = all.iter().any(|held| held.is_before(&period));
        let open = all
            .iter_mut()
            .rev()
            .find(|held: &&mut LeasePeriod| held.address == period.address && held.until.is_none());
        match (ending(event), open) {
            (None, Some(open)) if open.client == period.client && period.until.is_none() => {
                open.hostname = period.hostname.or(open.hostname.take());
            }
            (None, open) => {
                if let Some(open) = open {
                    close(open, event, "taken");
                }
                all.push(period);
            }
            (Some(how), Some(open)) if open.client == period.client || period.client.is_none() => {
                close(open, event, how)
            }
            (Some(_), Some(_)) => {}
            // The record of a lease that had ended was deleted, or another client declined the address.
            (Some(_), None) if is_known => {}
            (Some(how), None) => {
                let mut tenure = LeasePeriod { from: recorded(event).map(|lease| lease.bound_at), ..period };
                close(&mut tenure, event, how);
                all.push(tenure);
            }
        }
    }
    all
}

fn close(tenure: &mut LeasePeriod, event: &Event, how: &str) {
    let at = match &event.body {
        EventBody::DhcpExpired(lease) => lease.expires_at,
        _ => event.time,
    };
    tenure.until = Some(at);
    tenure.ended = Some(how.to_owned());
    tenure.ended_by = Some(event.actor.clone());
}

/// How a lease ends with this event; `None` if it begins.
fn ending(event: &Event) -> Option<&'static str> {
    match &event.body {
        EventBody::DhcpReleased(DhcpRelease::Lease(lease)) if lease.moved_to.is_some() => Some("moved"),
        EventBody::DhcpReleased(_) => Some("released"),
        EventBody::DhcpExpired(_) => Some("expired"),
        EventBody::DhcpDeclined(_) => Some("declined"),
        EventBody::LeaseDeleted(_) => Some("deleted"),
        _ => None,
    }
}

/// The period that an event tells of, if no other event ends it.
fn lease_period(event: &Event) -> Option<LeasePeriod> {
    let tenure = match (recorded(event), &event.body) {
        (Some(lease), _) => of_lease(lease),
        (
            None,
            EventBody::DhcpLeased(packet)
            | EventBody::DhcpDeclined(packet)
            | EventBody::DhcpReleased(DhcpRelease::Packet(packet)),
        ) => of_packet(packet, event.time)?,
        (None, _) => return None,
    };
    Some(LeasePeriod { machine: event.subject.strip_prefix("machine:").map(str::to_owned), ..tenure })
}

fn of_packet(packet: &PacketAnswer, time: Timestamp) -> Option<LeasePeriod> {
    Some(LeasePeriod {
        address: packet.address?,
        mac: packet.mac,
        client: packet.client.clone().or_else(|| packet.mac.map(|mac| format!("1/{mac}"))),
        machine: None,
        hostname: packet.hostname.clone(),
        from: Some(time),
        until: None,
        ended: None,
        ended_by: None,
    })
}

fn of_lease(lease: &LeaseNow) -> LeasePeriod {
    // The record of another server's lease that had ended when it was imported.
    let over = lease.state.filter(|state| *state != LeaseState::Bound);
    LeasePeriod {
        address: lease.address,
        mac: lease.mac,
        client: Some(lease.client.clone()),
        machine: None,
        hostname: lease.hostname.clone(),
        from: Some(lease.bound_at),
        until: over.map(|_| lease.expires_at),
        ended: over.map(|state| state.as_str().to_owned()),
        ended_by: None,
    }
}

/// The lease that an event contains.
fn recorded(event: &Event) -> Option<&LeaseNow> {
    match &event.body {
        EventBody::DhcpReleased(DhcpRelease::Lease(lease))
        | EventBody::DhcpExpired(lease)
        | EventBody::LeaseImported(lease)
        | EventBody::LeaseDeleted(lease) => Some(lease),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::houses::{Houses, testing};
    use crate::kernel::Changeset;
    use crate::model::{Lease, NewEvent};

    /// Events as `minute kind last-byte-of-the-address last-byte-of-the-mac`.
    async fn story(houses: &Houses, lines: &[&str]) {
        for line in lines {
            let [minute, kind, address, mac] = line.split(' ').collect::<Vec<_>>()[..] else { panic!() };
            let time: Timestamp = format!("2026-11-20T10:{minute}:00Z").parse().unwrap();
            let address = Ipv4Addr::new(10, 0, 0, address.parse().unwrap());
            let mac: Mac = format!("02:00:00:00:00:0{mac}").parse().unwrap();
            let packet = PacketAnswer { address: Some(address), mac: Some(mac), ..PacketAnswer::default() };
            let lease = lease(address, mac, time);
            let body = match kind {
                "leased" => EventBody::DhcpLeased(packet),
                "renewed" => EventBody::DhcpRenewed(packet),
                "released" => EventBody::DhcpReleased(DhcpRelease::Packet(packet)),
                "declined" => EventBody::DhcpDeclined(packet),
                "expired" => EventBody::DhcpExpired(lease),
                "deleted" => EventBody::LeaseDeleted(lease),
                other => panic!("{other}"),
            };
            let event = NewEvent::new(time, body).about(Kind::Lease.subject(address));
            houses.kernel.try_commit(Changeset::default().event(event)).await.unwrap();
        }
    }

    /// A lease of five minutes that ends at `ends_at`.
    fn lease(address: Ipv4Addr, mac: Mac, ends_at: Timestamp) -> LeaseNow {
        let lease = Lease {
            address,
            client: format!("1/{mac}"),
            mac: Some(mac),
            state: LeaseState::Expired,
            subnet: "lan".to_owned(),
            network: "lan".to_owned(),
            bound_at: ends_at - SignedDuration::from_mins(5),
            expires_at: ends_at,
            machine: None,
            hostname: None,
        };
        LeaseNow::new(&lease, "")
    }

    async fn told(houses: &Houses, of: &str) -> Vec<String> {
        let page = houses.dhcp.lease_history(&testing::caller(), of, None).await.unwrap();
        let minute =
            |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.to_string()[14..16].to_owned());
        let line = |t: &LeasePeriod| {
            let (mac, ended) = (t.mac.unwrap().0[5], t.ended.clone().unwrap_or_default());
            format!("{} 0{mac} {}..{} {ended}", t.address, minute(t.from), minute(t.until))
        };
        page.items.iter().map(line).collect()
    }

    #[tokio::test]
    async fn an_address_has_one_holder_after_the_other() {
        let houses = testing::houses();
        let lines = [
            "01 leased 5 1",
            "02 leased 5 1",
            "03 renewed 5 1",
            "09 released 5 1",
            "11 leased 5 2",
            "12 leased 6 1",
            "20 leased 5 3",
            "25 declined 5 3",
        ];
        story(&houses, &lines).await;
        assert_eq!(
            told(&houses, "10.0.0.5").await,
            ["10.0.0.5 03 20..25 declined", "10.0.0.5 02 11..20 taken", "10.0.0.5 01 01..09 released"]
        );
        let of_mac = told(&houses, "mac:02-00-00-00-00-01").await;
        assert_eq!(of_mac, ["10.0.0.6 01 12..- unknown", "10.0.0.5 01 01..09 released"]);
    }

    #[tokio::test]
    async fn an_end_without_its_beginning_is_told_all_the_same() {
        let houses = testing::houses();
        story(&houses, &["09 released 5 1", "10 deleted 5 1", "19 expired 6 1"]).await;
        assert_eq!(told(&houses, "10.0.0.5").await, ["10.0.0.5 01 -..09 released"]);
        assert_eq!(told(&houses, "10.0.0.6").await, ["10.0.0.6 01 14..19 expired"]);
        assert!(matches!(
            houses.dhcp.lease_history(&testing::caller(), "web1", None).await,
            Err(Error::BadRequest(_))
        ));
    }
}
