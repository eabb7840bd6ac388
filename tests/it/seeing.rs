//! Where the lines of documents come from, previews of changes that are not saved, differences from what was
//! served, and documents that a write broke.

use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::api::Api;
use crate::scene::{self, EVENT_WITHIN, MAC};
use crate::wire::BootSide;
use crate::world::World;

const ANSWERS: &str = "host {{ machine.name }}\n{% include \"site/ntp\" %}root {{ param(name='canary') }}\n";
const NTP: &str = "ntp {{ param(name='ntp', default='pool') }}\n";
const SECRET: &str = "correct horse battery";

/// The machine `web1`, in a run whose bootenv has an answer file of two templates.
struct Site {
    world: World,
    api: Api,
    boot: BootSide,
    run: String,
}

impl Site {
    fn new() -> Site {
        let world = World::on_loopback();
        let (api, boot) = (world.api(), BootSide::of(world.ready()));
        scene::add_installer(&api, &scene::small_installer(world.scratch()));
        let secret = json!({"name": "canary", "secret": true, "schema": {"type": "string"}});
        api.post("/params", secret).expect(201);
        api.post("/params", json!({"name": "ntp", "default": "10.0.0.9"})).expect(201);
        api.post("/templates", json!({"name": "site/ntp", "body": NTP})).expect(201);
        api.post("/templates", json!({"name": "site/answers", "body": ANSWERS})).expect(201);
        let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
        let answers = json!({"name": "answers", "path": "answers.cfg", "template": "site/answers"});
        api.post(
            "/bootenvs",
            json!({"name": "site", "kind": "live", "arches": {"amd64": files}, "templates": [answers],
                "boot_params": "ntp={{ param(name='ntp') }} url={{ file_url(path='answers.cfg') }}"}),
        )
        .expect(201);
        api.post("/stages", json!({"name": "site", "bootenv": "site"})).expect(201);
        api.post("/workflows", json!({"name": "site", "stages": ["site"]})).expect(201);
        api.post("/profiles", json!({"name": "lab", "params": {"ntp": "10.0.0.2"}})).expect(201);
        let params = json!({"canary": SECRET, "ntp": "10.0.0.1"});
        let machine = json!({"name": "web1", "macs": [MAC], "params": params, "profiles": ["lab"],
            "workflow": "site"});
        api.post("/machines", machine).expect(201);
        let started = api.post("/machines/name:web1/actions/start", scene::start_anyway("site")).expect(200);
        let run = started["status"]["run"]["id"].as_str().expect("a run").to_owned();
        Site { world, api, boot, run }
    }

    fn render(&self, with: Value) -> Value {
        let mut asked = json!({"machine": "name:web1", "file": "answers.cfg"});
        let fields = asked.as_object_mut().expect("an object");
        fields.extend(with.as_object().expect("an object").clone());
        self.api.post("/render", asked).expect(200)
    }

    /// Fetches script and answers, and waits until they are recorded: they are written after the answers.
    fn boots(&self) {
        let (_, script) = self.boot.get(&format!("/boot.ipxe?mac={MAC}"));
        let capability = scene::capability(&script).to_owned();
        assert_eq!(self.boot.get(&format!("/m/{capability}/answers.cfg")).0, 200);
        let deadline = Instant::now() + EVENT_WITHIN;
        while self.documents() < 2 {
            assert!(Instant::now() < deadline, "the documents are recorded");
            thread::yield_now();
        }
    }

    fn documents(&self) -> usize {
        let body = self.api.get(&format!("/runs/{}/documents", self.run)).expect(200);
        body["items"].as_array().map_or(0, Vec::len)
    }

    fn cli_code(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = self.world.try_cli(words);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn places(rendered: &Value) -> Vec<String> {
    let lines = rendered["lines"].as_array().expect("the lines").iter();
    lines.map(|line| format!("{}:{}", line["template"].as_str().unwrap_or_default(), line["line"])).collect()
}

#[test]
fn a_preview_says_where_each_line_comes_from_and_takes_a_change_that_is_not_saved() {
    let site = Site::new();
    let rendered = site.render(json!({}));
    assert_eq!(rendered["text"], "host web1\nntp 10.0.0.1\nroot (sealed)\n");
    assert_eq!(places(&rendered), ["site/answers:1", "site/ntp:1", "site/answers:2"]);
    assert_eq!(rendered["sources"]["site/ntp"], "site");
    let ntp = json!([{"name": "ntp", "level": "machine", "hides": [{"profile": "lab"}, "default"]}]);
    assert_eq!(rendered["lines"][1]["params"], ntp);
    assert_eq!(rendered["lines"][0]["variables"], json!(["machine.name"]));
    assert!(!rendered.to_string().contains(SECRET), "{rendered:#}");
    let plain = site.render(json!({"lines": false}));
    assert_eq!((&plain["sha256"], &plain["lines"]), (&rendered["sha256"], &Value::Null));
    let script = site.api.post("/render", json!({"machine": "name:web1", "file": "boot.ipxe"})).expect(200);
    assert!(script["lines"].to_string().contains("site/boot_params"), "{script:#}");

    let template = json!({"name": "site/ntp", "body": "time {{ param(name='ntp') }}\n"});
    let content = json!({"content": {"templates": [template], "values": {"ntp": "10.0.0.3"}}});
    let changed = site.render(content.clone());
    assert_eq!(changed["text"], "host web1\ntime 10.0.0.3\nroot (sealed)\n");
    assert_eq!(changed["sources"]["site/ntp"], "not saved");
    assert_eq!(site.render(json!({}))["text"], rendered["text"], "nothing is saved");
    let token = json!({"name": "reader", "scopes": ["machines:read"]});
    let token = site.api.post("/tokens", token).expect(201);
    let reader = site.api.with_token(token["token"].as_str().expect("a token"));
    let mut asked = json!({"machine": "name:web1", "file": "answers.cfg"});
    asked["content"] = content["content"].clone();
    let refused = reader.post("/render", asked).expect(403);
    assert!(refused["detail"].to_string().contains("templates:write"), "{refused:#}");

    let (code, blamed) = site.cli_code(&["render", "web1", "answers.cfg", "--blame"]);
    assert_eq!(code, Some(0));
    assert!(blamed.contains("site site/ntp:1"), "{blamed}");
    assert!(blamed.contains("^ ntp from machine, hides profile `lab`, defaults"), "{blamed}");
}

#[test]
fn a_diff_shows_what_a_machine_would_be_served_now_and_was_not() {
    let site = Site::new();
    let (code, _) = site.cli_code(&["diff", "web1"]);
    assert_eq!(code, Some(0), "it was served nothing");
    site.boots();
    let diff = site.api.get("/machines/name:web1/diff").expect(200);
    assert_eq!(diff["differs"], false, "{diff:#}");
    site.api
        .patch("/templates/site%2Fntp", json!({"body": "ntp {{ param(name='ntp') }} iburst\n"}))
        .expect(200);
    let diff = site.api.get("/machines/name:web1/diff").expect(200);
    let shown: Vec<(&str, &str)> = diff["documents"]
        .as_array()
        .expect("documents")
        .iter()
        .map(|one| (one["path"].as_str().unwrap_or_default(), one["change"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(shown, [("answers.cfg", "differs"), ("boot.ipxe", "same")]);
    let text = diff["documents"][0]["diff"].as_str().expect("a difference");
    assert!(text.contains("-ntp 10.0.0.1\n+ntp 10.0.0.1 iburst\n"), "{text}");
    assert!(text.contains("root (sealed)") && !text.contains(SECRET), "{text}");
    let (code, printed) = site.cli_code(&["diff", "web1"]);
    assert!(code == Some(5) && printed.contains("+ntp 10.0.0.1 iburst"), "{code:?} {printed}");
    site.api.post("/machines", json!({"name": "web2"})).expect(201);
    let fleet = site.api.get("/diff").expect(200);
    assert_eq!(fleet["groups"][0]["machines"], json!(["web1"]), "{fleet:#}");
    assert_eq!((&fleet["compared"], &fleet["without_documents"]), (&json!(1), &json!(1)));
    let (code, printed) = site.cli_code(&["diff", "--fleet"]);
    assert!(code == Some(5) && printed.starts_with("== 1 machines: web1\n"), "{code:?} {printed}");
}

#[test]
fn a_write_that_breaks_documents_is_saved_and_names_them_with_their_machines() {
    let site = Site::new();
    let body = json!({"body": "ntp {{ machine.nmae }}\n"});
    let written = site.api.patch("/templates/site%2Fntp", body).expect(200);
    let problem = &written["problems"][0];
    let said = problem["message"].as_str().expect("a message");
    assert!(said.starts_with("`answers.cfg` of web1 cannot be rendered now"), "{written:#}");
    assert!(said.contains("name") && said.contains("included from site/answers:2"), "{said}");
    assert_eq!((&problem["template"], &problem["line"]), (&json!("site/ntp"), &json!(1)));
    let unused = json!({"name": "site/unused", "body": "{{ machine.nmae }}"});
    let written = site.api.post("/templates", unused).expect(201);
    assert_eq!(written["problems"], json!([]), "nobody uses it");
    let written = site.api.patch("/templates/site%2Fntp", json!({"body": NTP})).expect(200);
    assert_eq!(written["problems"], json!([]));
}

#[test]
fn params_are_explained_on_all_levels_and_variables_name_their_objects() {
    let site = Site::new();
    let params = site.api.get("/machines/name:web1/params?explain=true").expect(200);
    let levels = json!([
        {"level": "machine", "value": "10.0.0.1"},
        {"level": "profile `lab`", "value": "10.0.0.2"},
        {"level": "defaults", "value": "10.0.0.9", "source": "site"},
    ]);
    assert_eq!(params["params"]["ntp"]["levels"], levels);
    assert_eq!(params["params"]["canary"]["levels"][0]["value"], json!({"sealed": true}));
    let variables = site.api.get("/machines/name:web1/variables").expect(200);
    let rows = variables["items"].as_array().expect("rows");
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(row("machine.name")["from"], "machine `web1`");
    assert_eq!(row("bootenv.name")["value"], "site");
    assert_eq!(row("param(name=\"ntp\")")["from"], "machine");
    assert!(!variables.to_string().contains(SECRET));
    let (_, printed) = site.cli_code(&["params", "web1", "--explain"]);
    let hidden = printed.lines().find(|line| line.contains("profile `lab`")).expect("the level");
    assert!(hidden.trim_end().ends_with("machine"), "{hidden}");
    assert!(site.cli_code(&["vars", "web1"]).1.contains("machine.short_name"));
}
