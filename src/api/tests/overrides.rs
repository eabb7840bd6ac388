//! Overrides, and objects of the site in the places of those of packs.

use super::*;
use crate::catalog::content::PackFile;
use crate::model::{Override, Stage, Template};

fn files(preseed: &str, stage: &str) -> Vec<PackFile> {
    let files = [
        ("templates/preseed/debian.cfg", preseed),
        ("workflows/stages/install.yaml", stage),
        ("workflows/params/p.yaml", "name: ntp_servers\nschema: {type: array}\ndefault: []\n"),
        ("workflows/tasks/t.yaml", "- name: memtest\n- name: burn\n  prerequisites: [memtest]\n"),
    ];
    files
        .into_iter()
        .map(|(path, body)| PackFile { path: path.to_owned(), body: body.as_bytes().to_vec() })
        .collect()
}

const STAGE: &str = "name: install\ntimeout_seconds: 3600\ntasks: [memtest]\n";
const PRESEED: &str =
    "head\n{% block before_finish %}{% endblock -%}\n{% block finish -%}\nend\n{% endblock -%}\n";

async fn site() -> Client {
    let client = Client::new().await;
    testing::install(&client.houses, "1.0.0", &files(PRESEED, STAGE)).await;
    client
}

/// The site of the documents: one file that changes a line, a time-out and a default.
const FILE: &str = "\
noun: override
name: site-preseed
target: {kind: template, name: preseed/debian.cfg}
blocks:
  before_finish: |
    d-i preseed/late_command string true
---
noun: override
name: site-install
target: {kind: stage, name: install}
fields: {timeout_seconds: 7200}
---
noun: override
name: site-ntp
target: {kind: param, name: ntp_servers}
fields: {default: [ntp.example.org]}
";

fn documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let mut bodies = documents;
    for body in &mut bodies {
        body.as_object_mut().unwrap().remove("noun");
    }
    bodies
}

async fn body_of(client: &Client) -> String {
    let view = client.get("templates/preseed%2Fdebian.cfg").await.ok();
    view["body"].as_str().unwrap().to_owned()
}

const WITH_LINE: &str = "{% block before_finish %}{# override site-preseed #}d-i preseed/late_command string \
                         true\n{# end of override #}{% endblock -%}";

#[tokio::test]
async fn one_short_file_changes_a_line_a_time_out_and_a_default_over_a_new_version() {
    assert!(FILE.lines().count() <= 20);
    let client = site().await;
    for body in documents(FILE) {
        client.post("overrides", body).await.ok();
    }
    for version in ["1.0.0", "2.0.0"] {
        let (preseed, stage) = match version {
            "1.0.0" => (PRESEED.to_owned(), STAGE.to_owned()),
            _ => (PRESEED.replace("head", "new head"), STAGE.replace("memtest", "burn")),
        };
        testing::install(&client.houses, version, &files(&preseed, &stage)).await;
        let body = body_of(&client).await;
        assert!(body.contains(WITH_LINE), "{body}");
        assert_eq!(body.contains("new head"), version == "2.0.0");
        let stage = client.get("stages/install").await.ok();
        assert_eq!(stage["timeout_seconds"], 7200);
        assert_eq!(stage["source"], format!("pack core@{version} + site").as_str());
        let task = if version == "2.0.0" { "burn" } else { "memtest" };
        assert_eq!(stage["tasks"], json!([task]), "the rest is the pack's");
        assert_eq!(client.get("params/ntp_servers").await.ok()["default"], json!(["ntp.example.org"]));
    }
    for name in ["site-preseed", "site-install", "site-ntp"] {
        client.delete(&format!("overrides/{name}")).await.ok();
    }
    let stage = client.get("stages/install").await.ok();
    assert_eq!((&stage["timeout_seconds"], &stage["source"]), (&json!(3600), &json!("pack core@2.0.0")));
    assert!(!body_of(&client).await.contains("override"));
}

#[tokio::test]
async fn an_override_is_told_what_it_cannot_change_and_what_is_near() {
    let client = site().await;
    let refused = async |target: Value, rest: (&str, Value)| {
        client.post("overrides", json!({"name": "o", "target": target, rest.0: rest.1})).await.refused(422)
    };
    let preseed = json!({"kind": "template", "name": "preseed/debian.cfg"});
    let block = refused(preseed.clone(), ("blocks", json!({"finsh": "x"}))).await;
    assert!(block.contains("/blocks/finsh") && block.contains("did you mean `finish`?"), "{block}");
    let broken = refused(preseed.clone(), ("blocks", json!({"finish": "ok\n{{ 1 + }}"}))).await;
    assert!(broken.contains("/blocks/finish") && broken.contains("\"line\":2"), "{broken}");
    let stage = |name: &str| json!({"kind": "stage", "name": name});
    let absent = refused(stage("instal"), ("fields", json!({"timeout_seconds": 1}))).await;
    assert!(absent.contains("/target/name") && absent.contains("did you mean `install`?"), "{absent}");
    let field = refused(stage("install"), ("fields", json!({"timeout_secs": 1}))).await;
    assert!(field.contains("/fields/timeout_secs") && field.contains("timeout_seconds"), "{field}");
    let ntp = json!({"kind": "param", "name": "ntp_servers"});
    let misfit = refused(ntp, ("fields", json!({"default": "one"}))).await;
    assert!(misfit.contains("/fields/default"), "{misfit}");
    let circle = json!({"kind": "task", "name": "memtest"});
    let circle = refused(circle, ("fields", json!({"prerequisites": ["burn"]}))).await;
    assert!(circle.contains("/fields/prerequisites") && circle.contains("burn"), "{circle}");
    client.post("stages", json!({"name": "ours"})).await.ok();
    let own = refused(stage("ours"), ("fields", json!({"timeout_seconds": 1}))).await;
    assert!(own.contains("change it itself"), "{own}");
}

#[tokio::test]
async fn two_people_who_change_one_block_are_told_of_each_other() {
    let client = site().await;
    let body = |name: &str, text: &str| {
        let target = json!({"kind": "template", "name": "preseed/debian.cfg"});
        json!({"name": name, "target": target, "blocks": {"finish": text}})
    };
    let made = client.post("overrides", body("ada", "ada\n")).await;
    let text = client.post("overrides", body("bob", "bob\n")).await.refused(409);
    assert!(text.contains("override `ada` sets blocks finish of template `preseed/debian.cfg`"), "{text}");
    assert!(text.contains("\"overlaps\""), "{text}");
    let tag = format!("If-Match: {}", made.header("etag"));
    let headers = ["Content-Type: application/json", &tag];
    let put = async |text: &str| {
        client.send("PUT /api/v1/overrides/ada", &headers, body("ada", text).to_string()).await
    };
    put("first\n").await.ok();
    assert_eq!(put("second\n").await.body["code"], "stale");
    assert!(body_of(&client).await.contains("first"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overrides_of_different_parts_made_at_once_are_all_in_the_row() {
    let client = site().await;
    let fields = ["timeout_seconds", "expected_seconds"].map(|field| ("fields", json!({field: 77})));
    let params = (0..6).map(|n| ("fields", json!({"params": {format!("p-{n}"): n}})));
    let mut writers = tokio::task::JoinSet::new();
    for (n, rest) in fields.into_iter().chain(params).enumerate() {
        let target = json!({"kind": "stage", "name": "install"});
        let body = json!({"name": format!("o-{n}"), "target": target, rest.0: rest.1});
        let houses = Arc::clone(&client.houses);
        let write =
            async move { houses.objects.create::<Override>(&testing::caller(), body).await.map(drop) };
        writers.spawn(write);
    }
    let done = writers.join_all().await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    let stage = client.houses.kernel.get::<Stage>("install").unwrap();
    assert_eq!((stage.spec.timeout_seconds, stage.spec.expected_seconds), (Some(77), Some(77)));
    assert_eq!(stage.spec.params.len(), 6);
}

#[tokio::test]
async fn an_object_of_the_site_takes_the_place_of_a_packs_until_it_is_deleted() {
    let client = site().await;
    let text = client.merge("stages/install", json!({"timeout_seconds": 1})).await.refused(409);
    assert!(text.contains("metalwright overrides create name=NAME target.kind=stage"), "{text}");
    client.delete("stages/install").await.refused(409);
    let target = json!({"kind": "stage", "name": "install"});
    let fields = json!({"expected_seconds": 60});
    client.post("overrides", json!({"name": "o", "target": target, "fields": fields})).await.ok();
    client.post("workflows", json!({"name": "w", "stages": ["install"]})).await.ok();
    let hidden = async || client.get("catalog/hidden").await.ok()["items"].clone();
    assert_eq!(hidden().await, json!([]));
    let own = client.post("stages", json!({"name": "install", "timeout_seconds": 5})).await;
    assert_eq!(own.status, 201);
    assert_eq!((&own.body["source"], &own.body["hides"]), (&json!("site"), &json!(["pack core@1.0.0"])));
    client.post("stages", json!({"name": "install"})).await.refused(409);
    let items = json!([{"kind": "stage", "name": "install", "source": "pack core@1.0.0",
        "hidden_by": "site"}]);
    assert_eq!(hidden().await, items);
    let waits = client.get("overrides/o").await.ok();
    assert!(waits["problems"][0]["message"].as_str().unwrap().contains("in force whole"), "{waits}");
    testing::install(&client.houses, "2.0.0", &files(PRESEED, &STAGE.replace("3600", "1800"))).await;
    let own = client.get("stages/install").await.ok();
    assert_eq!((&own["timeout_seconds"], &own["hides"]), (&json!(5), &json!(["pack core@2.0.0"])));
    client.delete("stages/install").await.ok();
    let back = client.get("stages/install").await.ok();
    assert_eq!((&back["timeout_seconds"], &back["expected_seconds"]), (&json!(1800), &json!(60)));
    assert_eq!((&back["source"], &back["hides"]), (&json!("pack core@2.0.0 + site"), &json!([])));
    assert_eq!(client.get("overrides/o").await.ok()["problems"], json!([]));
    let events = client.get("events?subject=stage:install").await.ok()["items"].clone();
    let kinds: Vec<&str> =
        events.as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["stage.updated", "stage.created", "stage.deleted", "stage.created"]);
}

#[tokio::test]
async fn what_is_put_over_an_object_of_a_pack_hides_it_and_the_same_again_does_not() {
    let client = site().await;
    let present = client.get("stages/install").await.ok();
    let same = client.put("stages/install", present).await.ok();
    assert_eq!(same["source"], "pack core@1.0.0", "nothing was changed");
    let own = client.put("stages/install", json!({"name": "install"})).await.ok();
    assert_eq!((&own["source"], &own["hides"]), (&json!("site"), &json!(["pack core@1.0.0"])));
    client.merge("stages/install", json!({"timeout_seconds": 4})).await.ok();
    let listed = client.get("stages?hides[like]=pack*").await.ok();
    assert_eq!(listed["total"], 1);
}

#[tokio::test]
async fn an_override_whose_block_goes_with_a_version_stays_and_says_so_and_the_rest_is_in_force() {
    let client = site().await;
    let target = json!({"kind": "template", "name": "preseed/debian.cfg"});
    let blocks = json!({"before_finish": "first\n", "finish": "second\n"});
    client.post("overrides", json!({"name": "o", "target": target, "blocks": blocks})).await.ok();
    let next = PRESEED.replace("before_finish", "before_end");
    testing::install(&client.houses, "2.0.0", &files(&next, STAGE)).await;
    let body = body_of(&client).await;
    assert!(body.contains("second") && !body.contains("first"), "{body}");
    let view = client.get("overrides/o").await.ok();
    assert_eq!(view["problems"][0]["pointer"], "/blocks/before_finish", "{view}");
    testing::install(&client.houses, "3.0.0", &files(PRESEED, STAGE)).await;
    assert_eq!(client.get("overrides/o").await.ok()["problems"], json!([]));
    let without: Vec<PackFile> = files(PRESEED, STAGE).into_iter().skip(1).collect();
    testing::install(&client.houses, "4.0.0", &without).await;
    assert!(client.houses.kernel.get::<Template>("preseed/debian.cfg").is_err());
    let view = client.get("overrides/o").await.ok();
    assert_eq!(view["problems"][0]["pointer"], "/target/name", "{view}");
    client.delete("overrides/o").await.ok();
}

#[tokio::test]
async fn a_copy_is_adopted_as_the_override_that_does_the_same() {
    let client = site().await;
    let copy = json!({"name": "ours", "timeout_seconds": 900, "tasks": ["memtest"]});
    client.post("stages", copy).await.ok();
    let input = json!({"kind": "stage", "name": "ours", "of": "install"});
    let made = client.post("overrides/actions/adopt", input).await.ok();
    assert_eq!(made["left"], json!([]));
    assert_eq!(made["override"]["fields"], json!({"timeout_seconds": 900}));
    client.post("overrides", made["override"].clone()).await.ok();
    assert_eq!(client.get("stages/install").await.ok()["timeout_seconds"], 900);
    let copy = json!({"name": "our.cfg", "body": "head\nmine\nend\n"});
    client.post("templates", copy).await.ok();
    let input = json!({"kind": "template", "name": "our.cfg", "of": "preseed/debian.cfg"});
    let made = client.post("overrides/actions/adopt", input).await.ok();
    assert_eq!(
        (&made["left"], &made["override"]["blocks"]),
        (&json!([]), &json!({"before_finish": "mine\n"}))
    );
    let input = json!({"kind": "stage", "name": "ours", "of": "instal"});
    let text = client.post("overrides/actions/adopt", input).await.refused(422);
    assert!(text.contains("did you mean `install`?"), "{text}");
}

#[tokio::test]
async fn the_value_of_a_secret_param_is_in_no_override() {
    let client = site().await;
    client.post("params", json!({"name": "pw", "secret": true})).await.ok();
    let target = json!({"kind": "stage", "name": "install"});
    let body = json!({"name": "o", "target": target, "fields": {"params": {"pw": "CANARY"}}});
    let text = client.post("overrides", body).await.refused(422);
    assert!(text.contains("/fields/params/pw") && !text.contains("CANARY"), "{text}");
    let body = json!({"name": "o", "target": target, "fields": {"params": {"tone": "x"}}});
    client.post("overrides", body).await.ok();
    let text = client.post("params", json!({"name": "tone", "secret": true})).await.refused(409);
    assert!(text.contains("install"), "{text}");
}
