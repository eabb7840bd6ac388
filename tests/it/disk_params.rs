//! The params that say which disk is installed on, with the real server: the older name, the migration, and
//! what is refused when a workflow starts.

use serde_json::{Value, json};

use crate::api::Api;
use crate::scene;
use crate::world::World;

const OLD: &str = "/dev/disk/by-id/nvme-A";

/// A server with an installer, a profile and machines that name their disks by the older param.
fn older_site() -> (World, Api) {
    let world = World::on_loopback();
    let api = world.api();
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    api.post("/profiles", json!({"name": "rack", "params": {"install_disk": "/dev/sdb"}})).expect(201);
    api.post("/profiles", json!({"name": "global", "params": {"install_disk": "/dev/sdz"}})).expect(201);
    for (name, body) in [
        ("own", json!({"params": {"install_disk": OLD}, "profiles": ["rack"]})),
        ("racked", json!({"profiles": ["rack"]})),
        ("plain", json!({})),
        ("newer", json!({"params": {"disk": {"pick": "smallest"}}, "profiles": ["rack"]})),
        ("below", json!({"params": {"install_disk": OLD}, "profiles": ["rule"]})),
        ("locked", json!({"params": {"install_disk": OLD}, "locked": true})),
        ("both", json!({"params": {"install_disk": OLD, "disk": {"path": "/dev/sdc"}}})),
    ] {
        let mut body = body;
        body["name"] = json!(name);
        if name == "below" {
            let rule = json!({"name": "rule", "params": {"disk": {"pick": "largest"}}});
            api.post("/profiles", rule).expect(201);
        }
        api.post("/machines", body).expect(201);
    }
    (world, api)
}

/// The rule for a machine's disks, or why there is none.
fn rule_of(api: &Api, machine: &str) -> String {
    let rule = "{% set rule = disk_rule() %}{{ rule.words }}";
    let reply = api.post("/render", json!({"machine": format!("name:{machine}"), "inline": rule}));
    let status = reply.status;
    let body = reply.expect(status);
    body["text"].as_str().map_or_else(|| body["detail"].to_string(), str::to_owned)
}

const MACHINES: [&str; 7] = ["own", "racked", "plain", "newer", "below", "locked", "both"];

fn rules(api: &Api) -> Vec<String> {
    MACHINES.iter().map(|name| rule_of(api, name)).collect()
}

#[test]
fn values_under_the_older_name_mean_the_same_disk_before_and_after_they_are_rewritten() {
    let (world, api) = older_site();
    let before = rules(&api);
    let expected = [
        "the disk /dev/disk/by-id/nvme-A",
        "the disk /dev/sdb",
        "the disk /dev/sdz",
        "the smallest disk",
        "the disk /dev/disk/by-id/nvme-A",
        "the disk /dev/disk/by-id/nvme-A",
    ];
    assert_eq!(before[..6], expected);
    assert!(before[6].contains("the machine sets both `disk` and `install_disk`"), "{}", before[6]);
    let problems = |name: &str| api.get(&format!("/machines/name:{name}")).expect(200)["problems"].clone();
    let problem = &problems("own")[0];
    assert_eq!((&problem["code"], &problem["pointer"]), (&json!("renamed"), &json!("/params/install_disk")));
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("`disk: {path: /dev/disk/by-id/nvme-A}`"), "{message}");
    assert_eq!(problems("both")[0]["code"], "exclusive");

    let told = world.cli(&["params", "migrate"]);
    let line =
        format!("machine own: {{\"install_disk\":\"{OLD}\"}} -> {{\"disk\":{{\"path\":\"{OLD}\"}}}}\n");
    assert!(told.contains(&line) && told.contains("profile rack: "), "{told}");
    assert!(told.contains("machine both: ") && told.contains("STAYS: it sets `disk` as well"), "{told}");
    let report = api.post("/params/actions/migrate", json!({})).expect(200);
    assert_eq!((&report["dry_run"], &report["complete"]), (&json!(true), &json!(true)));
    assert_eq!(report["items"].as_array().unwrap().len(), 6, "{report:#}");
    assert_eq!(rules(&api), before, "a dry run writes nothing");

    let output = world.try_cli(&["params", "migrate", "--yes"]);
    assert_eq!(output.status.code(), Some(1), "two stay");
    let own = api.get("/machines/name:own").expect(200);
    assert_eq!((&own["params"], &own["problems"]), (&json!({"disk": {"path": OLD}}), &json!([])));
    assert_eq!(api.get("/profiles/global").expect(200)["params"], json!({"disk": {"path": "/dev/sdz"}}));
    assert_eq!(rules(&api), before);
    let left = api.post("/params/actions/migrate", json!({"dry_run": false})).expect(200);
    let mut left: Vec<&Value> = left["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    left.sort_by_key(|name| name.to_string());
    assert_eq!(left, ["both", "locked"]);
}

#[test]
fn a_workflow_does_not_start_with_a_rule_that_cannot_be_carried_out() {
    let (_world, api) = older_site();
    let start = |name: &str| {
        let path = format!("/machines/name:{name}/actions/start");
        api.post(&path, scene::start_anyway("install-debian-12"))
    };
    let refused = start("both").expect(409);
    assert!(refused["problems"].to_string().contains("sets both `disk` and `install_disk`"), "{refused}");
    for (params, why) in [
        (json!({"disk": {"count": 2}}), "`partitioning: lvm` divides one"),
        (json!({"disk": {"path": "/dev/sda", "pick": "smallest"}}), "leave `pick` out"),
    ] {
        api.patch("/machines/name:plain", json!({"params": params})).expect(200);
        let refused = start("plain").expect(409);
        assert!(refused["problems"].to_string().contains(why), "{refused}");
        api.patch("/machines/name:plain", json!({"params": {"disk": null}})).expect(200);
    }
    for (rule, pointer) in [
        (json!({"size": 4}), "/params/disk/size"),
        (json!({"bus": "nvm"}), "/params/disk/bus"),
        (json!("/dev/sda"), "/params/disk"),
        (json!({}), "/params/disk"),
        (json!({"model": "a\\b"}), "/params/disk/model"),
    ] {
        let refused = api.patch("/machines/name:plain", json!({"params": {"disk": rule}})).expect(422);
        assert_eq!(refused["problems"][0]["pointer"], pointer, "{refused:#}");
    }
    let two = json!({"disk": {"count": 2}, "partitioning": "custom", "partitioning_recipe": "x"});
    api.patch("/machines/name:plain", json!({"params": two})).expect(200);
    start("plain").expect(200);
    assert_eq!(api.get("/machines/name:plain/explain").expect(200)["disk"], "the only 2 disks");
}

/// A site may have declared a param `disk` of its own, which is no rule.
#[test]
fn a_param_of_the_site_with_the_name_of_the_rule_does_not_become_one_silently() {
    let world = crate::upgrade::upgraded_with("");
    let api = world.api();
    let machine = json!({"name": "new", "profiles": []});
    api.post("/machines", machine).expect(201);
    let refused = api.post("/machines/name:new/actions/start", json!({"workflow": "install-debian-12"}));
    let refused = refused.expect(409);
    assert!(refused["problems"].to_string().contains("`disk` is not a rule for disks"), "{refused}");
}
