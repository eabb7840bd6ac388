//! Bounds on requests: expensive requests are refused at once, or are computed while others are served.
//! Objects that are older than a bound are shown and can be repaired.

use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::api::{Api, Reply};
use crate::scene::MAC;
use crate::wire::BootSide;
use crate::world::World;

/// Nothing may wait longer. This does not measure the server's speed: without the bounds most of these
/// requests take minutes or never end.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

/// A request: its description, how it is sent, and the answer.
struct Hostile {
    what: &'static str,
    method: Method,
    path: &'static str,
    body: Value,
    status: u16,
    /// The text of the refusal.
    says: &'static str,
}

fn post(what: &'static str, path: &'static str, body: Value) -> Hostile {
    Hostile { what, method: Method::POST, path, body, status: 422, says: "" }
}

fn patch(what: &'static str, body: Value) -> Hostile {
    Hostile { what, method: Method::PATCH, path: "/machines/name:large", body, status: 422, says: "" }
}

impl Hostile {
    fn says(self, says: &'static str) -> Hostile {
        Hostile { says, ..self }
    }

    /// It is at the bound and not beyond.
    fn admitted(self, status: u16) -> Hostile {
        Hostile { status, ..self }
    }

    fn send(&self, api: &Api) -> Reply {
        let kind = match self.method {
            Method::PATCH => JSON_PATCH,
            _ => ("content-type", "application/json"),
        };
        api.send_with(self.method.clone(), self.path, Some(self.body.clone()), &[kind])
    }
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, _| json!({"a": inner}))
}

/// Definitions, each of which is `allOf` the next one twice.
fn doubling(depth: usize) -> Value {
    let mut defs = Map::new();
    for n in 0..depth {
        let next = format!("#/$defs/d{}", n + 1);
        defs.insert(format!("d{n}"), json!({"allOf": [{"$ref": next}, {"$ref": next}]}));
    }
    defs.insert(format!("d{depth}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/d0", "$defs": defs})
}

fn copies(from: &str, count: usize) -> Value {
    (0..count).map(|n| json!({"op": "copy", "from": from, "path": format!("/params/c{n}")})).collect()
}

fn labels(count: usize) -> Value {
    Value::Object((0..count).map(|n| (format!("l{n}"), json!("x"))).collect())
}

fn schemas() -> Vec<Hostile> {
    let param = |what: &'static str, schema: Value, default: Value| {
        let name = what.replace(' ', "-");
        post(what, "/params", json!({"name": name, "schema": schema, "default": default}))
    };
    let unlike: Vec<Value> = (0..2000).map(|n| json!({"a": n})).collect();
    vec![
        param("64 definitions that double", doubling(64), json!("x")).says("deeper than"),
        param("20 definitions that double", doubling(20), json!("x")).says("8192 keywords"),
        param("recursion over a deep value", json!({"properties": {"a": {"$ref": "#"}}}), nested(60))
            .says("leads back to itself"),
        param("a pattern that backtracks", json!({"pattern": "^(a+)+$"}), json!("a".repeat(100_000) + "!"))
            .says("does not match"),
        param("a pattern with look-around", json!({"pattern": "^(?=(a+)+$)"}), json!("aaa!")).says("/schema"),
        param(
            "a pattern with a large program",
            json!({"pattern": "(((a{100}){100}){100}){100}"}),
            json!("a"),
        )
        .says("/schema"),
        param(
            "a pattern on much text",
            json!({"items": {"pattern": "^(a|b|ab)*$"}}),
            json!(vec!["ab".repeat(10_000); 10]),
        )
        .admitted(201),
        param(
            "a large list of unique items",
            json!({"uniqueItems": true, "contains": {"const": 1}}),
            json!(unlike),
        )
        .says("/default"),
        param(
            "dependent schemas on many items",
            json!({"items": {"dependentSchemas": {"a": {"enum": (0..4000).collect::<Vec<u32>>()}}}}),
            json!(unlike),
        )
        .says("not validated"),
        param("an enum of megabytes", json!({"enum": vec!["x".repeat(100); 30_000]}), json!("x"))
            .says("bytes"),
    ]
}

fn objects() -> Vec<Hostile> {
    let machine = |what, body: Value| post(what, "/machines", body);
    vec![
        machine("200,000 labels", json!({"name": "m", "labels": labels(200_000)})).says("at most 64"),
        machine("keys of labels with NUL", json!({"name": "m", "labels": {"a\0": "x"}}))
            .says("cannot be the key"),
        machine("2.8 MB", json!({"name": "m", "serial": "x".repeat(2_800_000)})).says("at most 262144"),
        machine("params 124 deep", json!({"name": "m", "params": {"a": nested(124)}})).says("deeper than 64"),
        machine("numbers that come back as floats", json!({"name": "m", "params": {"n": 1e20}}))
            .says("64 bits"),
        machine("30,000 profiles", json!({"name": "m", "profiles": vec!["a"; 30_000]})).says("at most 1024"),
        machine("20,000 undeclared params", json!({"name": "m", "params": labels(20_000)}))
            .says("at most 1024"),
        machine("a long unknown field", json!({"name": "m", "x".repeat(1000): 1})).says("unknown field"),
        patch("1,000 copies of a large value", copies("/params/text", 1000)).says("make more than"),
        patch("1,000 copies of a small value", copies("/params/small", 1000)).admitted(200),
        patch(
            "copies that double",
            (0..60)
                .map(|n| {
                    json!({"op": "copy", "from": "/params",
            "path": format!("/params/d{n}")})
                })
                .collect(),
        )
        .says("/"),
        patch(
            "a copy into the depth",
            json!([{"op": "copy", "from": "/params/deep",
            "path": format!("/params/deep{}/a", "/a".repeat(49))}]),
        )
        .says("deeper than 64"),
    ]
}

#[test]
fn hostile_requests_are_answered_and_nobody_waits_for_them() {
    let world = World::on_loopback();
    let api = world.api();
    api.post("/machines", json!({"name": "web1", "macs": [MAC]})).expect(201);
    let params = json!({"text": "x".repeat(200_000), "small": "twelve bytes", "deep": nested(50)});
    api.post("/machines", json!({"name": "large", "params": params})).expect(201);
    let boot = BootSide::of(world.ready());
    let attacker = world.api();
    thread::scope(|threads| {
        let attack = threads.spawn(move || {
            for hostile in schemas().into_iter().chain(objects()) {
                let since = Instant::now();
                let reply = hostile.send(&attacker);
                let Hostile { what, status, says, .. } = hostile;
                assert!(since.elapsed() < ANSWER_WITHIN, "{what}: {:?}", since.elapsed());
                let text: String = reply.body.to_string().chars().take(2000).collect();
                assert_eq!(reply.status, status, "{what}: {text}");
                assert!(text.contains(says), "{what}: {text}");
            }
        });
        while !attack.is_finished() {
            let since = Instant::now();
            api.get("/machines/name:web1").expect(200);
            api.get("/machines?limit=1000").expect(200);
            let (status, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
            assert_eq!(status, 200, "{script}");
            assert!(since.elapsed() < ANSWER_WITHIN, "others waited {:?}", since.elapsed());
        }
    });
}

/// The database of a stopped server.
fn database(world: &World) -> Connection {
    Connection::open(world.data().join("metalwright.db")).expect("the database")
}

/// Changes a stored document to one that an older server could have written.
fn rewrite(database: &Connection, table: &str, change: impl Fn(&mut Value)) {
    let ours = "document LIKE '%\"old\"%'";
    let read = format!("SELECT document FROM {table} WHERE {ours}");
    let text: String = database.query_row(&read, [], |row| row.get(0)).expect("a document");
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut document);
    let write = format!("UPDATE {table} SET document = ?1 WHERE {ours}");
    assert_eq!(database.execute(&write, [document.to_string()]).expect("an update"), 1);
}

#[test]
fn what_was_stored_before_there_were_bounds_is_shown_with_them_and_can_be_mended() {
    let mut world = World::on_loopback();
    let api = world.api();
    api.post("/params", json!({"name": "old"})).expect(201);
    let body = json!({"name": "old", "params": {"old": "x", "deep": 1}, "labels": {"rack": "1"}});
    api.post("/machines", body).expect(201);
    assert!(world.stop().success());
    let stored = database(&world);
    rewrite(&stored, "param", |param| param["spec"]["schema"] = doubling(64));
    rewrite(&stored, "machine", |machine| {
        machine["spec"]["params"]["deep"] = nested(245);
        machine["labels"] = labels(100);
    });
    drop(stored);
    world.start();

    let api = world.api();
    let problems = |path: &str| api.get(path).expect(200)["problems"].to_string();
    let param = problems("/params/old");
    assert!(param.contains("deeper than 32") && param.contains("/schema"), "{param}");
    let machine = problems("/machines/name:old");
    for bound in ["at most 64 are admitted", "deeper than 64", "not usable"] {
        assert!(machine.contains(bound), "{bound}: {machine}");
    }
    // It stays in use, but values that cannot be checked are refused.
    api.patch("/machines/name:old", json!({"serial": "S1"})).expect(200);
    api.patch("/machines/name:old", json!({"params": {"old": "y"}})).expect(422);
    api.patch("/params/old", json!({"description": "old"})).expect(200);
    // A patch repairs it.
    let away: Map<String, Value> = (0..99).map(|n| (format!("l{n}"), Value::Null)).collect();
    api.patch("/machines/name:old", json!({"labels": away, "params": {"deep": null}})).expect(200);
    let schema = json!([{"op": "replace", "path": "/schema", "value": {"type": "string"}}]);
    api.send_with(Method::PATCH, "/params/old", Some(schema), &[JSON_PATCH]).expect(200);
    assert_eq!((problems("/params/old"), problems("/machines/name:old")), ("[]".into(), "[]".into()));
    api.patch("/machines/name:old", json!({"params": {"old": "y"}})).expect(200);
    api.delete("/machines/name:old").expect(204);
    api.delete("/params/old").expect(204);
    api.post("/machines", json!({"name": "old"})).expect(201);
}

#[test]
fn a_page_of_events_does_not_end_where_a_damaged_one_is() {
    let mut world = World::on_loopback();
    let api = world.api();
    for n in 0..6 {
        api.post("/machines", json!({"name": format!("web{n}")})).expect(201);
    }
    assert!(world.stop().success());
    let stored = database(&world);
    let damage = "UPDATE event SET data = '{' WHERE seq IN \
                  (SELECT seq FROM event WHERE kind = 'machine.created' ORDER BY seq LIMIT 3)";
    assert_eq!(stored.execute(damage, []).expect("an update"), 3);
    drop(stored);
    world.start();
    let api = world.api();
    let (mut after, mut seen) = (json!(0), 0);
    while !after.is_null() {
        let page = api.get(&format!("/events?kind=machine.created&limit=2&after={after}")).expect(200);
        seen += page["items"].as_array().expect("items").len();
        after = page["next"].clone();
    }
    assert_eq!(seen, 6);
}
