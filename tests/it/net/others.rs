//! Other participants on the wire, another DHCP server and a relay: seen by the server and shown by `doctor
//! dhcp`.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::dhcp::{Client, LEASE_WITHIN};
use super::lan::{Host, ip, plug_behind};
use super::{BRIDGE, on_a_lan, subnet};
use crate::program::Program;
use crate::world::World;

const MAC: &str = "02:00:00:00:00:01";
const OTHER: &str = "02:00:00:00:00:09";
const STARTED_WITHIN: Duration = Duration::from_secs(20);

/// `dnsmasq` on a host at 10.77.0.9, which gives addresses and a boot file.
fn dnsmasq(world: &World, host: &Host) -> Program {
    host.run(|| ip("address add 10.77.0.9/24 dev eth0"));
    let mut command = Command::new("dnsmasq");
    command.args(["-d", "-C", "/dev/null", "-p", "0", "--user=root", "--no-ping", "--log-dhcp"]);
    command.args(["--dhcp-authoritative", "--dhcp-broadcast", "--dhcp-boot=other.efi"]);
    command.arg("--dhcp-range=10.77.0.200,10.77.0.209,1h");
    command.arg(format!("--dhcp-leasefile={}", world.scratch().join("dnsmasq").display()));
    let mut running = host.run(|| Program::spawn("dnsmasq", command));
    running.wait_for_line("DHCP, IP range", STARTED_WITHIN);
    running
}

fn doctor(world: &World, words: &[&str]) -> String {
    let output = world.try_cli(&[&["doctor", "dhcp", BRIDGE], words].concat());
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn another_dhcp_server_is_an_event_and_a_warning() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let mut only_known = subnet();
        only_known["reservations_only"] = json!(true);
        world.api().post("/subnets", only_known).expect(201);
        let ready = world.api().get("//readyz").expect(200);
        assert_eq!(ready["warnings"], json!(null));
        let other = lan.plug_host("h1", OTHER);
        let _rival = dnsmasq(&world, &other);
        let mut events = world.spawn_cli(&["events", "watch", "--after", "0", "--kind", "dhcp.rival_server"]);
        let host = lan.plug_host("h2", MAC);
        Client::new(world.scratch()).start(&host).wait_for_line("bound to 10.77.0.20", LEASE_WITHIN);
        events.wait_for_line(
            &format!("another DHCP server, 10.77.0.9 ({OTHER}), answers on {BRIDGE}"),
            LEASE_WITHIN,
        );
        let told = world.api().get("/events?kind=dhcp.rival_server").expect(200);
        let told = told["items"].as_array().cloned().unwrap_or_default();
        // A client's packet that names it may be read before its own.
        assert!(told.len() <= 2, "{told:#?}");
        let data = &told.last().expect("an event")["data"];
        assert_eq!((&data["server"], &data["mac"]), (&json!("10.77.0.9"), &json!(OTHER)), "{told:#?}");
        assert_eq!((&data["boot_data"], &data["interface"]), (&json!(true), &json!(BRIDGE)));
        let ready = world.api().get("//readyz").expect(200);
        assert!(ready["warnings"][0].as_str().is_some_and(|said| said.contains(BRIDGE)), "{ready:#}");
        let said = doctor(&world, &[]);
        assert!(said.contains("server 10.77.0.9") && said.contains(OTHER), "{said}");
    });
}

#[test]
fn doctor_asks_who_answers() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", subnet()).expect(201);
        let other = lan.plug_host("h1", OTHER);
        let _rival = dnsmasq(&world, &other);
        let said = doctor(&world, &["--probe"]);
        assert!(said.contains("another server, 10.77.0.9, offers 10.77.0.20"), "{said}");
        assert!(said.contains("and the boot file other.efi"), "{said}");
        assert!(said.contains("this host, 10.77.0.1, offers 10.77.0.10"), "{said}");
        assert!(said.contains("port 67") && said.contains("metalwright (pid"), "{said}");
        assert!(said.contains("an unknown machine that asks now: offered 10.77.0.10"), "{said}");
    });
}

#[test]
fn dhclient_behind_a_relay_gets_a_lease_of_the_relays_subnet() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let mut far = subnet();
        far["name"] = json!("far");
        far["cidr"] = json!("10.78.0.0/24");
        far["pools"] = json!([{"start": "10.78.0.100", "end": "10.78.0.101"}]);
        far["options"] = json!({"routers": ["10.78.0.1"]});
        far["probe"] = json!("icmp");
        let router = lan.plug_host("h1", "02:00:00:00:00:02");
        router.run(|| ip("address add 10.77.0.2/24 dev eth0"));
        let host = plug_behind(&router, MAC, "10.78.0.1/24");
        ip("route add 10.78.0.0/24 via 10.77.0.2");
        let mut relay = Command::new("dhcrelay");
        relay.args(["-4", "-d", "--no-pid", "-a", "-id", "eth1", "-iu", "eth0", super::SERVER_ADDRESS]);
        let mut relay = router.run(|| Program::spawn("dhcrelay (package isc-dhcp-relay)", relay));
        relay.wait_for_line("Sending on   Socket/fallback", STARTED_WITHIN);
        let client = Client::new(world.scratch());
        let mut running = client.start(&host);
        // No subnet fits the relay yet: that is reported and shown.
        let mut events = world.spawn_cli(&["events", "watch", "--after", "0", "--kind", "dhcp.no_subnet"]);
        events.wait_for_line("no subnet contains 10.78.0.1", LEASE_WITHIN);
        let said = doctor(&world, &[]);
        assert!(said.contains("relay 10.78.0.1") && said.contains("no enabled subnet fits"), "{said}");
        world.api().post("/subnets", far).expect(201);
        running.wait_for_line("bound to 10.78.0.100", LEASE_WITHIN);
        assert_eq!(client.told("BOUND", "new_routers"), "10.78.0.1");
        let said = doctor(&world, &[]);
        assert!(said.contains("for subnet far"), "{said}");
        let status = world.api().get("/dhcp/status").expect(200);
        assert_eq!(status["relays"][0]["address"], "10.78.0.1", "{status:#}");
        let far = status["subnets"].as_array().and_then(|all| all.first()).expect("a subnet");
        assert_eq!((&far["leased"], &far["free"]), (&json!(1), &json!(1)), "{status:#}");
    });
}
