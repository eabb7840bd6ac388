//! The system's own DHCP client (ISC `dhclient`) against the server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CIDR, SERVER_ADDRESS, on_a_lan};
use crate::net::lan::Host;
use crate::program::Program;
use crate::world::World;

const MAC: &str = "02:00:00:00:00:01";
const LEASE_WITHIN: Duration = Duration::from_secs(60);

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

/// `dhclient` on a host. Its script does nothing but write down what it was told.
struct Client {
    folder: PathBuf,
}

impl Client {
    fn new(scratch: &Path) -> Client {
        let folder = scratch.join("dhclient");
        fs::create_dir_all(&folder).expect("a folder for the client");
        let script = folder.join("script");
        let lines = format!("#!/bin/sh\nenv > {}/told.$reason\n", folder.display());
        fs::write(&script, lines).expect("the client's script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a script that runs");
        let settings = "timeout 50; retry 1; select-timeout 0; initial-interval 1; backoff-cutoff 2;\n";
        fs::write(folder.join("conf"), settings).expect("the client's settings");
        Client { folder }
    }

    /// Starts the client; it runs, and renews, until the program is dropped.
    fn start(&self, host: &Host) -> Program {
        let mut command = Command::new("dhclient");
        command.args(["-4", "-d", "-1", "-v"]);
        for (flag, name) in [("-sf", "script"), ("-cf", "conf"), ("-lf", "leases"), ("-pf", "pid")] {
            command.arg(flag).arg(self.folder.join(name));
        }
        command.arg("eth0");
        host.run(|| Program::spawn("dhclient", command))
    }

    /// A variable that the client gave to its script when it was `BOUND` or met with another reason.
    fn told(&self, reason: &str, name: &str) -> String {
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
        let leases = api.get("/leases").expect(200);
        assert_eq!(leases["total"], 1, "{leases:#}");
        let lease = &leases["items"][0];
        assert_eq!((&lease["address"], &lease["mac"]), (&json!("10.77.0.100"), &json!(MAC)), "{lease:#}");
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
