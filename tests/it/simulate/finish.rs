//! Installations whose end the server learns late, or from the agent alone.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ARTIFACT, READY_WITHIN, Site};
use crate::program::Program;
use crate::world::program;

const MAC: &str = "52:54:00:aa:00:01";
/// A static address that is no lease.
const STATIC: &str = "127.7.9.9";

fn count(timeline: &[Value], kind: &str) -> usize {
    timeline.iter().filter(|event| event["kind"] == kind).count()
}

#[test]
fn an_installation_whose_done_is_lost_is_confirmed_by_its_agent() {
    let site = Site::new();
    site.add_machine("web1", MAC);
    site.act("web1", "start");
    let played = site.simulate(&["--mac", MAC, "--done", "lost"]);
    assert_eq!(played.ended(), "installed", "{:#?}", played.steps);
    assert_eq!((played.steps("kernel", 1), played.steps("kernel", 2)), (1, 0), "nothing is installed twice");
    assert_eq!(site.state("web1"), "complete");
    let timeline = site.timeline("web1");
    let counts = ["boot.done", "run.failed", "run.installation_confirmed"].map(|kind| count(&timeline, kind));
    assert_eq!(counts, [0, 1, 1], "{timeline:#?}");
    let jobs = site.api.get("/jobs").expect(200);
    assert_eq!(jobs["total"], 2, "the agent's tasks ran: {jobs:#}");
}

#[test]
fn a_done_that_comes_after_the_time_was_up_counts() {
    let site = Site::new();
    let stage = json!({"name": "quick", "bootenv": "debian-12-install", "timeout_seconds": 1});
    site.api.post("/stages", stage).expect(201);
    site.api.post("/workflows", json!({"name": "quick", "stages": ["quick"]})).expect(201);
    site.add_machine("web1", MAC);
    site.api.post("/machines/name:web1/actions/start", json!({"workflow": "quick"})).expect(200);
    let played = site.simulate(&["--mac", MAC, "--done", "4"]);
    assert_eq!(played.ended(), "installed", "{:#?}", played.steps);
    assert_eq!(site.state("web1"), "complete");
    let timeline = site.timeline("web1");
    let counts = ["run.failed", "boot.done", "run.installation_confirmed"].map(|kind| count(&timeline, kind));
    assert_eq!(counts, [1, 1, 1], "{timeline:#?}");
}

/// The server stays away until the installer has tried `METALWRIGHT_AWAY_TRIES` times. From the fifth on a
/// try comes every five seconds.
#[test]
fn a_server_that_is_away_at_done_is_told_when_it_is_back() {
    let mut site = Site::new();
    let ready = site.world.ready().clone();
    let place =
        |name: &str| ready[name].as_str().expect("an address").replace("https://", "").replace("http://", "");
    let (api, boot, tftp) = (place("api"), place("boot_http"), place("tftp"));
    let port = ready["dhcp_port"].to_string();
    let same = ["--api-listen", &api, "--boot-http", &boot, "--tftp-listen", &tftp];
    site.world.listen(&[&same[..], &["--dhcp-interface", "lo", "--dhcp-port", &port]].concat());
    site.add_machine("web1", MAC);
    site.act("web1", "start");
    let mut command = program();
    command.args(["simulate", "--dhcp", &format!("127.0.0.1:{port}"), "--mac", MAC]);
    command.args(["--done", "1", "--report-wait", "900"]).arg("--data").arg(site.world.data());
    let mut machine = Program::spawn("metalwright simulate", command);
    machine.wait_for_text("log; the server says", READY_WITHIN);
    site.world.kill();
    let tries: u32 =
        std::env::var("METALWRIGHT_AWAY_TRIES").map_or(1, |tries| tries.parse().expect("a number"));
    let within = READY_WITHIN + Duration::from_secs(6) * tries;
    machine.wait_for_text(&format!("try {tries}: done is not told"), within);
    site.world.start();
    machine.wait_for_text("done; the server says: web1: noted", READY_WITHIN);
    assert!(machine.wait_for_end(READY_WITHIN).success(), "{}", machine.text());
    assert_eq!(site.world.api().get("/machines/name:web1").expect(200)["status"]["state"], "complete");
}

/// A site's own kickstart, which makes the installer go on at its static address.
fn add_kickstart(site: &Site) {
    let answers = "{% set network = param(name=\"network\") -%}\n\
        network --device={{ machine.mac }} --activate --bootproto=static --ip={{ network.address }}\n\
        %post\ncurl -d x {{ callback_url(event=\"log\") }}\n\
        curl -d x {{ callback_url(event=\"done\") }}\n%end\n";
    let files = json!({"artifact": ARTIFACT, "kernel": "linux", "initrds": ["initrd.gz"]});
    let bootenv = json!({
        "name": "site-ks", "kind": "install", "arches": {"amd64": files},
        "boot_params": "inst.ks={{ file_url(path=\"site.ks\") }}",
        "templates": [{"name": "answers", "path": "site.ks", "inline": answers}],
    });
    site.api.post("/bootenvs", bootenv).expect(201);
    site.api.post("/stages", json!({"name": "site-ks", "bootenv": "site-ks"})).expect(201);
    site.api.post("/workflows", json!({"name": "site-ks", "stages": ["site-ks"]})).expect(201);
}

#[test]
fn an_installer_that_speaks_from_its_static_address_completes() {
    let site = Site::new();
    add_kickstart(&site);
    let network = json!({"mode": "static", "address": STATIC, "prefix_length": 24});
    let machine = json!({"name": "web1", "macs": [MAC], "params": {"network": network}});
    site.api.post("/machines", machine).expect(201);
    site.api.post("/machines/name:web1/actions/start", json!({"workflow": "site-ks"})).expect(200);
    let played = site.simulate(&["--mac", MAC]);
    assert_eq!(played.ended(), "installed", "{:#?}", played.steps);
    assert_eq!(site.state("web1"), "complete");
    let timeline = site.timeline("web1");
    let done = timeline.iter().find(|event| event["kind"] == "boot.done").expect("a report");
    assert_eq!(done["data"]["peer"], STATIC, "{done:#}");
}
