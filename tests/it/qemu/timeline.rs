//! The expected timeline of a machine.

use jiff::Timestamp;
use serde_json::Value;

/// A step: the kind of event, and `field=value` for its data.
pub type Step = (&'static str, &'static [&'static str]);

/// Checks that the timeline has every step, each after the one before; other events may be in between.
/// Observations are written later than decisions, so the order is by time.
pub fn assert_in_order(timeline: &[Value], steps: &[Step]) {
    let mut events: Vec<&Value> = timeline.iter().collect();
    events.sort_by_key(|event| event["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok()));
    let mut rest = events.iter();
    for (kind, fields) in steps {
        let is_it =
            |event: &&Value| event["kind"] == *kind && fields.iter().all(|field| has(&event["data"], field));
        assert!(rest.any(is_it), "no {kind} with {fields:?} where it should be");
    }
}

fn has(data: &Value, field: &str) -> bool {
    let (name, wanted) = field.split_once('=').expect("field=value");
    match &data[name] {
        Value::String(text) => text == wanted,
        other => {
            let shown = other.to_string();
            shown == wanted
        }
    }
}

/// Prints the events, one per line, for readers of the test's output.
pub fn print(title: &str, timeline: &[Value]) {
    let mut text = format!("== {title}\n");
    for event in timeline {
        let mut data = event["data"].clone();
        // The sources of a render and the content of an object are long, and tested elsewhere.
        for long in ["provenance", "object"] {
            data.as_object_mut().and_then(|fields| fields.remove(long));
        }
        let (time, kind) = (&event["time"], &event["kind"]);
        text.push_str(&format!("{} {} {data}\n", time.as_str().unwrap_or(""), kind.as_str().unwrap_or("")));
    }
    println!("{text}");
}
