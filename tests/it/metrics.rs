//! The metrics page: every metric of it is in `docs/operating/metrics.md` and the other way round, and the
//! page is what OpenMetrics 1.0 asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::json;

use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::World;

/// A family of the page.
struct MetricFamily {
    kind: String,
    help: String,
    samples: Vec<String>,
}

/// The families by name, counters with their ending.
fn families(page: &str) -> BTreeMap<String, MetricFamily> {
    let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
    let mut present = String::new();
    let body = page.strip_suffix("# EOF\n").expect("the end of the page");
    for line in body.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            name.clone_into(&mut present);
            let family = MetricFamily { kind: String::new(), help: help.to_owned(), samples: Vec::new() };
            assert!(families.insert(present.clone(), family).is_none(), "{name} twice");
            continue;
        }
        let family = families.get_mut(&present).expect("a family before its samples");
        match line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            Some((name, kind)) => {
                assert_eq!(name, present);
                kind.clone_into(&mut family.kind);
            }
            None => family.samples.push(line.to_owned()),
        }
    }
    let named = families.into_iter().map(|(name, family)| match family.kind.as_str() {
        "counter" => (format!("{name}_total"), family),
        _ => (name, family),
    });
    named.collect()
}

fn assert_sound(name: &str, family: &MetricFamily) {
    assert!(["counter", "gauge", "histogram"].contains(&family.kind.as_str()), "{name}: {}", family.kind);
    assert!(family.help.ends_with('.') && !family.help.contains('|'), "{name}: {}", family.help);
    let ends = family.samples.iter().filter(|sample| sample.contains("le=\"+Inf\"")).count();
    let sums = family.samples.iter().filter(|sample| sample.starts_with(&format!("{name}_sum"))).count();
    assert_eq!(ends, sums, "{name}: each row has its last bucket");
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        let (row, value) = sample.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{sample}");
        assert!(seen.insert(row), "{row} twice");
        let of = row.split('{').next().unwrap_or_default();
        let is_part = |end: &str| family.kind == "histogram" && of == format!("{name}_{end}");
        assert!(of == name || ["bucket", "sum", "count"].into_iter().any(is_part), "{row} in {name}");
    }
}

#[test]
fn every_metric_is_in_the_table_of_the_documents_and_the_page_is_sound() {
    let world = World::on_loopback();
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    api.post("/machines", json!({"name": "web1", "macs": [MAC]})).expect(201);
    assert_eq!(boot.get(&format!("/boot.ipxe?mac={MAC}")).0, 200);
    assert_eq!(boot.get("/nothing").0, 404);
    api.get("/machines/name:nobody").expect(404);
    let page = api.get("//metrics").expect(200);
    let families = families(page.as_str().expect("text"));
    families.iter().for_each(|(name, family)| assert_sound(name, family));
    let rows: Vec<String> = families
        .iter()
        .map(|(name, family)| format!("| `{name}` | {} | {} |", family.kind, family.help))
        .collect();
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating/metrics.md");
    let document = fs::read_to_string(document).expect("the document");
    let told: Vec<&str> = document.lines().filter(|line| line.starts_with("| `metalwright_")).collect();
    assert_eq!(told, rows, "the table of docs/operating/metrics.md is to be:\n{}", rows.join("\n"));
    let has = |name: &str, part: &str| families[name].samples.iter().any(|sample| sample.contains(part));
    assert!(has("metalwright_machines", "{state=\"registered\"} 1"));
    assert!(has("metalwright_machines_unattended", "{reason=\"overdue\"} 0"));
    assert!(has("metalwright_boot_files_refused_total", "{reason=\"absent\"} 1"));
    assert!(has("metalwright_api_refused_total", "{status=\"404\"} 1"));
    assert!(has(
        "metalwright_api_request_duration_seconds",
        "_count{method=\"POST\",route=\"/api/v1/machines\"} 1"
    ));
    assert!(has("metalwright_store_commit_duration_seconds", "_count "));
    assert!(has("metalwright_background_last_succeeded", "{work=\"store-check\"} 1"));
    assert!(!has("metalwright_boot_file_open_duration_seconds", "_count 0"));
}
