//! What a client may not make others wait for: every operation of the API is asked for as much as it
//! admits, on many objects, while others go on. New operations are in it by themselves; one that takes a
//! body needs a line in [`body_of`].
//!
//! `METALWRIGHT_COSTS_OBJECTS` is how many objects there are; `METALWRIGHT_COSTS_TABLE` prints what was
//! measured. The bounds are no figures of speed. What ran with the world held, or did not end, took tens of
//! seconds with these requests, or went on for ever.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Map;

use super::*;
use crate::api::body;
use crate::api::operation::Operation;
use crate::api::resources::{ROOT, operations};
use crate::artifacts::opened::Protocol;
use crate::catalog::content::PackFile;
use crate::kernel::Changeset;
use crate::model::{
    CHANNEL_PACKS_MAX, Kind, Lease, Machine, Noun, NounVerb, Object, Param, Profile, Reservation, Stage,
    Stored, Task, Template, Workflow,
};
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::files::Fetch;
use crate::pack_files::write_archive;
use crate::runs::flow::STEPS_MAX;

/// Longest time of the processor with the world held.
const HELD_MAX: Duration = Duration::from_secs(1);
/// Longest time that anybody waits for an answer: a lane gives up after 30 s, and the host may be busy.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Objects in a test run by hand or in `make test`.
const OBJECTS: usize = 200;
/// Bytes of text that the large objects are filled with; objects may have 256 KiB.
const FILL_BYTES: usize = 128 << 10;

/// So many of what makes a request large, and an eighth in `make test`, which is to take seconds.
fn many(count: usize) -> usize {
    let is_whole = std::env::var_os("METALWRIGHT_COSTS_OBJECTS").is_some();
    if is_whole { count } else { count / 8 }
}

/// How operations begin whose largest request succeeds.
const MUST_SUCCEED: [&str; 6] =
    ["create_", "replace_", "patch_", "start_machine", "restart_machine", "retry_machine"];

/// The machine that others ask about meanwhile.
const PROBE: &str = "52:54:00:aa:00:01";

const DISCOVER: &str = "chaddr 52:54:00:aa:00:01\nmessage_type discover";

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn names(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{of}-{n}")).collect()
}

fn labels() -> Map<String, Value> {
    (0..64).map(|n| (format!("label-{n}"), json!(text(256)))).collect()
}

fn values(count: usize) -> Map<String, Value> {
    (0..count).map(|n| (format!("{}-{n}", text(60)), json!(text(many(FILL_BYTES) / count)))).collect()
}

/// The largest object of a kind, of this name.
fn largest(kind: Kind, name: &str) -> Value {
    let numbers = if name == "big" { 9 } else { 10 };
    let loops = "{% for a in [1, 2, 3] %}{{ machine.name }}{% endfor %}\n";
    let own = match kind {
        Kind::Machine => {
            json!({"params": values(1000), "profiles": names("profile", 1023), "workflow": "big"})
        }
        Kind::Profile => json!({"params": values(1000), "profiles": names("profile", 1024)}),
        Kind::Stage => json!({"params": values(1000), "tasks": names("task", 1024),
            "profiles": names("profile", 1024), "required_params": names("param", 1024)}),
        Kind::Workflow => json!({"stages": vec!["big"; 1024]}),
        Kind::Task => json!({"templates": [{"name": "run", "inline": loops.repeat(many(10_000))}],
            "required_params": names("param", 1024), "prerequisites": names("task", 1024)}),
        Kind::Template => json!({"body": loops.repeat(many(15_000))}),
        Kind::Bootenv => json!({"kind": "live", "boot_params": loops.repeat(many(2000)),
            "arches": {"amd64": {"artifact": "big", "kernel": "linux"}},
            "required_params": names("param", 1024)}),
        Kind::Param => {
            json!({"schema": {"enum": names(&text(8), many(4000))}, "default": format!("{}-1", text(8))})
        }
        Kind::Subnet => json!({"cidr": format!("10.{numbers}.0.0/16"), "pools": (0..250)
            .map(|n| json!({"start": format!("10.{numbers}.{n}.1"), "end": format!("10.{numbers}.{n}.250")}))
            .collect::<Vec<_>>()}),
        Kind::Reservation => {
            json!({"address": format!("10.0.0.{numbers}"), "mac": format!("52:54:00:bb:00:{numbers:02}"),
            "options": {"host_name": "{{ machine.name }}"}})
        }
        Kind::ClientClass => json!({"match": {"subnets": names("subnet", 64)}}),
        Kind::Artifact => json!({"description": text(FILL_BYTES),
            "fetch": {"url": "http://mirror.example.org/image.iso", "unverified": true}}),
        Kind::Setting => json!({"value": "local"}),
        Kind::Token => json!({"scopes": vec!["machines:read"; 1024]}),
        Kind::Channel => {
            let packs = names("pack", CHANNEL_PACKS_MAX - 1).into_iter().map(|name| (name, json!("1.0.0")));
            let core = ("core".to_owned(), json!(env!("CARGO_PKG_VERSION")));
            json!({"packs": packs.chain([core]).collect::<Map<_, _>>()})
        }
        Kind::Override => json!({"target": {"kind": "template", "name": format!("pack-{name}")},
            "blocks": {"all": loops.repeat(many(15_000))}}),
        Kind::View => json!({"kind": "machines", "columns": vec!["status.state"; 32],
            "query": vec!["name=web*"; 32].join("&")}),
        Kind::Job | Kind::Lease | Kind::Run | Kind::Content | Kind::Pack | Kind::Session => json!({}),
    };
    let mut object = json!({"labels": labels()});
    if kind != Kind::Reservation {
        object["name"] = json!(name);
    }
    if let (Value::Object(object), Value::Object(own)) = (&mut object, own) {
        object.extend(own);
    }
    object
}

/// Tasks of the stage `filled`. The check of a start renders the scripts, and ends in time.
const FILLED_TASKS: usize = 120;

/// The workflow `filled`, whose run has as many steps as it may. A quarter of its tasks has a long script,
/// and requires as many params as it may, which the stage's profile sets.
fn largest_run() -> Changeset {
    let params: Map<String, Value> =
        names("param", 1024).into_iter().map(|name| (name, json!("x"))).collect();
    let tasks = names("filled", FILLED_TASKS);
    let stages = vec!["filled"; STEPS_MAX / (FILLED_TASKS + 1)];
    let profile = json!({"name": "filled", "params": params});
    let stage = json!({"name": "filled", "profiles": ["filled"], "tasks": tasks});
    let workflow = json!({"name": "filled", "stages": stages});
    let changeset = Changeset::default()
        .create(stored::<Profile>("filled".to_owned(), profile))
        .create(stored::<Stage>("filled".to_owned(), stage))
        .create(stored::<Workflow>("filled".to_owned(), workflow));
    tasks.into_iter().enumerate().fold(changeset, |changeset, (n, name)| {
        let script = json!([{"name": "run", "inline": "true\n".repeat(many(FILL_BYTES) / 5)}]);
        let task = match n % 4 {
            0 => json!({"name": name, "templates": script, "required_params": names("param", 1024)}),
            _ => json!({"name": name}),
        };
        changeset.create(stored::<Task>(name.clone(), task))
    })
}

/// As many operations as a JSON Patch may have.
fn patch() -> Value {
    (0..1024)
        .map(|n| json!({"op": "replace", "path": format!("/labels/label-{}", n % 64), "value": text(256)}))
        .collect()
}

/// The largest body of an operation that is more than a noun's.
fn body_of(id: &str) -> Value {
    let line = |n: usize| {
        format!(
            "10.0.{}.{},52:54:00:cc:{:02x}:{:02x},,3600,1900000000,1,0,0,host,0,\n",
            2 + n / 250,
            n % 250,
            n / 250,
            n % 250
        )
    };
    match id {
        "import_leases" => {
            let head = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,\
                        state,user_context\n";
            let text = head.to_owned() + &(0..many(20_000)).map(line).collect::<String>();
            json!({"format": "kea", "files": [{"name": "leases.csv", "text": text}], "dry_run": true})
        }
        "begin_session" => json!({"token": text(256)}),
        "bulk" => json!({"kind": "machine", "verb": "patch", "filter": ["name=*"], "concurrency": 16,
            "details": {"labels": labels()}}),
        "prune_artifacts" | "migrate_params" => json!({"dry_run": true}),
        "adopt_copy" => json!({"kind": "template", "name": "big", "of": "pack-big"}),
        "start_machine" => json!({"workflow": "filled", "reason": text(512)}),
        "restart_machine" => json!({}),
        "retry_machine" => json!({"refresh": true}),
        "pause_machine" | "skip_machine" | "mark_done_machine" => json!({"reason": text(512)}),
        "promote_channel" => json!({"pack": text(128), "version": text(128)}),
        "withdraw_channel" => json!({"pack": text(128)}),
        "rollback_channel" | "check_pack" => json!({}),
        "render" => json!({"machine": "name:big", "inline": "{{ machine.name }}".repeat(many(10_000))}),
        "explain_packet" => json!({"packet": "chaddr 52:54:00:aa:00:01\n".repeat(many(2_500))}),
        "next_job" => json!({"environment": "installed", "boot": text(64), "wait_seconds": 0}),
        "report_job" => json!({"reason": text(1024)}),
        "write_job_log" => json!(text(60_000)),
        other => panic!("say in `body_of` what the largest body of `{other}` is"),
    }
}

/// What is asked of a list: the largest page, as many filters and sort keys as there may be.
fn worst_list() -> String {
    let filters =
        "&updated_at[gt]=2000-01-01T00:00:00Z&source[like]=*i*e&label.none[exists]=false".repeat(10);
    let sort = ["-updated_at", "created_at", "-source", "revision"].repeat(8).join(",");
    format!("limit=1000&sort={sort}{filters}")
}

/// One request: the path with its query, the type of its body and the body.
type WorstRequest = (String, Option<&'static str>, Vec<u8>);

/// The requests that cost most of an operation.
fn worst(operation: &Operation) -> Vec<WorstRequest> {
    let rest = operation.path.strip_prefix(ROOT).unwrap_or_default().trim_start_matches('/');
    let plural = rest.split('/').next().unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == plural);
    let name = if operation.id.starts_with("delete_") { "new" } else { "big" };
    let key = match kind {
        Some(Kind::Machine) => format!("name:{name}"),
        Some(Kind::Reservation) => if name == "big" { "10.0.0.9" } else { "10.0.0.10" }.to_owned(),
        Some(Kind::Lease) => if name == "big" { "10.2.0.4" } else { "10.2.0.14" }.to_owned(),
        Some(Kind::Setting) => "default_bootenv".to_owned(),
        Some(Kind::Job | Kind::Run) => uuid::Uuid::nil().to_string(),
        _ => name.to_owned(),
    };
    let path = operation.path.replace("{ref}", &key).replace("{path}", "none");
    let asks = |name: &str| operation.query.iter().any(|parameter| parameter.name == name);
    let mut query: Vec<String> = Vec::new();
    match operation.filters {
        true => query.push(worst_list()),
        false if asks("limit") => query.push("limit=1000".to_owned()),
        false => {}
    }
    query.extend((asks("after") && !asks("epoch")).then(|| "after=0".to_owned()));
    query.extend((operation.id == "explain").then(|| format!("mac={PROBE}")));
    query.extend(asks("aggregate").then(|| "aggregate=true".to_owned()));
    query.extend(asks("offset").then(|| "offset=0".to_owned()));
    let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    let sent: Vec<(&'static str, Value)> = operation
        .takes
        .iter()
        .map(|taken| {
            let body = match (kind, operation.method.as_str(), taken.media) {
                (_, _, body::JSON_PATCH) => patch(),
                (_, _, body::MERGE_PATCH) => json!({"labels": labels()}),
                (Some(kind), "POST", _) if operation.id == format!("create_{kind}") => largest(kind, "new"),
                (Some(kind), "PUT", _) if operation.id == format!("replace_{kind}") => match kind {
                    Kind::Setting => json!({"name": key, "value": "local", "labels": labels()}),
                    _ => largest(kind, "big"),
                },
                _ => body_of(&operation.id),
            };
            (taken.media, body)
        })
        .collect();
    match sent.is_empty() {
        true => vec![(path, None, Vec::new())],
        false => {
            sent.into_iter().map(|(media, body)| (path.clone(), Some(media), bytes(media, &body))).collect()
        }
    }
}

fn bytes(media: &str, body: &Value) -> Vec<u8> {
    match body {
        Value::String(text) if media == "application/octet-stream" => text.clone().into_bytes(),
        _ if ["application/zstd", "application/x-tar"].contains(&media) => largest_pack(),
        body => body.to_string().into_bytes(),
    }
}

/// The archive of a pack with a template as large as one may be, and many others.
fn largest_pack() -> Vec<u8> {
    let file = |path: String, body: String| PackFile { path, body: body.into_bytes() };
    let loops = "{% for a in [1, 2, 3] %}{{ machine.name }}{% endfor %}\n";
    let small = (0..many(1000)).map(|n| file(format!("templates/small/{n}"), loops.to_owned()));
    let large = file("templates/large".to_owned(), loops.repeat(many(15_000)));
    let manifest = file("pack.yaml".to_owned(), "name: costs\nversion: 1.0.0\n".to_owned());
    write_archive(&small.chain([large, manifest]).collect::<Vec<_>>()).unwrap()
}

/// How the others fare: the longest that one of them waited.
#[derive(Default)]
struct OthersWait {
    over: AtomicBool,
    longest: [AtomicU64; 3],
}

const OTHERS: [&str; 3] = ["DHCP", "a boot script", "a small write"];

impl OthersWait {
    fn note(&self, who: usize, since: Instant) {
        let waited = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.longest[who].fetch_max(waited, Ordering::Relaxed);
    }

    fn longest(&self) -> [Duration; 3] {
        [0, 1, 2].map(|who| Duration::from_millis(self.longest[who].swap(0, Ordering::Relaxed)))
    }
}

/// Others that ask one after the other until it is over.
async fn go_on(client: Arc<Client>, waits: Arc<OthersWait>) {
    let mut n = 0;
    while !waits.over.load(Ordering::Relaxed) {
        let since = Instant::now();
        assert!(!testing::dhcp_options(&client.houses, DISCOVER).await.is_empty(), "no offer");
        waits.note(0, since);
        let since = Instant::now();
        let fetch = Fetch {
            path: "boot.ipxe".to_owned(),
            peer: [10, 0, 0, 50].into(),
            local: [10, 0, 0, 1].into(),
            protocol: Protocol::Http,
            hint: ClientHint { mac: Some(PROBE.parse().unwrap()), address: None },
            has_query: true,
        };
        assert!(client.houses.netboot.open(&fetch).await.is_ok(), "no boot script");
        waits.note(1, since);
        let since = Instant::now();
        client.merge("machines/name:probe", json!({"labels": {"n": n.to_string()}})).await.ok();
        waits.note(2, since);
        n += 1;
    }
}

fn stored<T: Noun>(key: String, body: Value) -> Object {
    let spec: T = serde_json::from_value(body).unwrap();
    T::object(Arc::new(Stored::new(key, spec, testing::caller().now)))
}

/// Objects of several kinds: most are machines.
fn crowd(count: usize) -> Changeset {
    (0..count).fold(Changeset::default(), |changeset, n| changeset.create(one_of_the_crowd(n)))
}

fn one_of_the_crowd(n: usize) -> Object {
    let (high, low) = (n / 250, n % 250);
    let (mac, tens) = (format!("52:54:01:00:{high:02x}:{low:02x}"), n / 10 * 10);
    let named = |of: &str| format!("{of}-{n}");
    match n % 10 {
        0 => {
            let body = json!({"name": named("template"), "body": "{{ machine.name }}"});
            stored::<Template>(named("template"), body)
        }
        1 => stored::<Param>(named("param"), json!({"name": named("param"), "schema": {"type": "string"}})),
        2 => {
            let params = json!({format!("param-{}", tens + 1): "x"});
            stored::<Profile>(named("profile"), json!({"name": named("profile"), "params": params}))
        }
        3 => {
            let address = format!("10.1.{high}.{low}");
            stored::<Reservation>(address.clone(), json!({"address": address, "mac": mac}))
        }
        4 => {
            let address = format!("10.2.{high}.{low}");
            let lease = json!({"address": address, "client": format!("1/{mac}"), "mac": mac, "state": "bound",
                "subnet": "crowd", "network": "crowd", "bound_at": "2026-11-20T10:00:00Z",
                "expires_at": "2030-11-20T10:00:00Z"});
            stored::<Lease>(address, lease)
        }
        _ => {
            let params = json!({format!("param-{}", tens + 1): "y"});
            let machine = json!({"name": named("crowd"), "macs": [mac], "params": params,
                "profiles": [format!("profile-{}", tens + 2)]});
            stored::<Machine>(uuid::Uuid::now_v7().to_string(), machine)
        }
    }
}

/// The file of a template that is one block.
fn open_template(name: &str) -> PackFile {
    let body = "{% block all %}{% endblock %}\n{{ machine.name }}\n".to_owned();
    PackFile { path: format!("templates/{name}"), body: body.into_bytes() }
}

async fn site(objects: usize) -> Client {
    let client = Client::new().await;
    let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.200"}]);
    client.post("subnets", json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools})).await.ok();
    client.post("subnets", json!({"name": "crowd", "cidr": "10.1.0.0/16"})).await.ok();
    client.post("machines", json!({"name": "probe", "macs": [PROBE]})).await.ok();
    client.houses.kernel.try_commit(crowd(objects)).await.unwrap();
    testing::install(&client.houses, "1.0.0", &["pack-big", "pack-new"].map(open_template)).await;
    client.houses.catalog.load_core(&testing::caller()).await.unwrap();
    for name in names("pack", CHANNEL_PACKS_MAX - 1) {
        let manifest = format!("name: {name}\nversion: 1.0.0\n").into_bytes();
        let archive = write_archive(&[PackFile { path: "pack.yaml".to_owned(), body: manifest }]).unwrap();
        client.send("POST /api/v1/packs", &["Content-Type: application/zstd"], archive).await.ok();
    }
    let mut kinds: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| kind.row().allows(NounVerb::Create)).collect();
    kinds.sort_by_key(|kind| kind.row().apply_order);
    let mut refused = Vec::new();
    for kind in kinds {
        let got = client.post(kind.plural(), largest(kind, "big")).await;
        if !got.status.is_success() {
            refused.push(format!("{kind}: {} {:.500}", got.status, got.body.to_string()));
        }
    }
    assert!(refused.is_empty(), "the largest objects are admitted: {refused:#?}");
    client.houses.kernel.try_commit(largest_run()).await.unwrap();
    client
}

/// Sends one request and gives its status. Streams are not read.
async fn ask(client: &Client, operation: &Operation, (path, media, body): &WorstRequest) -> StatusCode {
    let request = format!("{} {path}", operation.method);
    let media: Vec<String> = media.iter().map(|media| format!("Content-Type: {media}")).collect();
    let media: Vec<&str> = media.iter().map(String::as_str).collect();
    if operation.id.starts_with("stream_") {
        let request = Request::builder().uri(path).header(AUTHORIZATION, format!("Bearer {}", client.token));
        return client.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status();
    }
    client.send(&request, &media, body.clone()).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_operation_holds_the_world_or_the_others_up_however_much_is_asked_of_it() {
    let objects = std::env::var("METALWRIGHT_COSTS_OBJECTS").ok().and_then(|count| count.parse().ok());
    let client = Arc::new(site(objects.unwrap_or(OBJECTS)).await);
    let waits = Arc::new(OthersWait::default());
    let others = tokio::spawn(go_on(Arc::clone(&client), Arc::clone(&waits)));
    let prints = std::env::var_os("METALWRIGHT_COSTS_TABLE").is_some();
    client.houses.kernel.looks.longest();
    let mut faults = Vec::new();
    for operation in operations() {
        for request in worst(&operation) {
            let since = Instant::now();
            let status = ask(&client, &operation, &request).await;
            let took = since.elapsed();
            let held = client.houses.kernel.looks.longest();
            let waited = waits.longest();
            let what = format!("{} {}", operation.id, request.1.unwrap_or_default());
            let line = format!("| {what} | {status} | {took:?} | {held:?} | {waited:?} |");
            if prints {
                println!("{line}");
            }
            let is_done = MUST_SUCCEED.iter().any(|verb| operation.id.starts_with(verb));
            let is_answered = if is_done { status.is_success() } else { status.as_u16() != 500 };
            let in_time = took < WAIT_MAX && waited.iter().all(|waited| *waited < WAIT_MAX);
            if !is_answered || !in_time || held > HELD_MAX {
                faults.push(line);
            }
        }
    }
    waits.over.store(true, Ordering::Relaxed);
    others.await.unwrap();
    let heading = format!("operation, status, answered after, world held, waits of {OTHERS:?}");
    assert!(faults.is_empty(), "{heading}:\n{}", faults.join("\n"));
}
