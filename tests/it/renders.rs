//! Templates as programs of strangers: what a preview may do and reveal, and the effect on others of a
//! template that does not end or uses all memory. Start at [`Site`].

use std::fs;
use std::thread;

use serde_json::{Value, json};

use crate::api::Api;
use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::World;

/// Uses no fuel, calls nothing, writes nothing. It would run for days.
const ENDLESS: &str = "{% set l = range(end=10000) %}{% for a in l %}{% for b in l %}{% for c in l %}\
                       {% for d in l %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}";
/// How often a machine asks before it counts as not served.
const ASKED_MAX: usize = 5;
/// Most memory that the server's own process may ever have had, in KiB.
const SERVER_KIB_MAX: u64 = 400 * 1024;

/// Doubles a text 34 times: 256 GiB without a limit.
fn bomb() -> String {
    let doubled = "{% set_global s = s ~ s %}".repeat(34);
    format!("{{% set_global s = \"aaaaaaaaaaaaaaaa\" %}}{doubled}{{{{ s | length }}}}")
}

/// A server with the machine `web1`, whose workflow `site` boots a small kernel.
struct Site {
    world: World,
    api: Api,
    boot: BootSide,
}

impl Site {
    fn new() -> Site {
        let world = World::on_loopback();
        let (api, boot) = (world.api(), BootSide::of(world.ready()));
        scene::add_installer(&api, &scene::small_installer(world.scratch()));
        let site = Site { world, api, boot };
        site.add_bootenv("site", "agent.toml", "token = '{{ agent_token() }}'");
        site.add_machine("web1", (MAC, "site"));
        site
    }

    /// A bootenv with one file, and a workflow that boots it.
    fn add_bootenv(&self, name: &str, path: &str, body: &str) {
        let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
        let templates = json!([{"name": "file", "path": path, "inline": body}]);
        let bootenv = json!({"name": name, "kind": "live", "arches": {"amd64": files}, "templates": templates,
            "boot_params": "url={{ file_url(path='agent.toml') }} done={{ callback_url(event='done') }}"});
        self.api.post("/bootenvs", bootenv).expect(201);
        self.api.post("/stages", json!({"name": name, "bootenv": name})).expect(201);
        self.api.post("/workflows", json!({"name": name, "stages": [name]})).expect(201);
    }

    fn add_machine(&self, name: &str, (mac, workflow): (&str, &str)) {
        self.api.post("/machines", json!({"name": name, "macs": [mac]})).expect(201);
        let start = format!("/machines/name:{name}/actions/start");
        self.api.post(&start, scene::start_anyway(workflow)).expect(200);
    }

    fn script(&self, mac: &str) -> (u16, String) {
        self.boot.get(&format!("/boot.ipxe?mac={mac}"))
    }

    fn token_with(&self, scopes: &[&str]) -> Api {
        let name = scopes.join("-").replace(':', "-");
        let made = self.api.post("/tokens", json!({"name": name, "scopes": scopes})).expect(201);
        self.api.with_token(made["token"].as_str().expect("a token"))
    }

    /// Checks that known and unknown machines are served as if nothing were wrong.
    fn assert_boots_go_on(&self) {
        // On a busy host it may get a busy answer: firmware asks again.
        let served = (0..ASKED_MAX).map(|_| self.script(MAC)).find(|(_, script)| script.contains("/linux"));
        assert_eq!(served.map(|(status, _)| status), Some(200), "{}", self.script(MAC).1);
        let (status, script) = self.script("52:54:00:ff:ff:ff");
        assert!(status == 200 && script.contains("booting from the disk"), "{status} {script}");
    }

    /// Checks that the fault is reported, and that the server itself has used no memory.
    fn assert_told(&self, limit: &str) {
        let ready = self.api.get("//readyz").expect(200);
        assert_eq!(ready["status"], "degraded", "{ready:#}");
        let metrics = self.api.get("//metrics").expect(200);
        let metrics = metrics.as_str().expect("text");
        let name = format!("metalwright_render_workers_lost_total{{limit=\"{limit}\"}} ");
        let lost = metrics.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric");
        assert!(lost.parse::<u64>().expect("a number") > 0);
        let log = self.world.log();
        assert!(log.contains("a render was ended and its worker replaced"), "{log}");
        let status = fs::read_to_string(format!("/proc/{}/status", self.world.server_id()));
        let status = status.expect("the status of the server");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        assert!(kib < SERVER_KIB_MAX, "{kib} KiB");
    }
}

fn inline(body: &str) -> Value {
    json!({"machine": "name:web1", "inline": body})
}

/// A preview without the origins of its lines: their marks would end it at its deadline in the worker itself.
fn without_origins(body: &str) -> Value {
    json!({"machine": "name:web1", "inline": body, "lines": false})
}

#[test]
fn a_text_of_ones_own_is_rendered_for_who_may_write_templates_only() {
    let site = Site::new();
    let reader = site.token_with(&["machines:read"]);
    let refused = reader.post("/render", inline("{{ machine.name }}")).expect(403);
    assert!(refused["detail"].as_str().is_some_and(|why| why.contains("`templates:write`")), "{refused:#}");
    let stored = json!({"machine": "name:web1", "template": "ipxe/local.ipxe"});
    // A caller that may not read templates is told of none.
    reader.post("/render", stored.clone()).expect(404);
    let reader = site.token_with(&["machines:read", "templates:read"]);
    assert!(reader.post("/render", stored).expect(200)["text"].is_string());
    let author = site.token_with(&["machines:read", "templates:write"]);
    assert_eq!(author.post("/render", inline("{{ machine.name }}")).expect(200)["text"], "web1");
    let without_machines = site.token_with(&["templates:write"]);
    without_machines.post("/render", inline("x")).expect(403);
}

/// The paths below `/m/` in a text.
fn machine_paths(text: &str) -> Vec<String> {
    let urls = text.split_whitespace().filter_map(|word| word.split_once("/m/"));
    urls.map(|(_, path)| format!("/m/{}", path.trim_end_matches(['"', '\'', ')']))).collect()
}

#[test]
fn no_url_of_a_preview_opens_anything_and_the_agents_token_lives_on() {
    let site = Site::new();
    let (_, script) = site.script(MAC);
    let capability = scene::capability(&script);
    let (status, config) = site.boot.get(&format!("/m/{capability}/agent.toml"));
    let token = config.split('\'').nth(1).expect("the agent's token");
    assert_eq!(status, 200);
    let body = "{{ file_url(path='agent.toml') }} {{ callback_url(event='failed') }} {{ server.http }}";
    let boot_script = json!({"machine": "name:web1", "file": "boot.ipxe"});
    let grub = json!({"machine": "name:web1", "file": "grub.cfg"});
    let template = json!({"machine": "name:web1", "template": "ipxe/boot.ipxe"});
    let mut paths = Vec::new();
    for asked in [boot_script, grub, template, inline(body), inline("{{ boot.base_url }}/boot.ipxe")] {
        let reply = site.api.post("/render", asked.clone());
        if reply.status == 200 {
            let text = reply.body["text"].as_str().expect("text").to_owned();
            assert!(!text.contains(capability), "{asked}: {text}");
            paths.extend(machine_paths(&text));
        }
    }
    assert!(paths.len() > 5, "{paths:?}");
    for path in paths {
        assert_eq!(site.boot.get(&path).0, 404, "{path}");
        assert!(site.boot.read(&path).is_err(), "{path}");
        assert!([401, 404, 405].contains(&site.boot.post(&path, "forged").0), "{path}");
    }
    site.api.with_token(token).get("//openapi.yaml").expect(200);
    assert_eq!(site.api.get("/machines/name:web1").expect(200)["status"]["state"], "running");
}

#[test]
fn ten_endless_previews_at_once_and_a_memory_bomb_hold_up_no_boot() {
    let site = Site::new();
    site.assert_boots_go_on();
    thread::scope(|threads| {
        let previews: Vec<_> = (0..10)
            .map(|_| {
                let api = site.world.api();
                threads.spawn(move || {
                    let reply = api.post("/render", without_origins(ENDLESS));
                    (reply.status, reply.body)
                })
            })
            .collect();
        // Not cached from before: the world has changed.
        site.api.post("/params", json!({"name": "rack"})).expect(201);
        site.assert_boots_go_on();
        for preview in previews {
            let (status, body) = preview.join().expect("an answer");
            assert!([422, 503].contains(&status), "{status} {body:#}");
        }
    });
    let reply = site.api.post("/render", inline(&bomb())).expect(422);
    assert!(reply["detail"].as_str().is_some_and(|why| why.contains("MiB of memory")), "{reply:#}");
    site.assert_told("time");
    site.assert_told("memory");
    site.assert_boots_go_on();
}

#[test]
fn installed_templates_that_do_not_end_or_take_all_memory_hold_up_no_other_boot() {
    let site = Site::new();
    // The check of a start, which has an example of a MAC, does not see what comes.
    let at_boot =
        |body: &str| format!("{{% if machine.mac is starting_with(pat='52:') %}}{body}{{% endif %}}");
    site.add_bootenv("endless", "answers.cfg", &at_boot(ENDLESS));
    site.add_bootenv("bomb", "answers.cfg", &at_boot(&bomb()));
    let mac = |number: usize| format!("52:54:00:bb:00:{number:02x}");
    for number in 0..12 {
        let workflow = if number < 10 { "endless" } else { "bomb" };
        let machine = format!("/machines/name:bad{number}");
        site.api.post("/machines", json!({"name": format!("bad{number}")})).expect(201);
        site.api.post(&format!("{machine}/actions/start"), json!({"workflow": workflow})).expect(200);
        site.api.patch(&machine, json!({"macs": [mac(number)]})).expect(200);
    }
    thread::scope(|threads| {
        let bad: Vec<_> = (0..12)
            .map(|number| {
                threads.spawn({
                    let (boot, mac) = (site.boot, mac(number));
                    move || boot.get(&format!("/boot.ipxe?mac={mac}"))
                })
            })
            .collect();
        site.assert_boots_go_on();
        for boot in bad {
            let (status, screen) = boot.join().expect("an answer");
            assert_eq!(status, 200, "{screen}");
            assert!(!screen.contains("/linux"), "{screen}");
        }
    });
    site.assert_boots_go_on();
    site.assert_told("time");
    site.assert_told("memory");
    let problems = site.api.get("/machines/name:bad10").expect(200)["problems"].to_string();
    assert!(problems.contains("MiB of memory"), "{problems}");
    // The file at fault can be found, and it was no preview.
    let warnings = site.api.get("//readyz").expect(200)["warnings"].to_string();
    let is_told = |text: &str| text.contains("endless/answers.cfg") || text.contains("bomb/answers.cfg");
    assert!(is_told(&warnings) && warnings.contains("workers of boots"), "{warnings}");
    let log = site.world.log();
    assert!(is_told(&log) && log.contains("used_for=\"boots\""), "{log}");
}

#[test]
fn what_a_failing_template_made_of_a_secret_is_nowhere() {
    let site = Site::new();
    site.api.post("/params", json!({"name": "canary", "secret": true})).expect(201);
    let thrown = "{{ throw(message=param(name=\"canary\") | b64encode) }}";
    site.add_bootenv("leaky", "answers.cfg", thrown);
    let machine =
        json!({"name": "leaky", "macs": ["52:54:00:cc:00:01"], "params": {"canary": "CANARY-7f3a9c"}});
    site.api.post("/machines", machine).expect(201);
    site.api.post("/machines/name:leaky/actions/start", scene::start_anyway("leaky")).expect(200);
    let (status, screen) = site.script("52:54:00:cc:00:01");
    let machine = site.api.get("/machines/name:leaky").expect(200);
    let (fault, place) = (&machine["problems"][0], (&json!("leaky/answers.cfg"), &json!(1)));
    assert_eq!((status, (&fault["template"], &fault["line"])), (200, place), "{screen}\n{machine}");
    let machine = machine.to_string();
    assert!(machine.contains("withheld"), "{machine}");
    let timeline = site.api.get("/machines/name:leaky/timeline").expect(200).to_string();
    assert!(timeline.contains("boot.render_failed"), "{timeline}");
    let events = site.api.get("/events?limit=1000").expect(200).to_string();
    let mut texts = vec![screen, machine, timeline, events, site.world.log()];
    for file in ["metalwright.db", "metalwright.db-wal"] {
        let bytes = fs::read(site.world.data().join(file)).unwrap_or_default();
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    for text in texts {
        for made_of_it in ["CANARY-7f3a9c", "Q0FOQVJZ"] {
            assert!(!text.contains(made_of_it), "{made_of_it} in: {:.2000}", text);
        }
    }
}
