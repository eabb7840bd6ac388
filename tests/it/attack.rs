//! All attacks at once, for as long as wanted, while machines boot: no boot is lost. How long a small boot
//! file takes meanwhile is printed. `METALWRIGHT_ATTACK_SECONDS` says how long (`make attack`: 900). Start
//! reading at [`ATTACKS`]. Attackers have the lowest priority of the host, so that what is measured is the
//! work that they make for the server, and not the processors that they take from it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::api::Api;
use crate::scene::capability;
use crate::simulate::Site;
use crate::wire::BootSide;
use crate::world::{World, allow_many_sockets};

const SECONDS: u64 = 6;
const MACHINES: u32 = 50;
/// How long a connection of an attacker waits for the server.
const PATIENCE: Duration = Duration::from_millis(500);
const CONNECTIONS: u16 = 100;
/// The machine whose capability an attacker has.
const CAPTURED: &str = "52:54:00:bb:00:01";

/// An attack: what it is, and one round of it. The number tells the rounds of one attack apart.
type Attack = (&'static str, fn(&AttackedServer, u64));

const ATTACKS: [Attack; 14] = [
    ("connections to the API that say nothing", silent_connections),
    ("half a request head to the boot side", half_heads),
    ("bytes that are no TLS to the API", noise_for_handshakes),
    ("requests that are framed in two ways", two_framings),
    ("templates that do not end", endless_template),
    ("templates that take all memory", memory_bomb),
    ("schemas whose evaluation doubles", doubling_schema),
    ("patches that copy", copying_patch),
    ("labels without number", many_labels),
    ("lists of everything", long_lists),
    ("a log without end", endless_log),
    ("reports for another machine", forged_reports),
    ("unknown machines", unknown_machines),
    ("datagrams of noise, reads that nobody acknowledges", noise_datagrams),
];

/// The server, as its attackers see it.
struct AttackedServer {
    base: String,
    token: String,
    api: SocketAddr,
    dhcp: SocketAddr,
    boot: BootSide,
    capability: String,
    over: AtomicBool,
    rounds: [AtomicU64; ATTACKS.len()],
}

impl AttackedServer {
    fn of(world: &World, capability: &str) -> AttackedServer {
        let base = world.ready()["api"].as_str().expect("the API's address").to_owned();
        let dhcp = format!("127.0.0.1:{}", world.ready()["dhcp_port"]);
        AttackedServer {
            api: base.trim_start_matches("https://").parse().expect("an address"),
            base,
            token: fs::read_to_string(world.data().join("admin.token")).expect("a token").trim().to_owned(),
            dhcp: dhcp.parse().expect("an address"),
            boot: BootSide::of(world.ready()),
            capability: capability.to_owned(),
            over: AtomicBool::new(false),
            rounds: Default::default(),
        }
    }

    /// Sends a request of the API; what is answered is the business of other tests.
    fn send(&self, (method, path): (Method, &str), body: Option<Value>, content_type: &str) {
        let api = Api::new(&self.base, &self.token);
        let reply = api.send_with(method, path, body, &[("content-type", content_type)]);
        assert!(reply.status < 600 && reply.status != 500, "{path}: {:#}", reply.body);
    }

    fn post(&self, path: &str, body: Value) {
        self.send((Method::POST, path), Some(body), "application/json");
    }

    fn attack(&self, number: usize) {
        let id = rustix::thread::gettid();
        rustix::process::setpriority_process(Some(id), 19).expect("the lowest priority");
        let (_, attack) = ATTACKS[number];
        while !self.over.load(SeqCst) {
            attack(self, self.rounds[number].fetch_add(1, SeqCst));
        }
    }
}

/// A connection of one of many addresses.
fn connection(to: SocketAddr, number: u64) -> Option<TcpStream> {
    let [.., third, fourth] = number.to_be_bytes();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 9, third, fourth.max(1)), 0)).into()).ok()?;
    socket.connect_timeout(&to.into(), PATIENCE).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(socket.into())
}

/// Connects, says something, and reads what comes until the end or the attacker's patience.
fn say(to: SocketAddr, number: u64, bytes: &[u8]) {
    let Some(mut stream) = connection(to, number) else { return };
    let _ = stream.write_all(bytes);
    let mut answer = [0; 4096];
    while matches!(stream.read(&mut answer), Ok(1..)) {}
}

/// Holds connections open that have said this much, for as long as one of them is waited for.
fn hold(to: SocketAddr, number: u64, bytes: &[u8]) {
    let open: Vec<TcpStream> = (0..u64::from(CONNECTIONS))
        .filter_map(|nth| connection(to, number * u64::from(CONNECTIONS) + nth))
        .map(|mut stream| {
            let _ = stream.write_all(bytes);
            stream
        })
        .collect();
    if let Some(mut last) = open.last() {
        let _ = last.read(&mut [0; 16]);
    }
}

fn silent_connections(target: &AttackedServer, number: u64) {
    hold(target.api, number, b"");
}

fn half_heads(target: &AttackedServer, number: u64) {
    hold(target.boot.http, number, b"GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nX-");
}

fn noise_for_handshakes(target: &AttackedServer, number: u64) {
    let noise: Vec<u8> =
        (0..2000_u64).map(|at| ((number.wrapping_add(at) * 2_654_435_761) >> 24) as u8).collect();
    say(target.api, number, &[&[22, 3, 1, 2, 0, 1], noise.as_slice()].concat());
}

fn two_framings(target: &AttackedServer, number: u64) {
    for head in
        ["Content-Length: 45\u{ff}", "Content-Length: 1\r\nContent-Length: 2", "Transfer-Encoding: chunked"]
    {
        let text = format!("POST /m/x/log HTTP/1.0\r\nHost: x\r\n{head}\r\n\r\nGET /readyz HTTP/1.1\r\n\r\n");
        say(target.boot.http, number, text.as_bytes());
    }
}

fn endless_template(target: &AttackedServer, _: u64) {
    let body = "{% set l = range(end=10000) %}{% for a in l %}{% for b in l %}{% for c in l %}{% endfor %}\
                {% endfor %}{% endfor %}";
    target.post("/render", json!({"inline": body}));
}

fn memory_bomb(target: &AttackedServer, _: u64) {
    let doubled = "{% set_global s = s ~ s %}".repeat(34);
    target.post("/render", json!({"inline": format!("{{% set_global s = \"aaaaaaaa\" %}}{doubled}")}));
}

fn doubling_schema(target: &AttackedServer, number: u64) {
    let next =
        |at: usize| json!({"allOf": [{"$ref": format!("#/$defs/{at}")}, {"$ref": format!("#/$defs/{at}")}]});
    let defs: serde_json::Map<String, Value> =
        (0..64).map(|at| (at.to_string(), if at == 63 { json!({}) } else { next(at + 1) })).collect();
    let schema = json!({"$defs": defs, "$ref": "#/$defs/0"});
    target.post("/params", json!({"name": format!("p{number}"), "schema": schema, "default": 1}));
}

fn copying_patch(target: &AttackedServer, _: u64) {
    let grow = json!({"op": "add", "path": "/params", "value": {"a": {"b": "c"}}});
    let copies =
        (0..1000).map(|at| json!({"op": "copy", "from": "/params", "path": format!("/params/x{at}")}));
    let patch: Vec<Value> = [grow].into_iter().chain(copies).collect();
    target.send(
        (Method::PATCH, "/machines/name:captured"),
        Some(patch.into()),
        "application/json-patch+json",
    );
}

fn many_labels(target: &AttackedServer, _: u64) {
    let labels: serde_json::Map<String, Value> =
        (0..20_000).map(|at| (format!("l{at}"), json!("x"))).collect();
    let patch = json!({"labels": labels});
    target.send((Method::PATCH, "/machines/name:captured"), Some(patch), "application/merge-patch+json");
}

fn long_lists(target: &AttackedServer, _: u64) {
    for path in ["/machines?limit=1000", "/events?limit=1000", "/templates?limit=1000", "/leases?limit=1000"]
    {
        target.send((Method::GET, path), None, "application/json");
    }
}

fn endless_log(target: &AttackedServer, number: u64) {
    let line = format!("{number} {}", "log ".repeat(4000));
    let (path, length) = (format!("/m/{}/log", target.capability), line.len());
    let request = format!("POST {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{line}");
    let Ok(mut stream) = TcpStream::connect_timeout(&target.boot.http, PATIENCE) else { return };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_end(&mut Vec::new());
}

fn forged_reports(target: &AttackedServer, number: u64) {
    for report in ["failed", "done"] {
        let path = format!("/m/{}/{report}", target.capability);
        let request = format!("POST {path} HTTP/1.0\r\nHost: x\r\nContent-Length: 6\r\n\r\nforged");
        say(target.boot.http, number, request.as_bytes());
    }
}

fn unknown_machines(target: &AttackedServer, number: u64) {
    let [.., b, c, d] = number.to_be_bytes();
    let mac = format!("52:54:00:{b:02x}:{c:02x}:{d:02x}");
    for path in
        [format!("/boot.ipxe?mac={mac}"), format!("/m/{mac}/preseed.cfg"), format!("/{}", "../".repeat(200))]
    {
        say(target.boot.http, number, format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes());
    }
}

fn noise_datagrams(target: &AttackedServer, number: u64) {
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else { return };
    let noise: Vec<u8> =
        (0..300_u64).map(|at| (number.wrapping_mul(31).wrapping_add(at * 7)) as u8).collect();
    let read = b"\0\x01artifacts/debian-12-amd64/small\0octet\0blksize\x001468\0windowsize\x0016\0";
    for _ in 0..20 {
        let _ = socket.send_to(&noise, target.dhcp);
        let _ = socket.send_to(&noise, target.boot.tftp);
        let _ = socket.send_to(read, target.boot.tftp);
    }
    let _ = socket.set_read_timeout(Some(Duration::from_millis(20)));
    let _ = socket.recv_from(&mut [0; 16]);
}

/// A server with an installer, a small file, machines that can install, and one whose capability an attacker
/// has.
fn site() -> Site {
    let site = Site::new();
    fs::write(site.world.scratch().join("installer/small"), vec![1; 4096]).expect("a file");
    for number in 0..MACHINES {
        site.add_machine(&format!("web{number}"), &format!("52:54:00:aa:00:{number:02x}"));
    }
    site.add_machine("captured", CAPTURED);
    site.act("captured", "start");
    site
}

/// Has all machines install once, and returns how many of them did not.
fn install_all(site: &Site) -> usize {
    (0..MACHINES).for_each(|number| site.act(&format!("web{number}"), "start"));
    let played = site.simulate(&["-q", "--mac", "52:54:00:aa:00:00", "--count", &MACHINES.to_string()]);
    let lost: Vec<&Value> =
        played.machines().iter().filter(|machine| machine["ended"] != "installed").collect();
    assert_eq!(played.machines().len(), MACHINES as usize);
    for machine in &lost {
        println!("lost: {machine}");
    }
    lost.len()
}

/// Raises a flag when it is dropped, so that threads which look at it end with a test that fails.
struct RaisedAtEnd<'a>(&'a AtomicBool);

impl Drop for RaisedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Installs again and again for a time, or until a boot is lost. Returns how many boots there were, how many
/// were lost, and how long a small file took meanwhile, in ascending order.
fn install_for(site: &Site, time: Duration) -> (u32, usize, Vec<Duration>) {
    let (over, boot) = (AtomicBool::new(false), BootSide::of(site.world.ready()));
    let taken = Mutex::new(Vec::new());
    let (mut boots, mut lost) = (0, 0);
    thread::scope(|scope| {
        let _end = RaisedAtEnd(&over);
        scope.spawn(|| {
            while !over.load(SeqCst) {
                let began = Instant::now();
                assert_eq!(boot.get("/artifacts/debian-12-amd64/small").0, 200);
                taken.lock().expect("a list").push(began.elapsed());
            }
        });
        let began = Instant::now();
        while boots == 0 || (lost == 0 && began.elapsed() < time) {
            lost += install_all(site);
            boots += MACHINES;
        }
    });
    let mut taken = taken.into_inner().expect("a list");
    taken.sort_unstable();
    (boots, lost, taken)
}

fn percentile(sorted: &[Duration], of_hundred: usize) -> Duration {
    sorted[(sorted.len() - 1) * of_hundred / 100]
}

#[test]
fn no_boot_is_lost_while_everything_is_attacked_at_once() {
    let seconds = std::env::var("METALWRIGHT_ATTACK_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    allow_many_sockets();
    let site = site();
    let (_, lost, quiet) = install_for(&site, Duration::from_secs(seconds / 10));
    assert_eq!(lost, 0, "without an attack");
    let script = BootSide::of(site.world.ready()).get(&format!("/boot.ipxe?mac={CAPTURED}")).1;
    let target = AttackedServer::of(&site.world, capability(&script));
    let (boots, lost, attacked) = thread::scope(|scope| {
        for number in 0..ATTACKS.len() {
            let target = &target;
            scope.spawn(move || target.attack(number));
        }
        let _end = RaisedAtEnd(&target.over);
        install_for(&site, Duration::from_secs(seconds))
    });
    for ((what, _), rounds) in ATTACKS.iter().zip(&target.rounds) {
        println!("{:>9}  {what}", rounds.load(SeqCst));
        assert!(rounds.load(SeqCst) > 0, "{what}");
    }
    for (name, taken) in [("quiet", &quiet), ("attacked", &attacked)] {
        let [half, most] = [50, 99].map(|of_hundred| percentile(taken, of_hundred));
        println!("{name}: {} small files, p50 {half:?}, p99 {most:?}", taken.len());
    }
    println!("{boots} boots, {lost} lost");
    assert_eq!(lost, 0);
    assert_eq!(site.api.get("//readyz").status, 200);
}
