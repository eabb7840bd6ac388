//! The variables of templates, as `docs/operating/templates.md` lists them. Functions, filters and examples
//! are tested in `render::tests::page`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::{pages, root};
use crate::api::Api;
use crate::scene;
use crate::world::World;

const PAGE: &str = "docs/operating/templates.md";
/// Where the top-level names are given to templates.
const GIVES: &str = "variables.insert(\"";

/// The variables of the page.
fn told() -> BTreeSet<String> {
    let page = pages().into_iter().find(|page| page.path == PAGE).expect("the page");
    let after = page.text.split_once("## Variables").expect("its variables").1;
    let section = after.split_once("\n## ").expect("another section").0;
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`').map(|(name, _)| name.to_owned())).collect()
}

/// The names that the source gives to templates.
fn given() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // What tests give is no variable.
                folders.extend([path].into_iter().filter(|path| !path.ends_with("tests")));
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source file");
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            let found = shipped.split(GIVES).skip(1).filter_map(|rest| rest.split_once('"'));
            names.extend(found.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

fn rendered(api: &Api, body: Value) -> String {
    let answer = api.post("/render", body).expect(200);
    answer["text"].as_str().expect("a text").to_owned()
}

#[test]
fn the_page_has_every_variable_with_all_its_fields() {
    let told = told();
    let names: BTreeSet<&str> = told.iter().map(|name| name.split('.').next().unwrap_or_default()).collect();
    let given = given();
    let missing: Vec<&String> = given.iter().filter(|name| !names.contains(name.as_str())).collect();
    assert!(given.len() >= 10 && missing.is_empty(), "{PAGE} lacks {missing:?} of {given:?}");

    let world = World::on_loopback();
    let api = world.api();
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    let fields = |name: &str| format!("{{% for key in {name} | keys %}}{name}.{{{{ key }}}} {{% endfor %}}");
    let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
    let bootenv = json!({"name": "site", "kind": "live", "arches": {"amd64": files},
        "boot_params": format!("FIELDS {}", fields("boot"))});
    api.post("/bootenvs", bootenv).expect(201);
    api.post("/stages", json!({"name": "site", "bootenv": "site"})).expect(201);
    api.post("/workflows", json!({"name": "site", "stages": ["site"]})).expect(201);
    api.post("/machines", json!({"name": "web1", "macs": [scene::MAC]})).expect(201);
    api.post("/machines/name:web1/actions/start", json!({"workflow": "site"})).expect(200);

    let inline = ["machine", "bootenv", "stage", "server"].map(fields).join("");
    let mut seen = rendered(&api, json!({"machine": "name:web1", "inline": inline}));
    let script = rendered(&api, json!({"machine": "name:web1", "file": "boot.ipxe"}));
    let line = script.lines().find_map(|line| line.split_once("FIELDS ")).expect("the command line").1;
    seen.push_str(line.split(" ||").next().unwrap_or_default());
    let seen: BTreeSet<String> = seen.split_whitespace().map(str::to_owned).collect();
    assert!(
        ["machine.name", "boot.kernel", "stage.name"].iter().all(|name| seen.contains(*name)),
        "{seen:?}"
    );
    let of_those = ["machine.", "bootenv.", "stage.", "server.", "boot."];
    // The command line, which has shown the fields here, has all but this one.
    let told = told.into_iter().filter(|name| name != "boot.initrd");
    let told = told.filter(|name| of_those.iter().any(|group| name.starts_with(group)));
    assert_eq!(told.collect::<BTreeSet<_>>(), seen);
}
