//! Every rule that looks beyond its own object, with two writers at the same moment: what comes of it is what
//! comes of one of them after the other, and the one that is refused is told what the rule says.
//!
//! `races/cases.txt` is the list of those rules. A new rule of the kind gets a case there.

mod writers;

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;
use tokio::task::JoinSet;
use writers::{Case, Race};

use crate::app::leases::{filing, lease_changeset};
use crate::app::objects::{Expected, Target};
use crate::app::patch::Patch;
use crate::app::{App, testing};
use crate::model::{Lease, LeaseState, Machine, Profile, Reservation, Stage, Subnet};
use crate::store;

const ROUNDS: usize = 40;
/// Machines whose statuses change all the time.
const BUSY: usize = 8;
/// Writers of one table at the same moment: many more than a writer tries without the hold.
const CROWD: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_two_writers_do_at_once_is_what_one_after_the_other_does() {
    let mut wrong = Vec::new();
    for case in Case::all() {
        let race = Race::new(&case).await;
        for _ in 0..ROUNDS {
            wrong.extend(race.round().await.err());
        }
    }
    assert!(wrong.is_empty(), "{} rounds are wrong: {}", wrong.len(), wrong.join("\n"));
}

/// Writes the statuses of machines until it is dropped.
fn busy_fleet(app: &Arc<App>, machines: &[String]) -> JoinSet<()> {
    let mut fleet = JoinSet::new();
    for key in machines {
        let (app, key) = (Arc::clone(app), key.clone());
        fleet.spawn(async move {
            let mut now = app.now();
            loop {
                now += SignedDuration::from_secs(1);
                let seen = app.change::<Machine>(&key, now, |machine| {
                    machine.status.last_seen = Some(now);
                    Ok(Vec::new())
                });
                seen.await.unwrap();
            }
        });
    }
    fleet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_busy_fleet_keeps_nobody_from_deleting_what_machines_may_name() {
    let (app, ctx) = (testing::app(), testing::ctx());
    let mut machines = Vec::new();
    for number in 0..BUSY {
        let made = app.create::<Machine>(&ctx, json!({"name": format!("m{number}")})).await.unwrap();
        machines.push(made.key);
    }
    let fleet = busy_fleet(&app, &machines);
    for _ in 0..ROUNDS {
        app.create::<Profile>(&ctx, json!({"name": "a"})).await.unwrap();
        app.create::<Stage>(&ctx, json!({"name": "a"})).await.unwrap();
        let target = Target { reference: "a", expected: Expected::Any };
        app.delete::<Profile>(&ctx, &target).await.unwrap();
        app.delete::<Stage>(&ctx, &target).await.unwrap();
    }
    drop(fleet);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_of_one_table_all_come_through() {
    let (app, ctx) = (testing::app(), testing::ctx());
    app.create::<Subnet>(&ctx, json!({"name": "lan", "cidr": "10.0.0.0/24"})).await.unwrap();
    let mut writers = JoinSet::new();
    for number in 1..=CROWD {
        let (app, ctx) = (Arc::clone(&app), ctx.clone());
        let body =
            json!({"address": format!("10.0.0.{number}"), "mac": format!("52:54:00:00:00:{number:02x}")});
        writers.spawn(async move { app.create::<Reservation>(&ctx, body).await.map(drop) });
    }
    let done = writers.join_all().await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(app.world().reservations.len(), CROWD);
}

/// Gives 254 clients of subnet `a` new addresses, as the DHCP service does.
async fn give_addresses(app: Arc<App>, third: u8) {
    for last in 1..=254 {
        loop {
            let changeset = {
                let world = app.world();
                let network = world.subnets.get("a").unwrap().spec.network().to_owned();
                let lease = lease([10, 0, third, last], network);
                lease_changeset(&world, &lease, app.now()).with_reads([filing(&world, &lease)])
            };
            match app.store.commit(changeset).await {
                Ok(_) => break,
                Err(store::Error::Stale { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn lease(address: [u8; 4], network: String) -> Lease {
    let now = testing::ctx().now;
    Lease {
        address: address.into(),
        client: format!("1/{address:?}"),
        mac: None,
        state: LeaseState::Bound,
        subnet: "a".to_owned(),
        network,
        bound_at: now,
        expires_at: now + SignedDuration::from_hours(1),
        machine: None,
        hostname: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_that_come_while_their_subnet_moves_are_on_its_wire_in_the_end() {
    let (app, ctx) = (testing::app(), testing::ctx());
    app.create::<Subnet>(&ctx, json!({"name": "a", "cidr": "10.0.0.0/20"})).await.unwrap();
    let mut clients = JoinSet::new();
    for third in 0..8 {
        clients.spawn(give_addresses(Arc::clone(&app), third));
    }
    let target = Target { reference: "a", expected: Expected::Any };
    for wire in ["one", "two", "three", "wire"] {
        let patch = Patch::Merge(json!({"shared_network": wire}));
        app.patch::<Subnet>(&ctx, &target, &patch).await.unwrap();
    }
    clients.join_all().await;
    let world = app.world();
    assert_eq!(world.leases.len(), 8 * 254);
    assert!(world.leases.iter().all(|lease| lease.spec.network == "wire"));
}
