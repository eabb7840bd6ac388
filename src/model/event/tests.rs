//! Tests of reading events back, and of the generated page.

use serde_json::json;

use super::*;

fn read(kind: &str, data: Value) -> EventBody {
    EventBody::parse(kind.to_owned(), &data.to_string()).unwrap()
}

#[test]
fn an_event_reads_as_it_was_written() {
    let time = Timestamp::UNIX_EPOCH;
    let body = BootDone { peer: "10.0.0.5".parse().unwrap() };
    let event = NewEvent::new(time, body).about("machine:1".into()).numbered(7);
    let text = serde_json::to_value(&event).unwrap();
    let expected = json!({
        "seq": 7, "time": "1970-01-01T00:00:00Z", "kind": "boot.done", "subject": "machine:1",
        "actor": "server", "data": {"peer": "10.0.0.5"},
    });
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_value::<Event>(text).unwrap(), event);
}

#[test]
fn a_kind_or_fields_of_another_version_are_kept_as_they_are() {
    let strange = [
        ("rack.moved", json!({"to": "b2"})),
        ("boot.done", json!({})),
        ("boot.done", json!({"peer": "10.0.0.5", "seconds": 3})),
        ("machine.updated", json!([1, 2])),
        ("job.created", json!({"name": "x", "revision": 1, "object": {}})),
    ];
    for (kind, data) in strange {
        let body = read(kind, data.clone());
        assert_eq!(body.kind_name(), kind);
        assert_eq!(serde_json::to_value(&body).unwrap(), data);
        assert!(matches!(body, EventBody::Other(_)), "{body:?}");
    }
    assert!(EventBody::parse("boot.done".into(), "{").is_err());
}

#[test]
fn every_kind_has_a_name_of_its_own_that_leads_back_to_it() {
    let mut names = std::collections::BTreeSet::new();
    for kind in EventKind::all() {
        let name = kind.to_string();
        assert_eq!(EventKind::parse(&name), Some(kind), "{name}");
        assert!(names.insert(name), "{kind} is there twice");
    }
    assert_eq!(EventKind::parse("machine.created"), Some(EventKind::Created(Kind::Machine)));
    assert_eq!(EventKind::parse("job.created"), Some(EventKind::JobCreated));
    assert_eq!(EventKind::parse("job.deleted"), None);
}

#[test]
fn a_row_says_in_a_sentence_what_happened_and_to_which_noun() {
    let others = [SERVER, "*"];
    for row in EVENT_ROWS {
        assert!(row.meaning.trim().ends_with('.'), "{}", row.name);
        for about in row.about {
            let is_noun = Kind::ALL.iter().any(|noun| noun.as_str() == *about);
            assert!(is_noun || others.contains(about), "{} is about `{about}`", row.name);
        }
    }
}

#[test]
fn a_filter_that_no_event_can_pass_names_kinds_that_are_near() {
    for known in ["machine.updated", "machine.*", "mach*", "*", "job.created", "client_class.deleted"] {
        assert_eq!(check_kind_filter(known), Ok(()), "{known}");
    }
    let near = |filter| check_kind_filter(filter).unwrap_err();
    assert!(near("machine.update").contains("did you mean `machine.updated`?"), "{}", near("machine.update"));
    assert!(near("pack.x").contains("pack.installed"), "{}", near("pack.x"));
    assert!(near("machines.*").contains("did you mean `machine.*`?"), "{}", near("machines.*"));
    assert!(near("zzz").contains("boot.*"), "{}", near("zzz"));
}

#[test]
fn the_page_of_the_documentation_has_every_kind() {
    let page = event_kinds_markdown();
    for row in EVENT_ROWS {
        assert!(page.contains(&format!("### `{}`", row.name)), "{}", row.name);
    }
    assert!(page.contains("| `peer` | IP address | The address that sent the report. |"), "{page}");
}

#[test]
fn the_page_of_the_documentation_is_made_from_the_table() {
    let written = include_str!("../../../docs/operating/events.md");
    let made = event_kinds_markdown();
    assert!(
        written == made,
        "`metalwright events kinds -o markdown > docs/operating/events.md` writes it anew"
    );
}

#[test]
fn an_event_fits_its_schema_and_one_with_other_fields_does_not() {
    let mut generator = schemars::SchemaGenerator::default();
    let mut schema = <Event as schemars::JsonSchema>::json_schema(&mut generator).to_value();
    schema["$defs"] = Value::Object(generator.take_definitions(true));
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let event = |kind: &str, subject: &str, data: Value| {
        json!({"seq": 1, "time": "2026-01-02T03:04:05Z", "kind": kind, "subject": subject,
               "actor": "server", "data": data})
    };
    let peer = || json!({"peer": "10.0.0.5"});
    assert!(schema.is_valid(&event("boot.done", "machine:1", peer())));
    assert!(schema.is_valid(&event("boot.done", "machine:1", json!({"damaged": "why"}))));
    assert!(schema.is_valid(&event("rack.moved", "rack:1", json!({"to": "b2"}))));
    assert!(!schema.is_valid(&event("boot.done", "lease:1", peer())));
    assert!(!schema.is_valid(&event("boot.done", "machine:1", json!({"peer": 5}))));
    assert!(!schema.is_valid(&event("boot.done", "machine:1", json!({"peer": "10.0.0.5", "more": 1}))));
}
