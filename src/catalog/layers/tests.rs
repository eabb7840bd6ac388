//! What is in force of two packs and a site.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::catalog::content::{PackFile, PackRelease, load};
use crate::model::{Noun, Param, Stage, parse_input};

fn pack(release: (&str, &str), files: &[(&str, &str)]) -> Arc<ContentPack> {
    let (name, version) = release;
    let files: Vec<PackFile> = files
        .iter()
        .map(|(path, body)| PackFile { path: (*path).to_owned(), body: body.as_bytes().to_vec() })
        .collect();
    Arc::new(load(PackRelease { name, version }, &files, Timestamp::UNIX_EPOCH).unwrap())
}

const PRESEED: &str =
    "head\n{% block partman %}one\n{% endblock %}{% block after_partman %}{% endblock %}end\n";

fn core() -> Arc<ContentPack> {
    pack(
        ("core", "0.1.0"),
        &[
            ("templates/preseed", PRESEED),
            ("workflows/stages/s.yaml", "name: burn-in\ntimeout_seconds: 60\n"),
            ("workflows/params/p.yaml", "name: vlan\nschema: {type: integer}\ndefault: 1\n"),
        ],
    )
}

fn put<T: Noun>(site: &mut World, body: Value) {
    let spec = parse_input::<T>(body).unwrap().spec;
    let key = spec.key().unwrap();
    site.put(T::object(Arc::new(Stored::new(key, spec, Timestamp::UNIX_EPOCH))));
}

fn site(overrides: &[Value]) -> World {
    let mut site = World::default();
    overrides.iter().for_each(|body| put::<Override>(&mut site, body.clone()));
    site
}

fn of(kind: &str, name: &str, rest: (&str, Value)) -> Value {
    json!({"name": format!("o-{name}"), "target": {"kind": kind, "name": name}, rest.0: rest.1})
}

fn body(resolution: &ResolvedContent) -> &str {
    let mut templates = resolution.objects.iter().filter_map(Object::of::<Template>);
    templates.find(|row| row.key == "preseed").map(|row| row.spec.body.as_str()).unwrap()
}

fn stage(resolution: &ResolvedContent) -> &Stored<Stage> {
    resolution.objects.iter().find_map(Object::of::<Stage>).unwrap()
}

#[test]
fn an_override_changes_a_block_a_field_and_a_default_and_the_rest_is_the_packs() {
    let site = site(&[
        of(
            "template",
            "preseed",
            ("blocks", json!({"after_partman": "mine\n", "partman": "{{ super() }}two\n"})),
        ),
        of("stage", "burn-in", ("fields", json!({"timeout_seconds": 900}))),
        of("param", "vlan", ("fields", json!({"default": 7}))),
    ]);
    let made = resolve(&[core()], &site);
    assert_eq!(made.faults, []);
    let want = "head\n\
                {% block partman %}{# override o-preseed #}one\ntwo\n{# end of override #}{% endblock %}\
                {% block after_partman %}{# override o-preseed #}mine\n{# end of override #}{% endblock %}\
                end\n";
    assert_eq!(body(&made), want);
    let stage = stage(&made);
    assert_eq!((stage.spec.timeout_seconds, stage.source.as_str()), (Some(900), "pack core@0.1.0 + site"));
    let param = made.objects.iter().find_map(Object::of::<Param>).unwrap();
    assert_eq!((&param.spec.default, param.hides.len()), (&Some(json!(7)), 0));
}

#[test]
fn an_object_of_the_site_is_in_force_whole_and_hides_those_of_all_packs() {
    let lab = pack(("lab", "2.0.0"), &[("workflows/stages/s.yaml", "name: burn-in\ntimeout_seconds: 5\n")]);
    let packs = [core(), lab];
    let upper = resolve(&packs, &site(&[of("stage", "burn-in", ("fields", json!({"expected_seconds": 4})))]));
    let found = stage(&upper);
    assert_eq!((found.spec.timeout_seconds, found.spec.expected_seconds), (Some(5), Some(4)));
    assert_eq!(
        (found.source.as_str(), &found.hides),
        ("pack lab@2.0.0 + site", &vec!["pack core@0.1.0".into()])
    );
    let mut own = site(&[of("stage", "burn-in", ("fields", json!({"expected_seconds": 4})))]);
    put::<Stage>(&mut own, json!({"name": "burn-in"}));
    let made = resolve(&packs, &own);
    let found = stage(&made);
    assert_eq!((found.spec.timeout_seconds, found.spec.expected_seconds), (None, None));
    assert_eq!(found.hides, ["pack lab@2.0.0", "pack core@0.1.0"]);
    let hidden: Vec<(&str, &str)> =
        made.hidden.iter().map(|one| (one.source.as_str(), one.hidden_by.as_str())).collect();
    assert_eq!(hidden, [("pack lab@2.0.0", "site"), ("pack core@0.1.0", "site")]);
    let one = resolve_one(Kind::Stage, "burn-in", (&packs, &own));
    assert_eq!(one.object.as_ref().and_then(Object::of::<Stage>).map(|row| &row.hides), Some(&found.hides));
}

#[test]
fn what_a_new_version_lacks_is_a_fault_and_the_rest_of_the_override_stays_in_force() {
    let next = pack(
        ("core", "0.2.0"),
        &[
            (
                "templates/preseed",
                "{% block partman %}new\n{% endblock %}{% block after_parts %}{% endblock %}",
            ),
            ("workflows/params/p.yaml", "name: vlan\nschema: {type: string}\n"),
        ],
    );
    let site = site(&[
        of(
            "template",
            "preseed",
            ("blocks", json!({"after_partman": "mine", "partman": "{{ super() }}two\n"})),
        ),
        of("param", "vlan", ("fields", json!({"default": 7, "description": "which one"}))),
    ]);
    let made = resolve(&[next], &site);
    assert!(body(&made).contains("new\ntwo\n") && !body(&made).contains("mine"), "{}", body(&made));
    let told: Vec<(&str, &str)> =
        made.faults.iter().map(|fault| (fault.of.as_str(), fault.problem.pointer.as_str())).collect();
    assert_eq!(told, [("o-preseed", "/blocks/after_partman"), ("o-vlan", "/fields/default")]);
    assert!(made.faults[0].problem.message.contains("no block `after_partman`; did you mean `after_parts`?"));
    let param = made.objects.iter().find_map(Object::of::<Param>).unwrap();
    assert_eq!((&param.spec.default, param.source.as_str()), (&None, "pack core@0.2.0"));
}

#[test]
fn a_template_that_an_override_breaks_stays_usable_without_it() {
    let site = site(&[of("template", "preseed", ("blocks", json!({"partman": "{{ x"})))]);
    let made = resolve(&[core()], &site);
    assert_eq!(body(&made), PRESEED);
    assert_eq!(made.faults[0].problem.code, RefusalCode::Template);
    let absent = json!({"partman": "{% include \"not/there\" %}"});
    let made = resolve(&[core()], &self::site(&[of("template", "preseed", ("blocks", absent))]));
    assert!(made.faults.is_empty() && body(&made).contains("not/there"), "it only cannot be used yet");
}

#[test]
fn a_block_inside_of_another_can_be_overridden_too() {
    let core = pack(
        ("core", "1.0.0"),
        &[("templates/preseed", "{% block all %}a{% block some %}b{% endblock %}c{% endblock %}")],
    );
    let both = json!({"all": "<{{ super() }}>", "some": "B"});
    let made = resolve(&[core], &site(&[of("template", "preseed", ("blocks", both))]));
    assert_eq!(made.faults, []);
    let bare = body(&made).replace("{# override o-preseed #}", "").replace("{# end of override #}", "");
    assert_eq!(bare, "{% block all %}<a{% block some %}B{% endblock %}c>{% endblock %}");
}

fn template(body: &str) -> Object {
    let spec = parse_input::<Template>(json!({"name": "t", "body": body})).unwrap().spec;
    Template::object(Arc::new(Stored::new("t".to_owned(), spec, Timestamp::UNIX_EPOCH)))
}

fn adopted(original: &str, copy: &str) -> Result<Vec<(String, String)>, String> {
    let made = adopt((&template(original), &template(copy)));
    match made.left.first() {
        None => Ok(made.blocks.into_iter().collect()),
        Some(problem) => Err(problem.to_string()),
    }
}

#[test]
fn a_copy_with_or_without_the_tags_becomes_the_blocks_that_differ() {
    let original = "head\n{% block before_x %}{% endblock %}{% block x %}one\n{% endblock %}\
                    {% block after_x %}{% endblock %}middle\n{% block y %}two\n{% endblock %}end\n";
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(adopted(original, "head\none\nmiddle\ntwo\nend\n"), Ok(vec![]));
    assert_eq!(adopted(original, "head\none\nmine\nmiddle\ntwo\nend\n"), Ok(vec![pair("after_x", "mine\n")]));
    assert_eq!(
        adopted(original, "head\nmine\none\nmiddle\ntwo\nend\n"),
        Ok(vec![pair("before_x", "mine\n")])
    );
    let both = "head\n1\nmiddle\ntwo\nthree\nend\n";
    assert_eq!(adopted(original, both), Ok(vec![pair("x", "1\n"), pair("y", "two\nthree\n")]));
    assert_eq!(adopted(original, &original.replace("one\n", "1\n")), Ok(vec![pair("x", "1\n")]));
    let dashes = "head\n{% block before_x %}{% endblock -%}\n{% block x -%}\none\n{% endblock -%}\nend\n";
    assert_eq!(adopted(dashes, "head\nmine\none\nend\n"), Ok(vec![pair("before_x", "mine\n")]));
    let outside = adopted(original, "HEAD\none\nmiddle\ntwo\nend\n");
    assert!(outside.unwrap_err().contains("/body: the text differs outside of the blocks"));
}

#[test]
fn what_is_adopted_makes_the_copy_again() {
    let original = "a {% block x %}b{% endblock %}{% block after_x %}{% endblock %} c";
    let copy = "a b, and more c";
    let blocks = adopted(original, copy).unwrap();
    let mut site = World::default();
    let blocks: serde_json::Map<String, Value> =
        blocks.into_iter().map(|(name, text)| (name, json!(text))).collect();
    put::<Override>(&mut site, of("template", "preseed", ("blocks", Value::Object(blocks))));
    let core = pack(("core", "1.0.0"), &[("templates/preseed", original)]);
    let made = resolve(&[core], &site);
    let tags = ["{% block x %}", "{% block after_x %}", "{% endblock %}"];
    let marks = ["{# override o-preseed #}", "{# end of override #}"];
    let bare = tags.iter().chain(&marks).fold(body(&made).to_owned(), |text, tag| text.replace(tag, ""));
    assert_eq!(bare, copy);
}

#[test]
fn fields_that_differ_become_a_merge_patch_and_others_are_told() {
    let of = |body: Value| {
        let spec = parse_input::<Stage>(body).unwrap().spec;
        Stage::object(Arc::new(Stored::new("s".to_owned(), spec, Timestamp::UNIX_EPOCH)))
    };
    let original = of(json!({"name": "s", "params": {"a": 1, "b": 2}, "timeout_seconds": 60}));
    let copy = of(json!({"name": "t", "params": {"a": 1, "c": 3}, "tasks": ["x"]}));
    let made = adopt((&original, &copy));
    assert_eq!(made.left, []);
    let want = json!({"params": {"b": null, "c": 3}, "tasks": ["x"], "timeout_seconds": null});
    assert_eq!(json!(made.fields), want);
    let param = |body: Value| {
        let spec = parse_input::<Param>(body).unwrap().spec;
        Param::object(Arc::new(Stored::new("p".to_owned(), spec, Timestamp::UNIX_EPOCH)))
    };
    let original = param(json!({"name": "p", "default": 1}));
    let made = adopt((&original, &param(json!({"name": "q", "default": 2, "schema": {"type": "integer"}}))));
    assert_eq!((json!(made.fields), made.left[0].pointer.as_str()), (json!({"default": 2}), "/schema"));
}
