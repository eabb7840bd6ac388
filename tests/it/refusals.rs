//! The messages that an operator gets when something is wrong. A truncated packet is in [`crate::net`],
//! because DHCP needs a network of its own.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::World;

/// The pointers and messages of a refusal, one per line.
fn problems(body: &Value) -> String {
    let problems = body["problems"].as_array().expect("problems");
    let line = |p: &Value| format!("{}: {}", p["pointer"].as_str().unwrap(), p["message"].as_str().unwrap());
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_template_that_cannot_be_read_is_refused_with_its_line_and_column() {
    let world = World::on_loopback();
    let template = json!({"name": "site/motd", "body": "Welcome to\n{{ machine.name | upper \n"});
    let refused = world.api().post("/templates", template).expect(422);
    let fault = &refused["problems"][0];
    assert_eq!((&fault["pointer"], &fault["template"]), (&json!("/body"), &json!("site/motd")), "{fault}");
    assert!([2, 3].contains(&fault["line"].as_u64().unwrap()) && fault["column"].is_u64(), "{fault}");
    world.api().get("/templates/site%2Fmotd").expect(404);
}

#[test]
fn a_template_that_cannot_be_rendered_is_on_the_machines_screen_and_timeline() {
    let mut scene = Scene::new("hostname={{ machine.hostname }}");
    let (status, screen) = scene.boot.get(&format!("/boot.ipxe?mac={MAC}"));
    assert_eq!(status, 200, "{screen}");
    assert!(screen.starts_with("#!ipxe") && screen.contains("cannot boot yet"), "{screen}");
    assert!(screen.contains("hostname") && screen.contains("web1"), "{screen}");
    assert!(!screen.contains("kernel --name"), "{screen}");
    let failed = scene.event("boot.render_failed");
    let problem = &failed["data"]["problem"];
    assert_eq!(
        (&problem["template"], &problem["line"]),
        (&json!("site-live/answers.cfg"), &json!(1)),
        "{failed:#}"
    );
    let machine = scene.api.get("/machines/name:web1").expect(200);
    assert!(problems(&machine).contains("hostname"), "{machine:#}");

    // After the repair the machine boots.
    let inline = json!([{"name": "answers", "path": "answers.cfg", "inline": "hostname={{ machine.name }}"}]);
    scene.api.patch("/bootenvs/site-live", json!({"templates": inline})).expect(200);
    scene.api.post("/machines/name:web1/actions/retry", json!({"refresh": true})).expect(200);
    let (_, script) = scene.boot.get(&format!("/boot.ipxe?mac={MAC}"));
    assert!(script.contains("kernel --name linux"), "{script}");
    let answers = scene.boot.get(&format!("/m/{}/answers.cfg", scene::capability(&script)));
    assert_eq!(answers, (200, "hostname=web1".to_owned()));
    let machine = scene.api.get("/machines/name:web1").expect(200);
    assert_eq!(problems(&machine), "", "{machine:#}");
}

#[test]
fn a_param_of_the_wrong_type_is_refused_with_its_place() {
    let world = World::on_loopback();
    let params = json!({"rehearse": "yes", "timezone": "Europe/Vienna", "packages": ["vim", 7]});
    let refused = world.api().post("/machines", json!({"name": "web1", "params": params})).expect(422);
    let said = problems(&refused);
    assert!(said.contains("/params/rehearse: ") && said.contains("is not true or false"), "{said}");
    assert!(said.contains("/params/packages/1: ") && said.contains("is not text"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn a_subnet_that_overlaps_another_is_refused_with_its_name() {
    let world = World::on_loopback();
    let api = world.api();
    api.post("/subnets", json!({"name": "rack-a", "cidr": "10.0.0.0/16"})).expect(201);
    let refused = api.post("/subnets", json!({"name": "rack-b", "cidr": "10.0.3.0/24"})).expect(409);
    assert_eq!(refused["detail"], "10.0.3.0/24 overlaps subnet `rack-a` (10.0.0.0/16)");
}

#[test]
fn a_proxy_subnet_that_asks_to_give_addresses_is_told_what_to_leave_out() {
    let world = World::on_loopback();
    let api = world.api();
    let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.199"}]);
    let office = json!({"name": "office", "cidr": "10.0.0.0/24", "mode": "proxy", "pools": pools,
        "options": {"routers": ["10.0.0.254"]}, "authoritative": true, "bootp": true, "probe": "arp"});
    let said = problems(&api.post("/subnets", office).expect(422));
    for pointer in ["/pools", "/options", "/authoritative", "/bootp", "/probe"] {
        assert!(said.contains(&format!("{pointer}: a `proxy` subnet gets its addresses")), "{said}");
    }
    let office = json!({"name": "office", "cidr": "10.0.0.0/24", "mode": "proxy", "shared_network": "floor"});
    api.post("/subnets", office).expect(201);
    let other = json!({"name": "other", "cidr": "10.0.1.0/24", "shared_network": "floor"});
    let refused = api.post("/subnets", other).expect(409);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("`office`")), "{refused:#}");
}

#[test]
fn a_stale_write_is_refused_with_both_revisions() {
    let world = World::on_loopback();
    let api = world.api();
    api.post("/profiles", json!({"name": "db"})).expect(201);
    api.patch("/profiles/db", json!({"description": "theirs"})).expect(200);
    let body = json!({"description": "mine"});
    let headers = [("content-type", "application/merge-patch+json"), ("if-match", "\"1\"")];
    let refused = api.send_with(Method::PATCH, "/profiles/db", Some(body), &headers).expect(412);
    assert!(refused["detail"].as_str().unwrap().contains("revision 2, not 1"), "{refused:#}");
    assert_eq!(api.get("/profiles/db").expect(200)["description"], "theirs");
}

#[test]
fn a_path_that_leaves_the_tree_is_refused_over_http_and_tftp_alike() {
    let scene = Scene::new("");
    let inside =
        ["artifacts/debian-12-amd64/../../etc/passwd", "artifacts/debian-12-amd64/..\\..\\etc/passwd"];
    for path in ["../../etc/passwd", "/../etc/passwd", inside[0], inside[1]] {
        let (status, said) = scene.boot.get(&format!("/{}", path.trim_start_matches('/')));
        assert_eq!((status, said.trim_end()), (400, "the path leaves the tree"), "{path} over HTTP");
        let encoded = path.trim_start_matches('/').replace("..", "%2e%2e");
        let (status, said) = scene.boot.get(&format!("/{encoded}"));
        assert_eq!((status, said.trim_end()), (400, "the path leaves the tree"), "{encoded} over HTTP");
        assert_eq!(
            scene.boot.read(path),
            Err((2, "the path leaves the tree".to_owned())),
            "{path} over TFTP"
        );
    }
    // A link that leads out of the artifact is not a file of it.
    let link = "artifacts/debian-12-amd64/out";
    assert_eq!(scene.boot.get(&format!("/{link}")).0, 404);
    assert_eq!(scene.boot.read(link), Err((1, "file not found".to_owned())));
    assert_eq!(scene.boot.read("artifacts/debian-12-amd64/README"), Ok(b"read me".to_vec()));
}

#[test]
fn a_wrong_callback_capability_is_refused_and_changes_nothing() {
    let mut scene = Scene::new("");
    let (_, script) = scene.boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let genuine = scene::capability(&script).to_owned();
    assert_eq!(scene.boot.get(&format!("/m/{genuine}/linux")).0, 200);
    let last = if genuine.ends_with('0') { "1" } else { "0" };
    let forged = format!("{}{last}", &genuine[..genuine.len() - 1]);
    let (status, said) = scene.boot.post(&format!("/m/{forged}/done"), "");
    assert_eq!((status, said.trim_end()), (401, "this server did not issue the capability in this URL"));
    assert_eq!(scene.boot.get(&format!("/m/{forged}/answers.cfg")).0, 404);
    let attempt = &scene.api.get("/machines/name:web1").expect(200)["status"]["boot_attempt"];
    assert_eq!(attempt["progress"], "kernel", "{attempt:#}");

    // A genuine capability is reported as such after its time.
    let (status, said) = scene.boot.post(&format!("/m/{genuine}/done"), "");
    assert_eq!((status, said.trim_end()), (200, "web1: noted"));
    scene.event("boot.done");
    assert_eq!(scene.boot.get(&format!("/m/{genuine}/answers.cfg")).0, 403);
    let (status, said) = scene.boot.post(&format!("/m/{genuine}/failed"), "");
    assert_eq!((status, said.trim_end()), (409, "web1: the boot attempt has ended already, as done"));
    let events = scene.api.get("/events?limit=1000").expect(200).to_string();
    assert!(!events.contains(&genuine), "a capability is in an event");
}

#[test]
fn a_caller_without_a_token_and_one_with_a_wrong_token_learn_nothing() {
    let world = World::on_loopback();
    for token in ["", "mw_wrong"] {
        let api = world.api().with_token(token);
        let refused = api.get("/machines").expect(401);
        assert_eq!(refused["title"], "Unauthorized", "{refused:#}");
        api.delete("/machines/name:web1").expect(401);
        api.put("/settings/unknown_machine", json!({"value": "ignore"})).expect(401);
        assert_eq!(api.get("//healthz").expect(200), json!({"status": "ok"}));
    }
}

/// A server on loopback, a small artifact, and the machine `web1` at a step that boots `site-live`, whose
/// file is rendered from `answers`.
struct Scene {
    api: Api,
    boot: BootSide,
    _world: World,
}

impl Scene {
    fn new(answers: &str) -> Scene {
        let world = World::on_loopback();
        let (api, boot) = (world.api(), BootSide::of(world.ready()));
        let folder = scene::small_installer(world.scratch());
        std::fs::write(folder.join("README"), "read me").expect("a file");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("out")).expect("a link");
        scene::add_installer(&api, &folder);
        let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
        let templates = json!([{"name": "answers", "path": "answers.cfg", "inline": answers}]);
        let bootenv = json!({
            "name": "site-live", "kind": "live", "arches": {"amd64": files}, "templates": templates,
        });
        api.post("/bootenvs", bootenv).expect(201);
        api.post("/stages", json!({"name": "site-live", "bootenv": "site-live"})).expect(201);
        api.post("/workflows", json!({"name": "site-live", "stages": ["site-live"]})).expect(201);
        api.post("/machines", json!({"name": "web1", "macs": [MAC]})).expect(201);
        api.post("/machines/name:web1/actions/start", scene::start_anyway("site-live")).expect(200);
        Scene { api, boot, _world: world }
    }

    /// The first event of this kind, as soon as it has happened.
    fn event(&mut self, kind: &str) -> Value {
        self.api.events_after(0).wait_for(scene::EVENT_WITHIN, |event| event["kind"] == kind)
    }
}
