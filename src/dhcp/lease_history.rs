//! Who had an address from when until when, read from the events with which leases begin and end.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::dhcp::Dhcp;
use crate::kernel::{Caller, Error};
use crate::model::{Event, Kind, LeaseState, Mac, Machine, Stored};
use crate::store::{EVENTS_MAX, EventQuery, LeaseOf};

/// One client with one address, for one stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LeasePeriod {
    pub address: Ipv4Addr,
    /// The client as leases name it; what is known of its MAC is in `mac`.
    pub client: Option<String>,
    pub mac: Option<Mac>,
    /// The machine's name now, or its id where it is gone or the caller may not read it.
    pub machine: Option<String>,
    pub hostname: Option<String>,
    /// None where the beginning is older than what is kept.
    pub from: Option<Timestamp>,
    /// None where it has the address still.
    pub until: Option<Timestamp>,
    /// How it ended: `released`, `expired`, `declined`, `deleted`, `moved` to another address, or `taken` by
    /// another client; `unknown` where nothing was recorded of it.
    pub ended: Option<String>,
    /// Who ended it.
    pub ended_by: Option<String>,
}

/// A page of a history, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LeaseHistory {
    pub items: Vec<LeasePeriod>,
    /// The `before` of the next page; null on the last one.
    pub next: Option<u64>,
}

impl Dhcp {
    /// Who had an address, or which addresses a MAC had: `10.0.0.5`, `mac:52:54:00:aa:00:01`. Events at and
    /// after the number `before` are left out.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for what is neither, or the database failed.
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
        let mut events = self.kernel.events(query).await?;
        let whole = events.len() < EVENTS_MAX as usize;
        let oldest = events.last().map(|event| event.seq);
        events.reverse();
        let mut items = tenures(&events);
        let next = oldest.filter(|_| !whole);
        let world = self.kernel.world();
        items.retain(|tenure| caller.may_read(&world, (Kind::Lease, &tenure.address.to_string())));
        for tenure in &mut items {
            let holds = world.leases.get(&tenure.address.to_string()).is_some_and(|row| {
                let now = self.kernel.now();
                let active = row.spec.state == LeaseState::Bound && row.spec.expires_at > now;
                active && tenure.client.as_ref().is_none_or(|client| *client == row.spec.client)
            });
            // Nothing was said, but it is over: the record was lost with a database that was put back.
            if tenure.until.is_none() && !holds {
                tenure.ended = Some("unknown".to_owned());
            }
            let name = |id: &String| caller.find(&world, id).ok().map(|machine| name_of(machine));
            tenure.machine = tenure.machine.take().map(|id| name(&id).unwrap_or(id));
        }
        items.reverse();
        Ok(LeaseHistory { items, next })
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
    let what = "a history is of an address (10.0.0.5) or of a MAC (mac:52:54:00:aa:00:01)";
    Error::BadRequest(format!("{what}, not of `{of}`"))
}

impl LeasePeriod {
    fn is_before(&self, other: &LeasePeriod) -> bool {
        self.address == other.address && (self.client == other.client || other.client.is_none())
    }
}

/// The stretches that a row of events makes, oldest first.
fn tenures(events: &[Event]) -> Vec<LeasePeriod> {
    let mut all: Vec<LeasePeriod> = Vec::new();
    for event in events {
        let Some(said) = said(event) else { continue };
        let is_known = all.iter().any(|held| held.is_before(&said));
        let open = all
            .iter_mut()
            .rev()
            .find(|held: &&mut LeasePeriod| held.address == said.address && held.until.is_none());
        match (ending(event), open) {
            (None, Some(open)) if open.client == said.client && said.until.is_none() => {
                open.hostname = said.hostname.or(open.hostname.take());
            }
            (None, open) => {
                if let Some(open) = open {
                    close(open, event, "taken");
                }
                all.push(said);
            }
            (Some(how), Some(open)) if open.client == said.client || said.client.is_none() => {
                close(open, event, how)
            }
            (Some(_), Some(_)) => {}
            // The record of a lease that was over: it was deleted, or declined by another.
            (Some(_), None) if is_known => {}
            (Some(how), None) => {
                let mut tenure = LeasePeriod { from: moment(event, "bound_at"), ..said };
                close(&mut tenure, event, how);
                all.push(tenure);
            }
        }
    }
    all
}

fn close(tenure: &mut LeasePeriod, event: &Event, how: &str) {
    let at = if how == "expired" { moment(event, "expires_at") } else { None };
    tenure.until = Some(at.unwrap_or(event.time));
    tenure.ended = Some(how.to_owned());
    tenure.ended_by = Some(event.actor.clone());
}

/// How a lease ends with this event; none where it begins.
fn ending(event: &Event) -> Option<&'static str> {
    match event.kind.as_str() {
        "dhcp.released" if event.data.get("moved_to").is_some() => Some("moved"),
        "dhcp.released" => Some("released"),
        "dhcp.expired" => Some("expired"),
        "dhcp.declined" => Some("declined"),
        "lease.deleted" => Some("deleted"),
        _ => None,
    }
}

fn said(event: &Event) -> Option<LeasePeriod> {
    let text = |name: &str| event.data.get(name).and_then(Value::as_str).map(str::to_owned);
    let machine = event.subject.strip_prefix("machine:").map(str::to_owned);
    // Another server's record of a lease that was over when it was imported.
    let over = text("state").filter(|state| event.kind == "lease.imported" && state != "bound");
    Some(LeasePeriod {
        address: text("address")?.parse().ok()?,
        mac: text("mac").and_then(|mac| mac.parse().ok()),
        client: text("client").or_else(|| text("mac").map(|mac| format!("1/{mac}"))),
        machine,
        hostname: text("hostname"),
        from: Some(moment(event, "bound_at").unwrap_or(event.time)),
        until: over.as_ref().and_then(|_| moment(event, "expires_at")),
        ended: over,
        ended_by: None,
    })
}

fn moment(event: &Event, field: &str) -> Option<Timestamp> {
    event.data.get(field)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::houses::{Houses, testing};
    use crate::model::NewEvent;
    use crate::store::Changeset;

    /// Events as `minute kind last-byte-of-the-address last-byte-of-the-mac`.
    async fn story(app: &Houses, lines: &[&str]) {
        for line in lines {
            let [minute, kind, address, mac] = line.split(' ').collect::<Vec<_>>()[..] else { panic!() };
            let event = NewEvent {
                time: format!("2026-11-20T10:{minute}:00Z").parse().unwrap(),
                kind: kind.into(),
                subject: "lease:x".into(),
                actor: "server".into(),
                attempt: None,
                data: json!({
                    "address": format!("10.0.0.{address}"),
                    "mac": format!("02:00:00:00:00:0{mac}"),
                }),
            };
            app.kernel.try_commit(Changeset::default().event(event)).await.unwrap();
        }
    }

    async fn told(app: &Houses, of: &str) -> Vec<String> {
        let page = app.dhcp.lease_history(&testing::caller(), of, None).await.unwrap();
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
        let app = testing::app();
        let lines = [
            "01 dhcp.leased 5 1",
            "02 dhcp.leased 5 1",
            "03 dhcp.renewed 5 1",
            "09 dhcp.released 5 1",
            "11 dhcp.leased 5 2",
            "12 dhcp.leased 6 1",
            "20 dhcp.leased 5 3",
            "25 dhcp.declined 5 3",
        ];
        story(&app, &lines).await;
        assert_eq!(
            told(&app, "10.0.0.5").await,
            ["10.0.0.5 03 20..25 declined", "10.0.0.5 02 11..20 taken", "10.0.0.5 01 01..09 released"]
        );
        let of_mac = told(&app, "mac:02-00-00-00-00-01").await;
        assert_eq!(of_mac, ["10.0.0.6 01 12..- unknown", "10.0.0.5 01 01..09 released"]);
    }

    #[tokio::test]
    async fn an_end_without_its_beginning_is_told_all_the_same() {
        let app = testing::app();
        story(&app, &["09 dhcp.expired 5 1", "10 lease.deleted 5 1"]).await;
        assert_eq!(told(&app, "10.0.0.5").await, ["10.0.0.5 01 -..09 expired"]);
        assert!(matches!(
            app.dhcp.lease_history(&testing::caller(), "web1", None).await,
            Err(Error::BadRequest(_))
        ));
    }
}
