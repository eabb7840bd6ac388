//! The system's own DHCP client (ISC `dhclient`) with the server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{BRIDGE, CIDR, SERVER_ADDRESS, ip, on_a_lan};
use crate::net::lan::Host;
use crate::program::Program;
use crate::world::World;

const MAC: &str = "02:00:00:00:00:01";
pub const LEASE_WITHIN: Duration = Duration::from_secs(60);

/// A subnet on the bridge with two addresses to give.
pub fn subnet() -> Value {
    json!({
        "name": "lan",
        "cidr": CIDR,
        "pools": [{"start": "10.77.0.100", "end": "10.77.0.101"}],
        "lease_seconds": 3600,
        "options": {"routers": [SERVER_ADDRESS], "domain_name_servers": ["10.77.0.2", "10.77.0.3"]},
    })
}

/// `dhclient` on a host. Its script takes the address, records its variables, and prints a line.
pub struct Client {
    folder: PathBuf,
}

impl Client {
    pub fn new(scratch: &Path) -> Client {
        let folder = scratch.join("dhclient");
        fs::create_dir_all(&folder).expect("a folder for the client");
        let script = folder.join("script");
        let lines = format!(
            "#!/bin/sh\nrefused=$(cat {0}/refused 2>/dev/null)\n\
             [ \"$reason $new_ip_address\" != \"BOUND $refused\" ] || exit 1\n\
             [ -z \"$new_ip_address\" ] || ip address replace \"$new_ip_address/24\" dev eth0\n\
             env > {0}/told.$reason\necho \"told $reason\"\n",
            folder.display()
        );
        fs::write(&script, lines).expect("the client's script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a script that runs");
        let settings = "timeout 50; retry 1; select-timeout 0; initial-interval 1; backoff-cutoff 2;\n";
        fs::write(folder.join("conf"), settings).expect("the client's settings");
        Client { folder }
    }

    /// From now on the client's script reports that another host uses this address.
    fn finds_in_use(&self, address: &str) {
        fs::write(self.folder.join("refused"), address).expect("a file for the script");
    }

    /// Starts the client; it runs, and renews, until the program is dropped.
    pub fn start(&self, host: &Host) -> Program {
        self.start_with(host, "-1")
    }

    /// Releases the lease.
    fn release(&self, host: &Host) -> Program {
        self.start_with(host, "-r")
    }

    fn start_with(&self, host: &Host, flag: &str) -> Program {
        let mut command = Command::new("dhclient");
        command.args(["-d", "-v", "-4", flag]);
        for (flag, name) in [("-sf", "script"), ("-cf", "conf"), ("-lf", "leases"), ("-pf", "pid")] {
            command.arg(flag).arg(self.folder.join(name));
        }
        command.arg("eth0");
        host.run(|| Program::spawn("dhclient", command))
    }

    /// A variable of the client's script when its reason was `BOUND` or another one.
    pub fn told(&self, reason: &str, name: &str) -> String {
        let text = fs::read_to_string(self.folder.join(format!("told.{reason}"))).expect("a lease");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_default().to_owned()
    }
}

#[test]
fn dhclient_gets_an_address_and_the_options_of_the_subnet() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let api = world.api();
        api.post("/subnets", subnet()).expect(201);
        let host = lan.plug_host("h1", MAC);
        let client = Client::new(world.scratch());
        let mut running = client.start(&host);
        running.wait_for_line("bound to 10.77.0.100", LEASE_WITHIN);
        let told = |name| client.told("BOUND", name);
        assert_eq!(told("new_subnet_mask"), "255.255.255.0");
        assert_eq!(told("new_routers"), SERVER_ADDRESS);
        assert_eq!(told("new_domain_name_servers"), "10.77.0.2 10.77.0.3");
        assert_eq!(told("new_dhcp_server_identifier"), SERVER_ADDRESS);
        assert_eq!(told("new_dhcp_lease_time"), "3600");
        let lease = lease(&world);
        assert_eq!((&lease["address"], &lease["mac"]), (&json!("10.77.0.100"), &json!(MAC)), "{lease:#}");
    });
}

#[test]
fn an_address_with_a_label_is_that_of_its_interface() {
    on_a_lan(|lan| {
        ip(&format!("address del {SERVER_ADDRESS}/24 dev {BRIDGE}"));
        ip(&format!("address add {SERVER_ADDRESS}/24 brd + dev {BRIDGE} label {BRIDGE}:boot"));
        let world = World::on_the_lan();
        world.api().post("/subnets", subnet()).expect(201);
        let host = lan.plug_host("h1", MAC);
        let client = Client::new(world.scratch());
        client.start(&host).wait_for_line("bound to 10.77.0.100", LEASE_WITHIN);
        assert_eq!(client.told("BOUND", "new_dhcp_server_identifier"), SERVER_ADDRESS);
        let doctor = world.try_cli(&["doctor", "dhcp", BRIDGE]);
        let said = String::from_utf8_lossy(&doctor.stdout);
        assert!(said.contains(&format!("it is up with {SERVER_ADDRESS}/24")), "{said}");
    });
}

#[test]
fn a_lease_outlives_a_server_that_is_killed() {
    on_a_lan(|lan| {
        let mut world = World::on_the_lan();
        world.api().post("/subnets", subnet()).expect(201);
        let host = lan.plug_host("h1", MAC);
        let client = Client::new(world.scratch());
        client.start(&host).wait_for_line("bound to 10.77.0.100", LEASE_WITHIN);
        world.kill();
        world.start();
        // The client has its lease on disk and asks for it again (INIT-REBOOT).
        client.start(&host).wait_for_line("bound to 10.77.0.100", LEASE_WITHIN);
        assert_eq!(client.told("REBOOT", "new_ip_address"), "10.77.0.100");
        // Another client gets the other address.
        let other = lan.plug_host("h2", "02:00:00:00:00:02");
        let client = Client::new(&world.scratch().join("other"));
        client.start(&other).wait_for_line("bound to 10.77.0.101", LEASE_WITHIN);
    });
}

#[test]
fn a_client_renews_with_a_server_that_was_killed_right_behind_the_ack() {
    on_a_lan(|lan| {
        let mut world = World::on_the_lan();
        let mut lan_of_a_minute = subnet();
        lan_of_a_minute["lease_seconds"] = json!(60);
        world.api().post("/subnets", lan_of_a_minute).expect(201);
        let host = lan.plug_host("h1", MAC);
        let client = Client::new(world.scratch());
        let mut running = client.start(&host);
        running.wait_for_line("DHCPACK of 10.77.0.100", LEASE_WITHIN);
        world.kill();
        world.start();
        let before = lease(&world);
        // After half the lease time the client asks the server at its known address (RENEWING).
        running.wait_for_line("told RENEW", LEASE_WITHIN);
        let after = lease(&world);
        assert_eq!(after["address"], before["address"]);
        assert!(after["expires_at"].as_str() > before["expires_at"].as_str(), "{before:#} {after:#}");
        let renewed = world.api().get("/events?kind=dhcp.renewed").expect(200);
        assert_eq!(
            renewed["items"],
            json!([]),
            "the lease says all there is to a renewal by no machine of ours"
        );
    });
}

#[test]
fn dhclient_gives_its_lease_back_and_gets_the_same_address_again() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", subnet()).expect(201);
        let host = lan.plug_host("h1", MAC);
        let client = Client::new(world.scratch());
        client.start(&host).wait_for_line("bound to 10.77.0.100", LEASE_WITHIN);
        let mut events = world.spawn_cli(&["events", "watch", "--after", "0", "--kind", "dhcp.released"]);
        let mut releasing = client.release(&host);
        releasing.wait_for_line("DHCPRELEASE of 10.77.0.100", LEASE_WITHIN);
        events.wait_for_line("10.77.0.100", LEASE_WITHIN);
        assert_eq!(lease(&world)["state"], "released");
        releasing.wait_for_end(LEASE_WITHIN);
        client.start(&host).wait_for_line("bound to 10.77.0.100", LEASE_WITHIN);
        assert_eq!(lease(&world)["state"], "bound");
    });
}

#[test]
fn an_address_that_dhclient_declines_is_not_given_to_it_again() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", subnet()).expect(201);
        let host = lan.plug_host("h1", MAC);
        let client = Client::new(world.scratch());
        client.finds_in_use("10.77.0.100");
        // With -1 it would give up after the first address.
        let mut running = client.start_with(&host, "-4");
        running.wait_for_line("DHCPDECLINE of 10.77.0.100", LEASE_WITHIN);
        running.wait_for_line("bound to 10.77.0.101", LEASE_WITHIN);
        let declined = world.api().get("/leases/10.77.0.100").expect(200);
        assert_eq!(declined["state"], "declined", "{declined:#}");
    });
}

#[test]
fn a_packet_that_is_cut_short_is_counted_and_logged_and_harms_nobody() {
    on_a_lan(|lan| {
        let world = World::on_the_lan_with(&["--log-level", "info,metalwright::dhcp=debug"]);
        world.api().post("/subnets", subnet()).expect(201);
        let host = lan.plug_host("h1", MAC);
        host.run(|| {
            super::lan::ip("address add 10.77.0.9/24 dev eth0");
            let socket = std::net::UdpSocket::bind("0.0.0.0:68").expect("the client's port");
            // A broadcast needs no neighbour and is sent at once.
            socket.set_broadcast(true).expect("a socket that may broadcast");
            for length in [0, 1, 43, 200, 235] {
                socket.send_to(&discover()[..length], ("10.77.0.255", 67)).expect("a packet");
            }
            super::lan::ip("address del 10.77.0.9/24 dev eth0");
        });
        // Packets of one host stay in order: when this one's answer arrives, the earlier ones were handled.
        let client = Client::new(world.scratch());
        client.start(&host).wait_for_line("bound to 10.77.0.100", LEASE_WITHIN);
        let metrics = world.api().get("//metrics").expect(200);
        let metrics = metrics.as_str().expect("text");
        assert!(metrics.contains("\nmetalwright_dhcp_dropped_total{reason=\"malformed\"} 5\n"), "{metrics}");
        let log = world.log();
        assert!(log.contains("235 bytes are fewer than the 236 of a BOOTP header"), "{log}");
        assert!(log.contains("source=10.77.0.9:68") && log.contains("interface=\"lan0\""), "{log}");
    });
}

/// The smallest DHCPDISCOVER (RFC 2131 section 2).
fn discover() -> Vec<u8> {
    let mut packet = vec![0; 236];
    packet[..3].copy_from_slice(&[1, 1, 6]);
    packet[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    packet.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255]);
    packet
}

/// The only lease.
fn lease(world: &World) -> Value {
    let mut leases = world.api().get("/leases").expect(200);
    assert_eq!(leases["total"], 1, "{leases:#}");
    leases["items"][0].take()
}
