//! Simulated machines with the real program, on loopback: what firmware gets, what installers fetch and
//! report, what agents run. No root, no QEMU. Start at [`Site`].

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Output;
use std::time::Duration;

use metalwright::proto::tftp::{TftpPacket, TftpRequest, TransferMode, packet};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::api::Api;
use crate::net;
use crate::relay::LISTENERS;
use crate::scene;
use crate::world::{World, program};

mod finish;
mod live;

const FIRMWARES: [&str; 4] = ["bios", "ipxe", "uefi", "http"];
const READY_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ARTIFACT: &str = "debian-12-amd64";
const WORKFLOW: &str = "install-debian-12";

/// A server that answers DHCP on loopback, a subnet there, and an installer without content.
pub struct Site {
    pub world: World,
    pub api: Api,
}

impl Site {
    pub fn new() -> Site {
        let subnet = json!({
            "name": "loopback",
            "cidr": "127.1.0.0/24",
            "pools": [{"start": "127.1.0.10", "end": "127.1.0.250"}],
            "relays": ["127.0.0.1"],
        });
        Site::on(World::with(&LISTENERS), subnet)
    }

    fn on(world: World, subnet: Value) -> Site {
        let api = world.api();
        api.post("/subnets", subnet).expect(201);
        let login = json!({"name": "global", "params": {"ssh_keys": [scene::KEY]}});
        api.post("/profiles", login).expect(201);
        let site = Site { world, api };
        site.add_installer();
        site
    }

    fn add_installer(&self) {
        let folder = self.world.scratch().join("installer");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("linux"), vec![1; 300_000]).expect("a kernel");
        fs::write(folder.join("initrd.gz"), vec![2; 700_000]).expect("an initrd");
        self.api.post("/artifacts", json!({"name": ARTIFACT, "kind": "tree", "path": folder})).expect(201);
        self.api.events_after(0).wait_for(READY_WITHIN, |event| {
            event["kind"] == "artifact.state_changed" && event["data"]["state"] == "ready"
        });
    }

    pub fn add_machine(&self, name: &str, mac: &str) {
        self.api.post("/machines", json!({"name": name, "macs": [mac]})).expect(201);
    }

    pub fn act(&self, machine: &str, action: &str) {
        let body = if action == "start" { json!({"workflow": WORKFLOW}) } else { json!({}) };
        self.api.post(&format!("/machines/name:{machine}/actions/{action}"), body).expect(200);
    }

    fn state(&self, machine: &str) -> Value {
        self.api.get(&format!("/machines/name:{machine}")).expect(200)["status"]["state"].take()
    }

    /// Simulates machines that get their addresses from the server; returns the summary and all steps.
    pub fn simulate(&self, words: &[&str]) -> Played {
        let dhcp = format!("127.0.0.1:{}", self.world.ready()["dhcp_port"]);
        self.run(&[&["--dhcp", &dhcp], words].concat())
    }

    fn run(&self, words: &[&str]) -> Played {
        Played::read(self.world.try_cli(&[&["simulate", "--json"], words].concat()))
    }

    fn timeline(&self, machine: &str) -> Vec<Value> {
        let mut body = self.api.get(&format!("/machines/name:{machine}/timeline?limit=1000")).expect(200);
        serde_json::from_value(body["items"].take()).expect("the events of a timeline")
    }
}

/// The output of a run of the simulator.
pub struct Played {
    steps: Vec<Value>,
    summary: Value,
}

impl Played {
    fn read(output: Output) -> Played {
        let text = String::from_utf8(output.stdout).expect("output in UTF-8");
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let last = lines.pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let summary = last["summary"].clone();
        let failed =
            summary["machines"].as_array().expect("machines").iter().any(|m| !m["failure"].is_null());
        assert_eq!(output.status.success(), !failed, "the exit code says whether a machine failed");
        Played { steps: lines, summary }
    }

    pub fn machines(&self) -> &[Value] {
        self.summary["machines"].as_array().expect("machines")
    }

    /// The only machine.
    fn machine(&self) -> &Value {
        assert_eq!(self.machines().len(), 1);
        &self.machines()[0]
    }

    fn ended(&self) -> &str {
        self.machine()["ended"].as_str().unwrap_or_else(|| panic!("{:#?}", self.steps))
    }

    fn address(&self) -> Ipv4Addr {
        let address = self.machine()["address"].as_str().and_then(|address| address.parse().ok());
        address.unwrap_or_else(|| panic!("an address: {}", self.machine()))
    }

    /// Steps of one kind, in one power-on.
    fn steps(&self, kind: &str, power_on: u32) -> usize {
        let wanted = |line: &&Value| line["step"] == kind && line["power_on"] == power_on;
        self.steps.iter().filter(wanted).count()
    }
}

/// The result of a request for a file.
#[derive(Debug, PartialEq)]
enum Fetched {
    Text(String),
    Refused,
}

/// A TFTP read, of which only the first block is received.
fn tftp(from: Ipv4Addr, server: &str, path: &str) -> Fetched {
    let socket = UdpSocket::bind((from, 0)).expect("an address of loopback");
    socket.set_read_timeout(Some(ANSWER_WITHIN)).expect("a timeout");
    let mut bytes = Vec::new();
    TftpPacket::Read(TftpRequest { path: path.into(), mode: TransferMode::Octet, options: Vec::new() })
        .encode(&mut bytes);
    socket.send_to(&bytes, server).expect("a request that leaves");
    let mut buffer = [0; 600];
    let (length, peer) = socket.recv_from(&mut buffer).expect("an answer");
    match packet::parse(&buffer[..length]).expect("a TFTP packet") {
        TftpPacket::Data { payload, .. } => {
            let text = String::from_utf8_lossy(payload).into_owned();
            let stop = TftpPacket::error_bytes(metalwright::proto::tftp::ErrorCode::OTHER, "enough");
            socket.send_to(&stop, peer).expect("an end");
            Fetched::Text(text)
        }
        TftpPacket::Error { .. } => Fetched::Refused,
        other => panic!("{other:?}"),
    }
}

/// An HTTP GET from an address of the caller's choice.
fn http(from: Ipv4Addr, server: &str, path: &str) -> Fetched {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of loopback");
    let server: SocketAddr = server.trim_start_matches("http://").parse().expect("an address");
    socket.connect(&server.into()).expect("a server that listens");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("a request that leaves");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("headers");
    match head.split_whitespace().nth(1) {
        Some("200") => Fetched::Text(body.to_owned()),
        Some("403" | "404") => Fetched::Refused,
        _ => panic!("{path}: {head}"),
    }
}

#[test]
fn every_firmware_installs_once_and_then_boots_its_disk() {
    let site = Site::new();
    for (index, firmware) in FIRMWARES.into_iter().enumerate() {
        let (name, mac) = (format!("web{index}"), format!("52:54:00:aa:01:0{index}"));
        site.add_machine(&name, &mac);
        site.act(&name, "start");
        let first = site.simulate(&["--firmware", firmware, "--mac", &mac]);
        assert_eq!(first.ended(), "installed", "{firmware}");
        assert_eq!((first.steps("kernel", 1), first.steps("report", 1)), (1, 2), "{firmware}");
        assert_eq!((first.steps("script", 2), first.steps("kernel", 2)), (0, 0), "{firmware}");
        assert_eq!(site.state(&name), "complete", "{firmware}");
        for again in FIRMWARES {
            let later = site.simulate(&["--firmware", again, "--mac", &mac]);
            assert_eq!((later.ended(), later.steps("kernel", 1)), ("disk", 0), "{firmware}, then {again}");
            assert_eq!(later.address(), first.address(), "one machine, one address");
        }
        let timeline = site.timeline(&name);
        let count = |kind: &str| timeline.iter().filter(|event| event["kind"] == kind).count();
        assert_eq!((count("boot.kernel_fetched"), count("boot.done")), (1, 1), "{timeline:#?}");
    }
}

/// Puts a machine into a state in which it must not be installed.
type Prepare = fn(&Site, &str, &str);

const UNARMED: [(&str, Prepare); 5] = [
    ("unknown", |_, _, _| {}),
    ("never started", |site, name, mac| site.add_machine(name, mac)),
    ("disarmed", |site, name, mac| {
        site.add_machine(name, mac);
        site.act(name, "start");
        site.act(name, "disarm");
    }),
    ("paused", |site, name, mac| {
        site.add_machine(name, mac);
        site.act(name, "start");
        site.act(name, "pause");
    }),
    ("cancelled", |site, name, mac| {
        site.add_machine(name, mac);
        site.act(name, "start");
        site.act(name, "cancel");
    }),
];

#[test]
fn a_machine_that_is_not_armed_is_given_nothing_that_installs() {
    let site = Site::new();
    for (row, (state, prepare)) in UNARMED.into_iter().enumerate() {
        for (column, firmware) in FIRMWARES.into_iter().enumerate() {
            let (name, mac) = (format!("m{row}{column}"), format!("52:54:00:aa:0{row}:1{column}"));
            prepare(&site, &name, &mac);
            let played = site.simulate(&["--firmware", firmware, "--mac", &mac]);
            let what = format!("{state}, {firmware}");
            assert_eq!(played.ended(), "disk", "{what}: {:#?}", played.steps);
            assert_eq!((played.steps("kernel", 1), played.steps("answer", 1)), (0, 0), "{what}");
            assert_nothing_installs(&site, played.address(), &what);
        }
    }
}

/// Requests everything that begins an installation, over both protocols, from a machine's own address.
fn assert_nothing_installs(site: &Site, address: Ipv4Addr, what: &str) {
    let ready = site.world.ready();
    let (boot_http, boot_tftp) = (ready["boot_http"].as_str().unwrap(), ready["tftp"].as_str().unwrap());
    for file in ["linux", "initrd.gz"] {
        let path = format!("artifacts/{ARTIFACT}/{file}");
        assert_eq!(tftp(address, boot_tftp, &path), Fetched::Refused, "{what}: {path} over TFTP");
        assert_eq!(
            http(address, boot_http, &format!("/{path}")),
            Fetched::Refused,
            "{what}: {path} over HTTP"
        );
    }
    for path in ["boot.ipxe", "autoexec.ipxe", "grub/grub.cfg", "pxelinux.cfg/default"] {
        let answers = [tftp(address, boot_tftp, path), http(address, boot_http, &format!("/{path}"))];
        for answer in answers {
            let Fetched::Text(script) = answer else { continue };
            let script = script.to_lowercase();
            let mut words = script.split(|letter: char| !letter.is_alphanumeric());
            let installs = words.any(|word| matches!(word, "linux" | "linuxefi" | "kernel" | "initrd"));
            assert!(!installs, "{what}: {path}: {script}");
        }
    }
}

#[test]
fn the_kernel_by_its_plain_path_uses_up_the_arming_too() {
    let site = Site::new();
    let mac = "52:54:00:aa:00:01";
    site.add_machine("web1", mac);
    let before = site.simulate(&["--mac", mac]);
    let ready = site.world.ready();
    let (boot_http, boot_tftp) = (ready["boot_http"].as_str().unwrap(), ready["tftp"].as_str().unwrap());
    let path = format!("artifacts/{ARTIFACT}/linux");
    assert_eq!(tftp(before.address(), boot_tftp, &path), Fetched::Refused);
    site.act("web1", "start");
    assert!(matches!(tftp(before.address(), boot_tftp, &path), Fetched::Text(_)));
    assert_eq!(http(before.address(), boot_http, &format!("/{path}")), Fetched::Refused);
    let machine = site.api.get("/machines/name:web1").expect(200);
    assert_eq!(machine["status"]["armed_until"], Value::Null, "{machine:#}");
}

#[test]
fn ten_machines_at_once_are_installed_with_an_address_each() {
    let site = Site::new();
    let macs: Vec<String> = (0..10).map(|index| format!("52:54:00:aa:00:{index:02x}")).collect();
    for (index, mac) in macs.iter().enumerate() {
        let name = format!("web{index}");
        site.add_machine(&name, mac);
        site.act(&name, "start");
    }
    let played = site.simulate(&["--firmware", "uefi", "--mac", &macs[0], "--count", "10"]);
    let ended: Vec<&Value> = played.machines().iter().map(|machine| &machine["ended"]).collect();
    assert_eq!(ended, [&json!("installed"); 10], "{:#?}", played.steps);
    let addresses: BTreeSet<&str> =
        played.machines().iter().filter_map(|machine| machine["address"].as_str()).collect();
    assert_eq!(addresses.len(), 10, "no address twice: {addresses:?}");
    let leases = site.api.get("/leases").expect(200);
    assert_eq!(leases["total"], 10, "one lease a machine, whoever of it asked: {leases:#}");
    for index in 0..10 {
        assert_eq!(site.state(&format!("web{index}")), "complete");
    }
    let jobs = site.api.get("/jobs").expect(200);
    let states: Vec<&Value> = jobs["items"].as_array().unwrap().iter().map(|job| &job["state"]).collect();
    assert_eq!(states, [&json!("finished"); 20], "two tasks a machine");
}

#[test]
fn machines_install_while_backups_are_made_and_each_backup_restores() {
    let site = Site::new();
    let macs: Vec<String> = (0..4).map(|index| format!("52:54:00:aa:00:{index:02x}")).collect();
    for (index, mac) in macs.iter().enumerate() {
        let name = format!("web{index}");
        site.add_machine(&name, mac);
        site.act(&name, "start");
    }
    let (data, folder) = (site.world.data(), site.world.scratch().to_owned());
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let backups = std::thread::spawn(move || {
        let mut made = 0;
        while made == 0 || stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let file = folder.join(format!("{made}.backup"));
            let mut command = program();
            command.arg("backup").arg("-o").arg(&file).arg("--data").arg(&data);
            let done = command.output().expect("the program runs");
            assert!(done.status.success(), "{done:?}");
            made += 1;
        }
        made
    });
    let played = site.simulate(&["--firmware", "uefi", "--mac", &macs[0], "--count", "4"]);
    let ended: Vec<&Value> = played.machines().iter().map(|machine| &machine["ended"]).collect();
    assert_eq!(ended, [&json!("installed"); 4], "{:#?}", played.steps);
    drop(stop);
    let made: u32 = backups.join().expect("every backup is made");
    let restored = site.world.scratch().join("restored");
    for number in [0, made - 1] {
        let file = site.world.scratch().join(format!("{number}.backup"));
        let mut command = program();
        command.arg("restore").arg(&file).arg("--data").arg(&restored).arg("--force");
        let done = command.output().expect("the program runs");
        assert!(done.status.success(), "{done:?}");
    }
}

#[test]
fn a_rehearsal_without_dhcp_reports_once_and_leaves_the_disk_alone() {
    let site = Site::new();
    let mac = "52:54:00:aa:00:01";
    let machine = json!({"name": "web1", "macs": [mac], "params": {"rehearse": true}});
    site.api.post("/machines", machine).expect(201);
    site.act("web1", "start");
    let played = site.run(&["--mac", mac]);
    assert_eq!(played.ended(), "rehearsed", "{:#?}", played.steps);
    assert_eq!((played.steps("report", 1), played.steps("file", 1)), (1, 2), "early.sh, disk.sh and `done`");
    assert_eq!(site.state("web1"), "complete");
}

#[test]
fn an_installer_that_asks_shows_its_question_in_the_machine_its_events_and_the_metrics() {
    let site = Site::new();
    let mac = "52:54:00:aa:00:01";
    site.add_machine("web1", mac);
    site.act("web1", "start");
    let played = site.simulate(&["--mac", mac, "--installer-asks", "Bad\u{1b}[2J\n  archive mirror"]);
    assert_eq!(played.ended(), "asks", "{:#?}", played.steps);
    let machine = site.api.get("/machines/name:web1").expect(200);
    let status = &machine["status"];
    assert_eq!((&status["state"], &status["stage"]), (&json!("running"), &json!(WORKFLOW)), "{machine:#}");
    assert_eq!(status["reason"], "the installer asks: Bad [2J archive mirror");
    let timeline = site.timeline("web1");
    let asked: Vec<&Value> = timeline
        .iter()
        .filter(|event| event["kind"] == "boot.installer_asks")
        .map(|event| &event["data"])
        .collect();
    assert_eq!(asked.len(), 1, "{timeline:#?}");
    assert_eq!(asked[0]["question"], "Bad [2J archive mirror");
    let shown = site.world.try_cli(&["timeline", "web1"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Bad [2J archive mirror"), "{shown:?}");
    let page = site.api.get("//metrics").expect(200);
    let page = page.as_str().expect("text");
    assert!(page.contains("metalwright_machines_unattended{reason=\"asks\"} 1"), "{page}");
    assert!(page.contains("metalwright_machines_unattended{reason=\"overdue\"} 0"), "{page}");
}

#[test]
fn machines_on_an_interface_broadcast_and_take_their_addresses() {
    net::on_a_lan(|lan| {
        let site = Site::on(World::on_the_lan(), net::subnet());
        let macs = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
        for (index, mac) in macs.into_iter().enumerate() {
            let machine = json!({"name": format!("web{index}"), "macs": [mac], "params": {"rehearse": true}});
            site.api.post("/machines", machine).expect(201);
            site.act(&format!("web{index}"), "start");
        }
        let host = lan.plug_host("h1", macs[0]);
        let words = ["simulate", "--json", "--dhcp", "eth0", "--firmware", "uefi", "--count", "2", "--mac"];
        let played = Played::read(
            host.run(move || program().args(words).arg(macs[0]).output().expect("the program runs")),
        );
        let ended: Vec<&Value> = played.machines().iter().map(|machine| &machine["ended"]).collect();
        assert_eq!(ended, [&json!("rehearsed"); 2], "{:#?}", played.steps);
        let left = host.run(|| {
            let output = std::process::Command::new("ip").args(["-br", "-4", "address"]).output();
            String::from_utf8_lossy(&output.expect("ip (package iproute2)").stdout).into_owned()
        });
        assert!(!left.contains("10.77.0."), "the addresses are given back: {left}");
        assert_eq!((site.state("web0"), site.state("web1")), (json!("complete"), json!("complete")));
    });
}

#[test]
fn a_machine_that_cannot_boot_shows_why_on_its_screen() {
    let site = Site::new();
    let mac = "52:54:00:aa:00:01";
    site.add_machine("web1", mac);
    site.act("web1", "start");
    fs::remove_file(site.world.scratch().join("installer/linux")).expect("a kernel to lose");
    let played = site.simulate(&["--mac", mac]);
    let failure = played.machine()["failure"].as_str().unwrap_or_else(|| panic!("{:#?}", played.steps));
    assert!(failure.starts_with("script: expected a script that boots;"), "{failure}");
    let said = |words: &str| {
        played
            .steps
            .iter()
            .any(|line| line["step"] == "ipxe" && line["text"].as_str().unwrap().contains(words))
    };
    assert!(said("linux"), "the screen names the file that is missing: {:#?}", played.steps);
}

#[test]
fn a_server_that_is_not_there_is_told_of_with_what_was_expected() {
    let site = Site::new();
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let dhcp = nobody.local_addr().expect("its address").to_string();
    let played = site.run(&["--dhcp", &dhcp]);
    let failure = played.machine()["failure"].as_str().expect("a failure");
    assert!(
        failure.starts_with(&format!("dhcp: expected an OFFER from {dhcp}; nothing came in")),
        "{failure}"
    );
}

#[test]
fn clients_that_nobody_knows_are_in_the_log_once_each_with_what_they_said() {
    let site = Site::new();
    let macs = ["52:54:00:5e:00:01", "52:54:00:5e:00:02"];
    for _ in 0..3 {
        for mac in macs {
            assert_eq!(site.simulate(&["--firmware", "uefi", "--mac", mac]).ended(), "disk");
        }
    }
    let log = site.world.log();
    for mac in macs {
        let of_it = |line: &&str| line.contains("an unknown client") && line.contains(mac);
        let lines: Vec<&str> = log.lines().filter(of_it).collect();
        assert_eq!(lines.len(), 1, "{log}");
        for part in ["vendor_class=\"PXEClient", "subnet=\"loopback\"", "address=\"127.1.0.", "reason="] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
    }
}
