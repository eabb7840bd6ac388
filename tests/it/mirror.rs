//! A mirror, as machines and operators see it. The upstream is a file server on loopback that can be slow,
//! cut connections, and be gone.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Api;
use crate::net;
use crate::scene;
use crate::wire::BootSide;
use crate::world::World;

const SOON: Duration = Duration::from_secs(90);
/// Room for the database and for the bytes that stay free, and little more.
const DISK_BYTES: u64 = 96 << 20;
const RELEASE: &str = "Codename: bookworm\nComponents: main contrib\n";

/// The behaviour of the upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// It answers 503.
    Failing,
    /// It cuts every connection in the middle of the body, and sends no validators.
    CutsOff,
}

/// An upstream, with its files and the requests that it has seen.
struct Upstream {
    address: SocketAddr,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    mood: Arc<Mutex<Mood>>,
    /// The second half of a file `slow` is sent when this channel gets a message.
    go_on: Sender<()>,
}

impl Upstream {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect();
        let (go_on, gate) = channel();
        let upstream = Upstream {
            address,
            files: Arc::new(Mutex::new(files)),
            asked: Arc::default(),
            mood: Arc::new(Mutex::new(Mood::Well)),
            go_on,
        };
        let seen = (Arc::clone(&upstream.files), Arc::clone(&upstream.asked), Arc::clone(&upstream.mood));
        let gate = Arc::new(Mutex::new(gate));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let ((files, asked, mood), gate) = (seen.clone(), Arc::clone(&gate));
                thread::spawn(move || answer(stream, (&files, &asked, &mood), &gate));
            }
        });
        upstream
    }

    fn url(&self) -> String {
        format!("http://{}/tree", self.address)
    }

    /// How often a path was requested.
    fn asked(&self, path: &str) -> usize {
        self.asked.lock().expect("the list").iter().filter(|asked| *asked == path).count()
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().expect("the mood") = mood;
    }

    fn put(&self, path: &str, content: &[u8]) {
        self.files.lock().expect("the files").insert(path.to_owned(), content.to_vec());
    }
}

type Files = Mutex<BTreeMap<String, Vec<u8>>>;

fn answer(
    stream: TcpStream,
    (files, asked, mood): (&Files, &Mutex<Vec<String>>, &Mutex<Mood>),
    gate: &Mutex<Receiver<()>>,
) {
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let path = path.trim_start_matches("/tree/").to_owned();
    let mood = *mood.lock().expect("the mood");
    let content = files.lock().expect("the files").get(&path).cloned();
    asked.lock().expect("the list").push(path.clone());
    let say = |head: String, body: &[u8]| {
        let (mut stream, head) = (&stream, format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n"));
        drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
    };
    let Some(content) = content.filter(|_| mood != Mood::Failing) else {
        let status = if mood == Mood::Failing { "503 Service Unavailable" } else { "404 Not Found" };
        return say(format!("{status}\r\nContent-Length: 0"), b"");
    };
    let tag = format!("\"{}\"", metalwright::model::sha256_hex(&content));
    if head.iter().any(|line| line.to_lowercase() == format!("if-none-match: {tag}")) {
        return say(format!("304 Not Modified\r\nETag: {tag}"), b"");
    }
    let (first, second) = content.split_at(content.len() / 2);
    let length = content.len();
    match mood {
        Mood::CutsOff => say(format!("200 OK\r\nContent-Length: {length}"), first),
        _ => {
            say(format!("200 OK\r\nETag: {tag}\r\nContent-Length: {length}"), first);
            if path.ends_with("slow") {
                gate.lock().expect("the gate").recv().ok();
            }
            drop((&stream).write_all(second));
        }
    }
}

/// The artifact as soon as `done` is true for its status.
fn until(api: &Api, name: &str, done: impl Fn(&Value) -> bool) -> Value {
    let mut events = api.events_after(0);
    loop {
        let status = api.get(&format!("/artifacts/{name}")).expect(200)["status"].take();
        if done(&status) {
            return status;
        }
        events.wait_for(SOON, |event| event["subject"] == format!("artifact:{name}"));
    }
}

/// Waits until so many files are cached: a client has the whole file a moment earlier.
fn until_kept(api: &Api, name: &str, files: usize) {
    let line = format!("metalwright_mirror_kept_files{{artifact=\"{name}\"}} {files}\n");
    let deadline = Instant::now() + SOON;
    while !api.get("//metrics").expect(200).as_str().is_some_and(|page| page.contains(&line)) {
        assert!(Instant::now() < deadline, "not kept: {files} files of {name}");
    }
}

fn ready(status: &Value) -> bool {
    status["state"] == "ready" && status.get("asked").is_none()
}

/// Head and body of an HTTP response to a request with these further lines.
fn get(boot: BootSide, path: &str, lines: &str) -> (String, Vec<u8>) {
    let mut stream = asking(boot, path, lines);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
}

fn asking(boot: BootSide, path: &str, lines: &str) -> TcpStream {
    let mut stream = TcpStream::connect(boot.http).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a deadline");
    let request = format!("GET /artifacts/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}

fn debian() -> Upstream {
    Upstream::of(&[
        ("dists/bookworm/InRelease", RELEASE.as_bytes()),
        ("pool/main/a/apt_1.deb", b"a package"),
        ("linux", b"a kernel"),
        ("initrd.gz", b"an initrd"),
    ])
}

#[test]
fn a_remote_tree_is_passed_on_kept_and_given_out_when_the_upstream_is_away() {
    let mut world = World::on_loopback();
    let upstream = debian();
    let keep = ["--suite", "bookworm", "--keep", "64MiB"];
    let said = world.cli(&[&["artifacts", "add", "debian", "--mirror", &upstream.url()][..], &keep].concat());
    assert!(said.starts_with("artifact debian is ready: "), "{said}");
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    let artifact = api.get("/artifacts/debian").expect(200);
    assert_eq!(artifact["fetch"]["mirror"]["bytes_max"], 64 << 20);
    let found = &artifact["status"]["repositories"][0];
    assert_eq!(
        (&found["distribution"], &found["components"]),
        (&json!("bookworm"), &json!(["main", "contrib"]))
    );

    let package = "debian/pool/main/a/apt_1.deb";
    let (first, body) = get(boot, package, "");
    assert!(first.starts_with("HTTP/1.1 200") && body == b"a package", "{first}");
    let (second, body) = get(boot, package, "Range: bytes=2-8\r\n");
    assert!(second.contains("206") && second.contains("bytes 2-8/9") && body == b"package", "{second}");
    let tag = first
        .lines()
        .find(|line| line.starts_with("ETag: "))
        .expect("a tag")
        .replace("ETag", "If-None-Match");
    assert!(get(boot, package, &format!("{tag}\r\n")).0.starts_with("HTTP/1.1 304"), "{tag}");
    assert_eq!(boot.read(&format!("artifacts/{package}")), Ok(b"a package".to_vec()), "over TFTP too");
    assert_eq!(upstream.asked("pool/main/a/apt_1.deb"), 1);
    for path in ["debian/pool/none", "debian/pool/", "debian/../debian/linux", "debian/%2e%2e/linux"] {
        assert!(matches!(boot.get(&format!("/artifacts/{path}")).0, 400 | 404), "{path}");
    }
    assert_eq!(boot.get("/artifacts/debian/linux?x=y").0, 400);

    // The upstream disappears, and the server is killed and restarted.
    until_kept(&api, "debian", 2);
    upstream.is(Mood::Failing);
    world.kill();
    world.start();
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    let failing = until(&api, "debian", |status| status["reason"].to_string().contains("503"));
    assert_eq!((&failing["state"], &failing["mirror"]["upstream_answers"]), (&json!("ready"), &json!(false)));
    assert_eq!(get(boot, package, "").1, b"a package");
    api.post("/artifacts/debian/actions/fetch", json!({})).expect(202);
    until(&api, "debian", ready);
    assert_eq!(get(boot, "debian/dists/bookworm/InRelease", "").1, RELEASE.as_bytes(), "stale");
    let (status, why) = boot.get("/artifacts/debian/linux");
    assert!(status == 503 && why.contains("503"), "{status} {why}");

    upstream.is(Mood::Well);
    upstream.put("dists/bookworm/InRelease", b"Components: main\n");
    api.post("/artifacts/debian/actions/fetch", json!({})).expect(202);
    let well = until(&api, "debian", |status| ready(status) && status["reason"] == Value::Null);
    assert_eq!(well["repositories"][0]["components"], json!(["main"]));
    assert_eq!(get(boot, "debian/dists/bookworm/InRelease", "").1, b"Components: main\n");
    let events = api.get("/events?limit=1000").expect(200)["items"].take();
    let told =
        events.as_array().expect("events").iter().filter(|event| {
            event["subject"] == "artifact:debian" && event["kind"] == "artifact.state_changed"
        });
    assert!(told.count() <= 5, "begun, ready, failing, well: {events:#}");
}

#[test]
fn the_metrics_page_has_the_figures_of_each_tree_that_is_passed_on() {
    let world = World::on_loopback();
    let upstream = Upstream::of(&[("a.rpm", &[1; 1000]), ("b.rpm", &[2; 500])]);
    world.cli(&["artifacts", "add", "rocky", "--mirror", &upstream.url(), "--keep", "64MiB"]);
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    for path in ["rocky/a.rpm", "rocky/a.rpm", "rocky/b.rpm", "rocky/none"] {
        get(boot, path, "");
    }
    assert_eq!(get(boot, "rocky/b.rpm", "Range: bytes=0-9\r\n").1, [2; 10]);
    upstream.is(Mood::Failing);
    assert_eq!(boot.get("/artifacts/rocky/c.rpm").0, 503);
    until_kept(&api, "rocky", 2);
    let page = api.get("//metrics").expect(200);
    let page = page.as_str().expect("text");
    let figure = |name: &str| -> u64 {
        let start = format!("metalwright_mirror_{name}{{artifact=\"rocky\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start}in {page}")).parse().expect("a number")
    };
    assert_eq!((figure("hits_total"), figure("misses_total"), figure("failures_total")), (2, 2, 1));
    assert_eq!((figure("fetched_bytes_total"), figure("served_bytes_total")), (1500, 2510));
    assert_eq!((figure("kept_bytes"), figure("kept_files"), figure("kept_bytes_max")), (1500, 2, 64 << 20));
    assert_eq!((figure("evicted_total"), figure("stale_total"), figure("upstream_answers")), (0, 0, 0));
    // A deleted mirror has no metrics.
    api.delete("/artifacts/rocky").expect(204);
    let mut events = api.events_after(0);
    events.wait_for(SOON, |event| event["kind"] == "artifact.deleted");
    let added = Upstream::of(&[]);
    world.cli(&["artifacts", "add", "other", "--mirror", &added.url()]);
    let page = api.get("//metrics").expect(200);
    assert!(!page.to_string().contains("rocky") && page.to_string().contains("other"), "{page}");
}

/// A machine that this workflow should install.
fn start(api: &Api, (name, workflow): (&str, &str)) {
    api.post("/machines", json!({"name": name})).expect(201);
    api.post(&format!("/machines/name:{name}/actions/start"), scene::start_anyway(workflow)).expect(200);
}

#[test]
fn repos_of_a_tree_that_is_passed_on_are_what_was_declared_and_never_taken_for_unsigned() {
    let world = World::on_loopback();
    let (api, upstream) = (world.api(), debian());
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    world.cli(&["artifacts", "add", "debian", "--mirror", &upstream.url()]);
    let repository = json!({"tag": "debian", "artifact": "debian", "distribution": "bookworm",
        "install_source": true});
    let global = json!({"name": "global", "params": {"repositories": [repository]}});
    api.post("/profiles", global).expect(201);
    start(&api, ("web1", "install-debian-12"));
    let refused = world.try_cli(&["render", "web1", "preseed.cfg"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
    assert!(told.contains("names the suite bookworm of the artifact debian"), "{told}");
    assert!(told.contains("Declare it in `fetch.mirror.repositories`"), "{told}");

    let declared = json!({"fetch": {"mirror": {"repositories": [{"distribution": "bookworm"}]}}});
    api.patch("/artifacts/debian", declared).expect(200);
    until(&api, "debian", |status| ready(status) && status["repositories"][0]["signed"] == true);
    let preseed = world.cli(&["render", "web1", "preseed.cfg"]);
    assert!(preseed.contains("/directory string /artifacts/debian\n"), "{preseed}");
    assert!(!preseed.contains("allow_unauthenticated"), "{preseed}");
}

#[test]
fn an_answer_file_says_what_ails_the_tree_that_its_packages_are_to_come_from() {
    let world = World::on_loopback();
    let api = world.api();
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    let repositories = json!([{"tag": "debian", "artifact": "debian", "distribution": "bookworm"}]);
    api.post("/profiles", json!({"name": "global", "params": {"repositories": repositories}})).expect(201);
    start(&api, ("web1", "install-debian-12"));
    let told =
        || String::from_utf8_lossy(&world.try_cli(&["render", "web1", "preseed.cfg"]).stderr).into_owned();
    assert!(told().contains("there is no artifact debian: add one with"), "{}", told());
    // Nothing listens there.
    let mirror = json!({"url": "http://127.0.0.1:1/debian", "mirror": {}});
    api.post("/artifacts", json!({"name": "debian", "fetch": mirror})).expect(201);
    until(&api, "debian", |status| status["state"] == "failed");
    assert!(
        told().contains("artifact debian is failed: the upstream fails: http://127.0.0.1:1/"),
        "{}",
        told()
    );
}

#[test]
fn rocky_linux_boots_and_installs_from_a_tree_that_is_passed_on() {
    let world = World::on_loopback();
    let api = world.api();
    let upstream = Upstream::of(&[
        ("images/pxeboot/vmlinuz", b"a kernel"),
        ("images/pxeboot/initrd.img", b"an initrd"),
        (".treeinfo", b"[general]\n"),
        ("repodata/repomd.xml", b"<repomd/>"),
        ("AppStream/repodata/repomd.xml", b"<repomd/>"),
    ]);
    let trees = json!([{"path": ""}, {"path": "AppStream"}]);
    let mirror = json!({"url": upstream.url(), "mirror": {"repositories": trees}});
    api.post("/artifacts", json!({"name": "rocky-9-amd64", "fetch": mirror})).expect(201);
    until(&api, "rocky-9-amd64", ready);
    let appstream = json!({"tag": "appstream", "artifact": "rocky-9-amd64", "path": "/AppStream/"});
    let global = json!({"name": "global", "params": {"repositories": [appstream]}});
    api.post("/profiles", global).expect(201);
    start(&api, ("rocky1", "install-rocky-9"));
    let kickstart = world.cli(&["render", "rocky1", "rocky.ks"]);
    let line = |start: &str| kickstart.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("url --url=").contains("/artifacts/rocky-9-amd64"), "{kickstart}");
    assert!(line("repo --install --name=").contains("/artifacts/rocky-9-amd64/AppStream"), "{kickstart}");
}

#[test]
fn a_client_reads_a_file_while_it_comes_and_many_are_one_fetch() {
    let world = World::on_loopback();
    let large = vec![7; 3_000_000];
    let upstream = Upstream::of(&[("images/slow", &large)]);
    world.cli(&["artifacts", "add", "rocky", "--mirror", &upstream.url()]);
    let boot = BootSide::of(world.ready());
    let mut streams: Vec<TcpStream> = (0..8).map(|_| asking(boot, "rocky/images/slow", "")).collect();
    for stream in &mut streams {
        let mut half = vec![0; 1_000_000];
        stream.read_exact(&mut half).expect("what has come so far");
    }
    upstream.go_on.send(()).expect("an upstream");
    for mut stream in streams {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the rest");
        assert!(rest.len() > 2_000_000 && rest.ends_with(&large[..2_000_000]), "{}", rest.len());
    }
    assert_eq!(upstream.asked("images/slow"), 1);
}

#[test]
fn what_is_cut_off_is_never_served_and_what_is_kept_stays_below_its_bound() {
    let world = World::on_loopback();
    let files: Vec<(String, Vec<u8>)> =
        (0..12).map(|i| (format!("Packages/{i}.rpm"), vec![i; 200_000])).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let upstream = Upstream::of(&files);
    world.cli(&["artifacts", "add", "rocky", "--mirror", &upstream.url(), "--keep", "1MiB"]);
    let (api, boot) = (world.api(), BootSide::of(world.ready()));

    upstream.is(Mood::CutsOff);
    let (head, body) = get(boot, "rocky/Packages/0.rpm", "");
    assert!(head.contains("Content-Length: 200000") && body.len() < 200_000, "{head} {}", body.len());
    upstream.is(Mood::Well);
    api.post("/artifacts/rocky/actions/fetch", json!({})).expect(202);
    until(&api, "rocky", ready);
    for (i, (path, content)) in files.iter().enumerate() {
        assert_eq!(get(boot, &format!("rocky/{path}"), "").1, *content, "{i}");
    }
    let status = until(&api, "rocky", |status| status["mirror"]["evicted"].as_u64() >= Some(7));
    assert!(status["mirror"]["cached_bytes"].as_u64() <= Some(1 << 20), "{status:#}");
    let root = world.data().join("media/mirrors");
    let [mirror] = fs::read_dir(root).expect("a folder").collect::<Vec<_>>().try_into().expect("one mirror");
    let bodies = mirror.expect("an entry").path().join("bodies");
    let bytes = || -> u64 {
        let entries = fs::read_dir(&bodies).expect("a folder");
        entries.map(|entry| entry.expect("an entry").metadata().expect("its size").len()).sum()
    };
    assert!((200_000..=1 << 20).contains(&bytes()), "{}", bytes());

    // Damaged files are found, reported and not served; unreferenced ones are pruned.
    let damaged = fs::read_dir(&bodies).expect("a folder").next().expect("a file").expect("an entry").path();
    fs::write(&damaged, vec![b'x'; 200_000]).expect("changed");
    let said = world.try_cli(&["artifacts", "verify", "rocky"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("1 kept files had changed"), "{said}");
    assert!(!damaged.exists());
    assert_eq!(world.cli(&["artifacts", "prune", "--yes"]), "0 went, 0 B\n");
    api.delete("/artifacts/rocky").expect(204);
    let dry = world.cli(&["artifacts", "prune", "--dry-run"]);
    assert!(dry.starts_with("mirror ") && dry.contains("1 would go"), "{dry}");
    assert!(bodies.exists());
    world.cli(&["artifacts", "prune", "--yes"]);
    assert!(!bodies.exists());
}

#[test]
fn a_file_that_does_not_fit_on_the_disk_is_refused_and_the_database_goes_on() {
    if !net::may_make_namespaces() {
        return;
    }
    let inside = || {
        let mut world = World::on_loopback();
        assert!(world.stop().success());
        world.on_a_small_disk(DISK_BYTES);
        world.start();
        let upstream = Upstream::of(&[("large.img", &vec![0; 40 << 20]), ("linux", b"a kernel")]);
        world.cli(&["artifacts", "add", "rocky", "--mirror", &upstream.url()]);
        let (api, boot) = (world.api(), BootSide::of(world.ready()));
        let (status, why) = boot.get("/artifacts/rocky/large.img");
        assert!(status == 503 && why.contains("too full: 40 MiB are needed"), "{status} {why}");
        until(&api, "rocky", |status| status["reason"].to_string().contains("large.img finds no place"));
        assert_eq!(boot.get("/artifacts/rocky/linux"), (200, "a kernel".to_owned()));
        api.post("/machines", json!({"name": "web1"})).expect(201);
    };
    let outcome = thread::scope(|scope| scope.spawn(inside).join());
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn a_bootenv_knows_whether_its_kernel_is_in_the_remote_tree() {
    let world = World::on_loopback();
    let upstream = debian();
    let api = world.api();
    let files = json!({"artifact": "debian", "kernel": "linux", "initrds": ["initrd.gz"]});
    api.post("/bootenvs", json!({"name": "b", "kind": "live", "arches": {"amd64": files}})).expect(201);
    world.cli(&["artifacts", "add", "debian", "--mirror", &upstream.url()]);
    assert_eq!(api.get("/bootenvs/b").expect(200)["problems"], json!([]));
    assert_eq!((upstream.asked("linux"), upstream.asked("initrd.gz")), (1, 1), "they are kept beforehand");
    let files = json!({"artifact": "debian", "kernel": "vmlinuz"});
    api.post("/bootenvs", json!({"name": "c", "kind": "live", "arches": {"amd64": files}})).expect(201);
    until(&api, "debian", |status| status["absent"] == json!(["vmlinuz"]));
    let problems = api.get("/bootenvs/c").expect(200)["problems"].to_string();
    assert!(problems.contains("artifact debian has no file vmlinuz"), "{problems}");

    let away = json!({"name": "away", "fetch": {"url": "http://127.0.0.1:9/tree", "mirror": {}}});
    api.post("/artifacts", away).expect(201);
    let failed = until(&api, "away", |status| status["state"] == "failed");
    assert!(failed["reason"].to_string().contains("the upstream fails: "), "{failed:#}");
}
