//! Live systems that lose power during their tasks.

use serde_json::{Value, json};

use super::{ARTIFACT, Site};

const MAC: &str = "52:54:00:aa:00:01";

/// The site, with `web1` at the start of a workflow whose live system runs the tasks `scan`, `firmware`,
/// which survives a reboot, and `burn`.
fn site(is_destructive: bool) -> Site {
    let site = Site::new();
    let files = json!({"artifact": ARTIFACT, "kernel": "linux", "initrds": ["initrd.gz"]});
    let agent = "{% include \"snippets/agent.toml\" %}environment = \"live\"\n";
    let bootenv = json!({
        "name": "site-live", "kind": "live", "destructive": is_destructive, "arches": {"amd64": files},
        "boot_params": "metalwright.agent={{ file_url(path=\"agent.toml\") }}",
        "templates": [{"name": "agent", "path": "agent.toml", "inline": agent}],
    });
    site.api.post("/bootenvs", bootenv).expect(201);
    for (name, survives) in [("scan", false), ("firmware", true), ("burn", false)] {
        let task = json!({"name": name, "survives_reboot": survives,
                          "templates": [{"name": "run", "inline": "true"}]});
        site.api.post("/tasks", task).expect(201);
    }
    let stage = json!({"name": "prepare", "bootenv": "site-live", "tasks": ["scan", "firmware", "burn"]});
    site.api.post("/stages", stage).expect(201);
    site.api.post("/workflows", json!({"name": "prepare", "stages": ["prepare"]})).expect(201);
    site.add_machine("web1", MAC);
    site.api.post("/machines/name:web1/actions/start", json!({"workflow": "prepare"})).expect(200);
    site
}

/// The jobs, oldest first: `scan finished`.
fn jobs(site: &Site) -> Vec<String> {
    let jobs = site.api.get("/jobs?sort=created_at").expect(200);
    let text = |job: &Value, field: &str| job[field].as_str().expect("text").to_owned();
    let jobs = jobs["items"].as_array().expect("jobs");
    jobs.iter().map(|job| text(job, "task") + " " + &text(job, "state")).collect()
}

fn machine(site: &Site) -> Value {
    site.api.get("/machines/name:web1").expect(200)
}

#[test]
fn a_live_system_that_loses_power_is_booted_again_and_runs_its_tasks_again() {
    let site = site(false);
    let played = site.simulate(&["--mac", MAC, "--power-off", "burn"]);
    assert_eq!(played.ended(), "live", "{:#?}", played.steps);
    assert_eq!((played.steps("kernel", 1), played.steps("kernel", 2), played.steps("kernel", 3)), (1, 1, 0));
    let machine = machine(&site);
    assert_eq!(machine["status"]["state"], "complete", "{machine:#}");
    let expected = ["scan finished", "firmware finished", "burn lost", "scan finished", "burn finished"];
    assert_eq!(jobs(&site), expected);
    let timeline = site.timeline("web1");
    let lost = timeline.iter().filter(|event| event["kind"] == "run.live_system_lost").count();
    assert_eq!(lost, 1, "{timeline:#?}");
}

#[test]
fn a_live_system_without_our_dhcp_is_booted_again_too() {
    let site = site(false);
    let played = site.run(&["--mac", MAC, "--power-off", "firmware"]);
    assert_eq!(played.ended(), "live", "{:#?}", played.steps);
    assert_eq!(
        jobs(&site),
        ["scan finished", "firmware lost", "scan finished", "firmware finished", "burn finished"]
    );
}

#[test]
fn a_destructive_live_system_that_loses_power_is_not_booted_again_until_retry() {
    let site = site(true);
    let played = site.simulate(&["--mac", MAC, "--power-off", "burn"]);
    assert_eq!(played.ended(), "disk", "{:#?}", played.steps);
    assert_eq!(played.steps("kernel", 2), 0);
    let stopped = machine(&site);
    assert_eq!(
        (&stopped["status"]["state"], &stopped["status"]["armed_until"]),
        (&json!("failed"), &Value::Null)
    );
    let reason = stopped["status"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("`site-live`, which may have erased disks, at step 4 (task burn"), "{reason}");
    let again = site.simulate(&["--mac", MAC]);
    assert_eq!((again.ended(), again.steps("kernel", 1)), ("disk", 0), "a power-on arms nothing");
    site.act("web1", "retry");
    let played = site.simulate(&["--mac", MAC]);
    assert_eq!(played.ended(), "live", "{:#?}", played.steps);
    let done = machine(&site);
    assert_eq!(
        (&done["status"]["state"], &done["status"]["armed_until"]),
        (&json!("complete"), &Value::Null)
    );
}

#[test]
fn the_command_line_stops_before_a_step_skips_one_and_begins_at_one() {
    let site = site(false);
    let refused = site.world.try_cli(&["machines", "pause", "web1", "--before", "brn"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("step 4 (task burn of prepare)"), "{said}");
    site.world.cli(&["machines", "pause", "web1", "--before", "burn", "--reason", "the fan is replaced"]);
    assert_eq!(site.simulate(&["--mac", MAC]).ended(), "live");
    let held = machine(&site);
    assert_eq!((&held["status"]["state"], &held["status"]["cursor"]), (&json!("held"), &json!(4)));
    let reason = held["status"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("stopped before step 4") && reason.contains("the fan is replaced"), "{reason}");
    let shown = site.world.cli(&["timeline", "web1"]);
    assert!(shown.contains("the fan is replaced"), "{shown}");
    site.world.cli(&["machines", "skip", "web1", "--reason", "no fan"]);
    site.world.cli(&["machines", "resume", "web1"]);
    assert_eq!(machine(&site)["status"]["state"], "complete");
    site.world.cli(&["machines", "restart", "web1", "--from", "burn"]);
    assert_eq!(site.simulate(&["--mac", MAC]).ended(), "live");
    assert_eq!(machine(&site)["status"]["state"], "complete");
    assert_eq!(jobs(&site), ["scan finished", "firmware finished", "burn finished"]);
    site.world.cli(&["machines", "restart", "web1", "--from", "2", "--stop-before", "3"]);
    site.world.cli(&["machines", "mark-done", "web1", "--reason", "it is up"]);
    site.world.cli(&["machines", "mark-done", "web1", "--reason", "scanned by hand"]);
    assert_eq!(machine(&site)["status"]["state"], "held");
}
