//! Tests every rule that reads other objects with two simultaneous writers: the result must be that of one
//! writer after the other, and the refused writer must get the rule's message.
//!
//! `races/cases.txt` lists those rules. A new rule that reads other objects gets a case there.

mod writers;

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;
use tokio::task::JoinSet;
use writers::{RaceCase, RuleRace};

use crate::houses::{Houses, testing};
use crate::model::{Machine, Profile, Reservation, Stage, Subnet};
use crate::objects::write::{ExpectedRevision, WriteTarget};

const ROUNDS: usize = 40;
/// Number of machines whose statuses change all the time.
const BUSY: usize = 8;
/// Number of simultaneous writers of one table: many more than a writer's tries without the hold.
const CROWD: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_two_writers_do_at_once_is_what_one_after_the_other_does() {
    let mut wrong = Vec::new();
    for case in RaceCase::all() {
        let race = RuleRace::new(&case).await;
        for _ in 0..ROUNDS {
            wrong.extend(race.round().await.err());
        }
    }
    assert!(wrong.is_empty(), "{} rounds are wrong: {}", wrong.len(), wrong.join("\n"));
}

/// Writes the statuses of machines until the result is dropped.
fn busy_fleet(houses: &Arc<Houses>, machines: &[String]) -> JoinSet<()> {
    let mut fleet = JoinSet::new();
    for key in machines {
        let (houses, key) = (Arc::clone(houses), key.clone());
        fleet.spawn(async move {
            let mut now = houses.kernel.now();
            loop {
                now += SignedDuration::from_secs(1);
                let seen = houses.kernel.change::<Machine>(&key, now, |machine| {
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
    let (houses, caller) = (testing::houses(), testing::caller());
    let mut machines = Vec::new();
    for number in 0..BUSY {
        let made =
            houses.objects.create::<Machine>(&caller, json!({"name": format!("m{number}")})).await.unwrap();
        machines.push(made.key);
    }
    let fleet = busy_fleet(&houses, &machines);
    for _ in 0..ROUNDS {
        houses.objects.create::<Profile>(&caller, json!({"name": "a"})).await.unwrap();
        houses.objects.create::<Stage>(&caller, json!({"name": "a"})).await.unwrap();
        let target = WriteTarget { reference: "a", expected: ExpectedRevision::Any };
        houses.objects.delete::<Profile>(&caller, &target).await.unwrap();
        houses.objects.delete::<Stage>(&caller, &target).await.unwrap();
    }
    drop(fleet);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_of_one_table_all_come_through() {
    let (houses, caller) = (testing::houses(), testing::caller());
    houses.objects.create::<Subnet>(&caller, json!({"name": "lan", "cidr": "10.0.0.0/24"})).await.unwrap();
    let mut writers = JoinSet::new();
    for number in 1..=CROWD {
        let (houses, caller) = (Arc::clone(&houses), caller.clone());
        let body =
            json!({"address": format!("10.0.0.{number}"), "mac": format!("52:54:00:00:00:{number:02x}")});
        writers.spawn(async move { houses.objects.create::<Reservation>(&caller, body).await.map(drop) });
    }
    let done = writers.join_all().await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(houses.kernel.read(|world| world.reservations.len()), CROWD);
}
