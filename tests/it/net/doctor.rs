//! `doctor dhcp` on a host with a fault: it names the fault and what to do, and its exit code is 1 if no
//! machine would be answered.

use std::net::UdpSocket;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::packets::ask;
use super::{BRIDGE, SERVER_ADDRESS, ip, on_a_lan, subnet};
use crate::api::Api;
use crate::program::Program;
use crate::world::{World, program};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// The program without some capabilities, like root in a container.
fn without(capabilities: &[&str], words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    for set in ["--bounding-set", "--inh-caps"] {
        command.arg(set).arg(capabilities.iter().map(|one| format!("-{one}")).collect::<Vec<_>>().join(","));
    }
    command.arg(program().get_program()).args(words);
    command
}

/// The doctor's output by lines, with its exit code.
fn said(output: &Output) -> (String, Option<i32>) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.code())
}

/// The doctor on a host where no server has run.
fn doctor(data: &TempDir, words: &[&str]) -> (String, Option<i32>) {
    let mut command = program();
    command.args(["doctor", "dhcp"]).args(words).arg("--data").arg(data.path());
    said(&command.output().expect("the program runs"))
}

#[test]
fn an_interface_that_is_missing_down_or_without_an_address_is_broken_and_says_what_to_do() {
    on_a_lan(|_| {
        let data = TempDir::new().expect("a folder");
        ip("link add down0 type bridge");
        ip("link add bare0 type bridge");
        ip("link set bare0 up");
        for (name, what) in [
            ("none0", "there is no such interface; there are lo, lan0, down0, bare0"),
            ("down0", "it is down: ip link set down0 up"),
            ("bare0", "ip address add ADDRESS/24 dev bare0"),
        ] {
            let (text, code) = doctor(&data, &[name]);
            let line = text.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{text}"));
            assert!(line.starts_with("FAIL") && code == Some(1), "{code:?} {text}");
        }
        let (text, _) = doctor(&data, &["none0", "--probe"]);
        assert!(text.contains("could not be asked: there is no interface none0"), "{text}");
    });
}

#[test]
fn whoever_has_port_67_is_named() {
    on_a_lan(|_| {
        let data = TempDir::new().expect("a folder");
        let _taken = UdpSocket::bind("0.0.0.0:67").expect("the port of DHCP servers");
        let (text, code) = doctor(&data, &[BRIDGE]);
        let owner = format!("(pid {}) has it: stop it", std::process::id());
        let line = text.lines().find(|line| line.contains("port 67")).expect("a line");
        assert!(line.starts_with("FAIL") && line.contains(&owner) && code == Some(1), "{code:?} {text}");
    });
}

#[test]
fn a_server_is_known_by_what_it_is_and_not_by_what_it_is_called() {
    on_a_lan(|_| {
        // Another program's process with the server's name.
        let data = TempDir::new().expect("a folder");
        let false_one = data.path().join("metalwright");
        std::fs::copy("/usr/sbin/dnsmasq", &false_one).expect("dnsmasq (package dnsmasq-base)");
        let mut command = Command::new(&false_one);
        command.args(["-d", "-C", "/dev/null", "-p", "0", "--user=root", "--log-dhcp", "--leasefile-ro"]);
        command.arg("--dhcp-range=10.77.0.200,10.77.0.209,1h");
        let mut dnsmasq = Program::spawn("dnsmasq", command);
        dnsmasq.wait_for_line("DHCP, IP range", READY_WITHIN);
        let (text, _) = doctor(&data, &[BRIDGE]);
        let line = text.lines().find(|line| line.contains("port 67")).expect("a line");
        let known = format!("metalwright (pid {}) has it, and was not seen to be started from", dnsmasq.id());
        assert!(line.starts_with("warn") && line.contains(&known), "{text}");
        dnsmasq.kill();
        // The server under another name, from another file; its data directory identifies it.
        let renamed = data.path().join("boot-server");
        std::fs::copy(program().get_program(), &renamed).expect("a copy of the program");
        let folder = data.path().join("data");
        let mut command = Command::new(&renamed);
        command.arg("serve").arg("--data").arg(&folder).args(["--dhcp-interface", BRIDGE]);
        command.args(["--api-listen", "127.0.0.1:0", "--boot-http", "off", "--tftp-listen", "off"]);
        let mut server = Program::spawn("metalwright serve", command);
        server.wait_for_line("{\"event\":\"ready\"", READY_WITHIN);
        let words = ["doctor", "dhcp", BRIDGE, "--data", folder.to_str().expect("a path in UTF-8")];
        let mut asking = program();
        let (text, _) = said(&asking.args(words).output().expect("the program runs"));
        let line = text.lines().find(|line| line.contains("port 67")).expect("a line");
        let known = format!("boot-server (pid {}) has it", server.id());
        assert!(line.starts_with("ok") && line.contains(&known), "{text}");
    });
}

#[test]
fn capabilities_that_are_missing_are_named_with_the_ways_to_have_them() {
    on_a_lan(|_| {
        let data = TempDir::new().expect("a folder");
        let folder = data.path().to_str().expect("a path in UTF-8");
        let words = ["doctor", "dhcp", BRIDGE, "--probe", "--data", folder];
        let output = without(&["net_raw", "net_bind_service"], &words).output().expect("setpriv");
        let (text, code) = said(&output);
        let line = text.lines().find(|line| line.contains("capabilities")).expect("a line");
        assert!(line.contains("CAP_NET_BIND_SERVICE and CAP_NET_RAW missing here"), "{text}");
        assert!(line.contains("as root") && line.contains("AmbientCapabilities"), "{text}");
        assert!(text.contains("UDP port 68 needs root or the capability CAP_NET_BIND_SERVICE"), "{text}");
        assert_eq!(code, Some(1), "nobody listens: {text}");
        let serve = ["serve", "--data", folder, "--dhcp-interface", BRIDGE, "--api-listen", "127.0.0.1:0"];
        let (text, code) = said(&without(&["net_bind_service"], &serve).output().expect("setpriv"));
        assert!(text.contains("needs root or the capability CAP_NET_BIND_SERVICE"), "{text}");
        assert_eq!(code, Some(1), "{text}");
    });
}

#[test]
fn a_doctor_that_cannot_see_frames_does_not_say_that_nobody_answers() {
    on_a_lan(|_| {
        let world = World::on_the_lan();
        world.api().post("/subnets", subnet()).expect(201);
        let data = world.data();
        let words = ["doctor", "dhcp", BRIDGE, "--probe", "--data", data.to_str().expect("a path in UTF-8")];
        let (text, code) = said(&without(&["net_raw"], &words).output().expect("setpriv"));
        assert!(text.contains("seen with CAP_NET_RAW only: run this as root"), "{text}");
        assert!(!text.contains("nobody answered") && code == Some(0), "{code:?} {text}");
    });
}

#[test]
fn a_server_without_net_raw_answers_by_broadcast_and_the_doctor_says_what_it_lacks() {
    on_a_lan(|lan| {
        let data = TempDir::new().expect("a folder");
        let folder = data.path().to_str().expect("a path in UTF-8");
        let off = ["--api-listen", "127.0.0.1:0", "--boot-http", "off", "--tftp-listen", "off"];
        let serve = ["serve", "--data", folder, "--dhcp-interface", BRIDGE];
        let command = without(&["net_raw"], &[&serve[..], &off].concat());
        let mut server = Program::spawn("metalwright serve", command);
        let ready = server.wait_for_line("{\"event\":\"ready\"", READY_WITHIN);
        let ready: Value = serde_json::from_str(&ready).expect("one line of JSON");
        let token = std::fs::read_to_string(data.path().join("admin.token")).expect("a token");
        let api = Api::new(ready["api"].as_str().expect("an address"), token.trim());
        let mut lan_subnet = subnet();
        lan_subnet["probe"] = json!("arp");
        api.post("/subnets", lan_subnet).expect(201);
        let host = lan.plug_host("h1", "02:00:00:00:00:01");
        let text = "xid 1\nchaddr 02:00:00:00:00:01\nmessage_type discover\n";
        let frame = ask(&host, "eth0", text.to_owned());
        assert_eq!((frame.target_mac(), frame.target().is_broadcast()), (&[0xff; 6][..], true));
        assert_eq!(
            frame.dhcp().server_identifier().map(|own| own.to_string()).as_deref(),
            Some(SERVER_ADDRESS)
        );
        let (text, _) = doctor(&data, &[BRIDGE]);
        let line = text.lines().find(|line| line.contains("capabilities")).expect("a line");
        for part in ["not probed", "not heard", "sent broadcasts", "lacks CAP_NET_RAW: start it as root"] {
            assert!(line.contains(part), "{part}: {text}");
        }
    });
}
