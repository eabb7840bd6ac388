//! The server's log at `info`: the story of each run with the machine's name and MAC, and unknown clients.
//! Start at [`Lines`].

use std::time::{Duration, Instant};

use serde_json::json;

use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::World;

const LOGGED_WITHIN: Duration = Duration::from_secs(30);

/// The lines of a log about one thing.
struct Lines<'a> {
    world: &'a World,
    about: &'a str,
}

impl Lines<'_> {
    fn now(&self) -> Vec<String> {
        let log = self.world.log();
        log.lines().filter(|line| line.contains(self.about)).map(str::to_owned).collect()
    }

    /// Blocks until a line has all of `parts`, and returns it.
    fn wait_for(&self, parts: &[&str]) -> String {
        let until = Instant::now() + LOGGED_WITHIN;
        loop {
            let lines = self.now();
            if let Some(line) = lines.iter().find(|line| parts.iter().all(|part| line.contains(part))) {
                return line.clone();
            }
            assert!(Instant::now() < until, "no line with {parts:?}: {lines:#?}");
            std::thread::yield_now();
        }
    }

    fn count(&self, part: &str) -> usize {
        self.now().iter().filter(|line| line.contains(part)).count()
    }
}

/// A server with `web1`, whose workflow erases disks.
fn site() -> (World, BootSide) {
    let world = World::on_loopback();
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
    let bootenv = json!({"name": "wipe", "kind": "install", "destructive": true, "arches": {"amd64": files}});
    api.post("/bootenvs", bootenv).expect(201);
    api.post("/stages", json!({"name": "wiping", "bootenv": "wipe"})).expect(201);
    api.post("/workflows", json!({"name": "reinstall", "stages": ["wiping"]})).expect(201);
    api.post("/machines", json!({"name": "web1.example.org", "macs": [MAC]})).expect(201);
    (world, boot)
}

#[test]
fn the_log_tells_the_story_of_a_run_once_with_name_and_mac() {
    let (mut world, boot) = site();
    let api = world.api();
    let act = |action: &str, body| {
        api.post(&format!("/machines/name:web1.example.org/actions/{action}"), body).expect(200);
    };
    act("start", json!({"workflow": "reinstall"}));
    act("disarm", json!({}));
    act("arm", json!({}));
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let folder = format!("/m/{}", scene::capability(&script));
    assert_eq!(boot.get(&format!("{folder}/linux")).0, 200);
    assert_eq!(boot.post(&format!("{folder}/failed"), "no disk\n\x1b[31mred").0, 200);
    act("retry", json!({}));
    act("pause", json!({}));
    act("resume", json!({}));
    act("cancel", json!({}));
    act("start", json!({"workflow": "reinstall"}));
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let folder = format!("/m/{}", scene::capability(&script));
    assert_eq!(boot.get(&format!("{folder}/linux")).0, 200);
    assert_eq!(boot.post(&format!("{folder}/done"), "").0, 200);
    // Everything that is committed is in the log when the server has ended.
    assert!(world.stop().success());
    let lines = Lines { world: &world, about: "web1.example.org" };
    let who = format!("machine=\"web1.example.org\" mac=\"{MAC}\"");
    let of_run = [who.as_str(), "workflow=\"reinstall\"", "stage=\"wiping\""];
    let story: [(&str, usize, &[&str]); 12] = [
        ("run started", 2, &["by=\"token:admin\""]),
        ("machine armed", 5, &["bootenv=\"wipe\"", "until="]),
        ("machine disarmed", 5, &["reason=\"disarmed by token:admin\""]),
        ("run held", 1, &["reason=\"disarmed by token:admin; `arm` goes on\""]),
        ("run failed", 1, &["step=\"wipe\"", "no disk\\n\\u{1b}[31mred"]),
        ("run retried", 1, &["by=\"token:admin\""]),
        ("run paused", 1, &["by=\"token:admin\""]),
        ("run resumed", 1, &["by=\"token:admin\""]),
        ("run cancelled", 1, &["by=\"token:admin\""]),
        ("run complete", 1, &[]),
        ("kernel fetched", 2, &[]),
        ("boot attempt begins", 2, &[]),
    ];
    for (said, times, parts) in story {
        let of_boot = said.starts_with("kernel") || said.starts_with("boot");
        let common = if of_boot { &of_run[..1] } else { &of_run[..] };
        lines.wait_for(&[&[said][..], common, parts].concat());
        assert_eq!(lines.count(said), times, "{said}: {:#?}", lines.now());
    }
    let capability = folder.trim_start_matches("/m/");
    assert!(!world.log().contains(capability), "a capability is in the log");
}

#[test]
fn a_client_that_nobody_knows_is_in_the_log_once_a_minute_with_its_mac() {
    let (world, boot) = site();
    let strangers = ["52:54:00:cc:00:01", "52:54:00:cc:00:02"];
    for _ in 0..5 {
        for stranger in strangers {
            assert_eq!(boot.get(&format!("/boot.ipxe?mac={stranger}")).0, 200);
        }
    }
    let lines = Lines { world: &world, about: "an unknown client" };
    for stranger in strangers {
        let line = lines.wait_for(&[&format!("mac=\"{stranger}\"")]);
        assert!(
            line.contains("address=\"127.0.0.1\"") && line.contains("reason=\"unknown machine"),
            "{line}"
        );
        assert_eq!(lines.count(stranger), 1);
    }
}

#[test]
fn a_machine_that_waits_is_told_in_the_log_of_a_client_with_almost_its_mac() {
    let (mut world, boot) = site();
    let api = world.api();
    let start = json!({"workflow": "reinstall"});
    api.post("/machines/name:web1.example.org/actions/start", start).expect(200);
    let near = MAC.replace("01", "02");
    assert_eq!(near.len(), MAC.len());
    for _ in 0..3 {
        assert_eq!(boot.get(&format!("/boot.ipxe?mac={near}")).0, 200);
    }
    assert!(world.stop().success());
    let lines = Lines { world: &world, about: "an unknown client has almost the machine's MAC" };
    let line = lines.wait_for(&["machine=\"web1.example.org\"", &near, MAC]);
    assert_eq!(lines.now().len(), 1, "{line}");
}
