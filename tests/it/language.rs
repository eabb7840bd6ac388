//! What templates of a site may use: paths that are templates, texts that are none, templates by a computed
//! name, the time of the run, and the network that a machine is in.

use serde_json::json;

use crate::api::Api;
use crate::scene::{MAC, add_installer, capability, small_installer};
use crate::wire::BootSide;
use crate::world::World;

/// A script as it is common, in which the template engine would find a comment and an expression.
const SCRIPT: &str = "#!/bin/bash\na=(x y)\necho ${#a[@]} '{{ x }}' # {% endraw %}\n";
const HOST: &str = "{{ now() }} {{ machine.profiles | join(sep='+') }} {{ reservation.address }} \
                    {{ subnet.gateway }}/{{ subnet.prefix }} {{ inventory | length }} \
                    {{ include_from(folder='site/disks', name=param(name='scheme', default='plain')) }}";
const START: &str = "/machines/name:web1/actions/start";

/// The machine `web1` in a subnet, with a bootenv whose files use the language, and a task.
fn site(world: &World, path: &str) -> Api {
    let api = world.api();
    add_installer(&api, &small_installer(world.scratch()));
    let lan = json!({"name": "lan", "cidr": "10.7.0.0/16", "options": {"routers": ["10.7.0.1"]}});
    api.post("/subnets", lan).expect(201);
    for (name, body) in [("plain", "one disk"), ("lvm", "a volume group")] {
        let name = format!("site/disks/{name}");
        api.post("/templates", json!({"name": name, "body": body})).expect(201);
    }
    let count = json!({"name": "site/count.sh", "body": SCRIPT, "verbatim": true});
    api.post("/templates", count).expect(201);
    let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
    let templates = json!([
        {"name": "host", "path": path, "inline": HOST},
        {"name": "count", "path": "count.sh", "template": "site/count.sh"},
        {"name": "inline", "path": "inline.sh", "inline": SCRIPT, "verbatim": true},
    ]);
    let bootenv = json!({"name": "mine", "kind": "live", "arches": {"amd64": files}, "templates": templates});
    api.post("/bootenvs", bootenv).expect(201);
    let script = json!({"name": "run", "path": "{{ machine.name }}.sh", "inline": SCRIPT, "verbatim": true});
    api.post("/tasks", json!({"name": "count", "templates": [script]})).expect(201);
    api.post("/stages", json!({"name": "mine", "bootenv": "mine", "tasks": ["count"]})).expect(201);
    api.post("/workflows", json!({"name": "mine", "stages": ["mine"]})).expect(201);
    api.post("/profiles", json!({"name": "lvm", "params": {"scheme": "lvm"}})).expect(201);
    let machine = json!({"name": "web1", "macs": [MAC], "profiles": ["lvm"]});
    api.post("/machines", machine).expect(201);
    api.post("/reservations", json!({"address": "10.7.0.9", "machine": "web1"})).expect(201);
    api
}

#[test]
fn a_machine_gets_files_at_computed_paths_texts_as_they_are_and_the_time_of_its_run() {
    let world = World::on_loopback();
    let api = site(&world, "hosts/{{ machine.name }}.cfg");
    let started = api.post(START, json!({"workflow": "mine"})).expect(200);
    let run = started["status"]["run"]["id"].as_str().expect("a run");
    let run = api.get(&format!("/runs/{run}")).expect(200);
    let began = run["started_at"].as_str().expect("a time");
    let began = format!("{}Z", began.trim_end_matches('Z').split('.').next().unwrap_or_default());

    let boot = BootSide::of(world.ready());
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let below = format!("/m/{}", capability(&script));
    let expected = format!("{began} lvm 10.7.0.9 10.7.0.1/16 0 a volume group");
    assert_eq!(boot.get(&format!("{below}/hosts/web1.cfg")), (200, expected.clone()));
    assert_eq!(boot.get(&format!("{below}/hosts/web2.cfg")).0, 404);
    for path in ["count.sh", "inline.sh"] {
        assert_eq!(boot.get(&format!("{below}/{path}")), (200, SCRIPT.to_owned()));
    }
    let preview = json!({"machine": "name:web1", "file": "hosts/web1.cfg"});
    let preview = api.post("/render", preview).expect(200);
    assert_eq!(preview["text"], json!(expected));
    assert_eq!(preview["provenance"]["now"], json!(began));
    let files = api.get("/machines/name:web1/files").expect(200).to_string();
    assert!(files.contains("m/…/hosts/web1.cfg") && !files.contains("{{"), "{files}");

    let agent = json!({"environment": "live", "boot": "b1"});
    let work = api.post("/machines/name:web1/jobs/next", agent).expect(200);
    assert_eq!(work["files"][0]["path"], "web1.sh", "{work:#}");
    assert_eq!(work["files"][0]["body"], SCRIPT);
}

/// A document that has a snippet of the site where there is one.
const DOC: &str = "[{{ include_optional(name='site/hooks/own') }}]";

/// Templates that the engine takes, or only refuses when it comes to them.
fn refuses_what_could_not_be_rendered(api: &Api) {
    let base = "<{% block x %}{% block y %}y{% endblock %}{% endblock %}>";
    let child = "{% extends 'site/base' %}{% block y %}z{% endblock %}";
    for (name, body) in [("site/base", base), ("site/child", child)] {
        api.post("/templates", json!({"name": name, "body": body})).expect(201);
    }
    let within = "{% extends 'site/base' %}{% block y %}{% block x %}{% endblock %}{% endblock %}";
    for (body, why) in [
        ("{% include 'site/doc' %}", "site/hooks/own → site/doc → site/hooks/own"),
        ("{{ machine. }}", "expected identifier"),
        ("{{ include_optional(name=machine.name) }}", "a plain text"),
        (within, "inside of one another"),
        ("{% extends 'site/base' %}\n{% block other %}{% endblock %}", "`other` is not defined"),
        ("{% include 'site/child' %}", "include_from(folder="),
    ] {
        let refused = api.post("/templates", json!({"name": "site/hooks/own", "body": body})).expect(422);
        assert!(refused.to_string().contains(why), "{body}: {refused}");
    }
}

#[test]
fn a_snippet_that_appears_is_in_documents_and_a_run_that_has_begun_goes_on_without_it() {
    let world = World::on_loopback();
    let api = site(&world, "host.cfg");
    api.post("/templates", json!({"name": "site/doc", "body": DOC})).expect(201);
    let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
    let document = json!([{"name": "doc", "path": "doc.cfg", "template": "site/doc"}]);
    let kept = json!({"name": "kept", "kind": "live", "arches": {"amd64": files}, "templates": document});
    api.post("/bootenvs", kept).expect(201);
    api.post("/stages", json!({"name": "kept", "bootenv": "kept"})).expect(201);
    api.post("/workflows", json!({"name": "kept", "stages": ["kept"]})).expect(201);
    api.post("/machines", json!({"name": "web2", "macs": ["52:54:00:00:00:02"]})).expect(201);
    api.post(START, json!({"workflow": "kept"})).expect(200);
    let boot = BootSide::of(world.ready());
    let served = || {
        let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
        boot.get(&format!("/m/{}/doc.cfg", capability(&script)))
    };
    let preview = || api.post("/render", json!({"machine": "name:web2", "template": "site/doc"})).expect(200);
    assert_eq!((served(), preview()["text"].clone()), ((200, "[]".to_owned()), json!("[]")));

    refuses_what_could_not_be_rendered(&api);
    let own = json!({"name": "site/hooks/own", "body": "own {{ machine.name }}"});
    api.post("/templates", own).expect(201);
    let seen = preview();
    assert_eq!(seen["text"], "[own web2]");
    assert!(seen["provenance"]["templates"].to_string().contains("site/hooks/own"), "{seen:#}");
    assert_eq!(served(), (200, "[]".to_owned()), "the run has the content that it began with");
}

#[test]
fn a_path_that_cannot_be_one_stops_the_start_and_not_the_machine() {
    let world = World::on_loopback();
    let api = site(&world, "{{ param(name='scheme') }}/../{{ machine.name }}");
    let refused = api.post(START, json!({"workflow": "mine"})).expect(409).to_string();
    assert!(refused.contains("mine/host/path") && refused.contains("lvm/../web1"), "{refused}");
}

#[test]
fn a_script_that_is_taken_for_a_template_is_refused_with_the_way_out() {
    let world = World::on_loopback();
    let api = world.api();
    let refused = api.post("/templates", json!({"name": "site/count.sh", "body": SCRIPT})).expect(422);
    assert!(refused.to_string().contains("`verbatim: true`"), "{refused}");
    let both = json!({"name": "t", "templates": [{"name": "a", "template": "x", "verbatim": true}]});
    let refused = api.post("/tasks", both).expect(422);
    assert!(refused.to_string().contains("/templates/0/verbatim"), "{refused}");
}
