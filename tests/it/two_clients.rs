//! Two simultaneous clients, like two workers of one automation: a rule about other objects applies to both.
//! Every rule has its case in `src/objects/rules/races/cases.txt`; these are a few through the whole server.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::api::{Api, Reply};
use crate::world::World;

const ROUNDS: usize = 40;

/// Both requests at the same moment, each by a client of its own.
fn at_once<R: Send>(
    clients: &mut [Api; 2],
    one: impl FnOnce(&Api) -> R + Send,
    other: impl FnOnce(&Api) -> R + Send,
) -> (R, R) {
    let barrier = Barrier::new(2);
    let [first, second] = clients;
    thread::scope(|scope| {
        let one = scope.spawn(|| {
            barrier.wait();
            one(first)
        });
        barrier.wait();
        let other = other(second);
        (one.join().expect("the first client"), other)
    })
}

fn clients(world: &World) -> [Api; 2] {
    [world.api(), world.api()]
}

/// Runs a race repeatedly; `refused` is the status for the second one. Returns the refusals.
fn one_is_refused(path: &str, refused: u16, bodies: impl Fn(usize) -> (Value, Value)) -> Vec<Value> {
    let world = World::on_loopback();
    let mut clients = clients(&world);
    let mut told = Vec::new();
    for round in 0..ROUNDS {
        let (one, other) = bodies(round);
        let replies = at_once(&mut clients, |api| api.post(path, one), |api| api.post(path, other));
        let mut statuses = [replies.0.status, replies.1.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, refused], "round {round}: {} {}", replies.0.body, replies.1.body);
        let loser = [replies.0, replies.1].into_iter().find(|reply| reply.status == refused);
        told.extend(loser.map(|reply| reply.body["detail"].clone()));
    }
    told
}

fn all_say(told: &[Value], words: &str) {
    assert_eq!(told.len(), ROUNDS);
    assert!(told.iter().all(|detail| detail.as_str().is_some_and(|text| text.contains(words))), "{told:?}");
}

#[test]
fn of_two_subnets_that_overlap_one_is_made() {
    let told = one_is_refused("/subnets", 409, |round| {
        let cidr = |bits: u8| format!("10.{round}.0.0/{bits}");
        let subnet = |name: &str, bits: u8| json!({"name": format!("{name}{round}"), "cidr": cidr(bits)});
        (subnet("a", 24), subnet("b", 25))
    });
    all_say(&told, "overlaps subnet");
}

#[test]
fn of_two_reservations_for_one_client_one_is_made() {
    let lan = |round: usize| json!({"name": format!("lan{round}"), "cidr": format!("10.{round}.0.0/24")});
    let world = World::on_loopback();
    let mut clients = clients(&world);
    for round in 0..ROUNDS {
        clients[0].post("/subnets", lan(round)).expect(201);
        let body = |last: u8| json!({"address": format!("10.{round}.0.{last}"), "mac": "52:54:00:00:00:01"});
        let (one, other) = at_once(
            &mut clients,
            |api| api.post("/reservations", body(5)),
            |api| api.post("/reservations", body(6)),
        );
        let loser = if one.status == 201 { &other } else { &one };
        assert_eq!((one.status.min(other.status), loser.status), (201, 409), "{} {}", one.body, other.body);
        assert!(loser.body["detail"].to_string().contains("in this subnet already"), "{}", loser.body);
    }
}

#[test]
fn of_two_profiles_that_would_nest_in_a_circle_one_is_changed() {
    let world = World::on_loopback();
    let mut clients = clients(&world);
    for round in 0..ROUNDS {
        let [a, b] = ["a", "b"].map(|name| format!("{name}{round}"));
        for name in [&a, &b] {
            clients[0].post("/profiles", json!({"name": name})).expect(201);
        }
        let nest = |into: &str, name: &str| (format!("/profiles/{into}"), json!({"profiles": [name]}));
        let (one, other) = at_once(
            &mut clients,
            |api| {
                let (path, body) = nest(&a, &b);
                api.patch(&path, body)
            },
            |api| {
                let (path, body) = nest(&b, &a);
                api.patch(&path, body)
            },
        );
        let loser = if one.status == 200 { &other } else { &one };
        assert_eq!((one.status.min(other.status), loser.status), (200, 422), "{} {}", one.body, other.body);
        assert!(loser.body.to_string().contains("nest in a circle"), "{}", loser.body);
    }
}

#[test]
fn a_profile_goes_before_a_machine_names_it_or_stays() {
    let world = World::on_loopback();
    let mut clients = clients(&world);
    for round in 0..ROUNDS {
        let name = format!("p{round}");
        clients[0].post("/profiles", json!({"name": name})).expect(201);
        let machine = json!({"name": format!("m{round}"), "profiles": [name]});
        let (made, gone) = at_once(
            &mut clients,
            |api| api.post("/machines", machine),
            |api| api.delete(&format!("/profiles/{name}")),
        );
        assert_eq!(made.status, 201, "{}", made.body);
        match gone.status {
            204 => went_before(&clients[0], &name, &made),
            _ => assert!(
                gone.expect(409)["detail"].to_string().contains(&format!("in use by machine m{round}"))
            ),
        }
    }
}

/// The events show that the profile was deleted when the machine was created.
fn went_before(api: &Api, profile: &str, machine: &Reply) {
    let seq = |query: String| api.get(&format!("/events?{query}")).expect(200)["items"][0]["seq"].as_u64();
    let gone = seq(format!("kind=profile.deleted&subject=profile:{profile}"));
    let id = machine.body["id"].as_str().expect("an id");
    let made = seq(format!("kind=machine.created&subject=machine:{id}"));
    assert!(gone.is_some() && gone < made, "{gone:?} {made:?}");
}
