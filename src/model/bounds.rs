//! Bounds on what a writer may store: size, depth, labels, params, names and numbers. [`faults`] checks them
//! all, and `parse_input` calls it for every object that a client sends.
//!
//! The bounds of schemas are in `schema_cost`, those of patches in `objects::patch`. `docs/api-design.md` has
//! the table of all of them.

use serde_json::{Map, Value};

use super::{Problem, READ_ONLY_FIELDS, RefusalCode};

/// Largest object, in bytes of its JSON without escapes. A noun may set its own bound (`Noun::BYTES_MAX`).
pub const OBJECT_BYTES_MAX: usize = 256 << 10;
/// Largest object of a noun that holds whole texts: templates, tasks, bootenvs, artifacts.
pub const CONTENT_BYTES_MAX: usize = (1 << 20) + (64 << 10);
/// Deepest nesting of objects and lists in an object. Every reader stops at 128 (`serde_json`), and an event
/// or a page of events puts up to eight levels around an object.
pub const DEPTH_MAX: usize = 64;
/// Deepest JSON of an event, so that every reader can read a page of events.
pub const EVENT_DEPTH_MAX: usize = 100;
/// Deepest JSON of an object that the store writes and reads. Objects that are older than [`DEPTH_MAX`] may
/// exceed that bound, but not this one.
pub const STORED_DEPTH_MAX: usize = 300;
/// Most labels of an object.
pub const LABELS_MAX: usize = 64;
/// Longest name of a label after its prefix, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 63;
/// Longest prefix of a label's key, in bytes: a DNS name.
pub const LABEL_PREFIX_BYTES_MAX: usize = 253;
/// Longest value of a label, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Most param values that one object sets.
pub const PARAMS_MAX: usize = 1024;
/// Most items of a list that is a field of an object. Lists inside of freely chosen values are exempt.
pub const LISTED_MAX: usize = 1024;
/// Fields whose value a writer chooses freely.
const FREE_FIELDS: [&str; 2] = ["default", "value"];
/// Most values in a body that is no noun. Each of them may be a fault, and all faults are made before the
/// first ones are told.
const VALUES_MAX: usize = 65_536;
/// Longest name of a field at any depth, in bytes.
pub const FIELD_NAME_BYTES_MAX: usize = 1024;
/// Most faults in one answer.
const FAULTS_MAX: usize = 64;
/// Longest client text that a message quotes, in characters.
const QUOTED_MAX: usize = 80;

/// The bounds that a writer's fields break: for each fault a pointer to the place, the bound and the present
/// value. Fields that the server sets are skipped.
pub fn faults(fields: &Map<String, Value>, bytes_max: usize) -> Vec<Problem> {
    let mut walk = BoundsWalk { faults: Vec::new() };
    let mut bytes = 2;
    let mut largest: (usize, &str) = (0, "");
    for (name, value) in fields.iter().filter(|(name, _)| !READ_ONLY_FIELDS.contains(&name.as_str())) {
        let size = walk.visit(value, &DocumentPlace { before: None, step: PathStep::Name(name) });
        bytes += name.len() + 4 + size;
        let items = value.as_array().map_or(0, Vec::len);
        if items > LISTED_MAX && !FREE_FIELDS.contains(&name.as_str()) {
            let what = format!("{items} items are listed, at most {LISTED_MAX} are admitted");
            walk.faults.push(Problem::new(format!("/{}", escape(name)), what).coded(RefusalCode::TooLarge));
        }
        largest = largest.max((size, name));
    }
    let mut faults = walk.faults;
    if bytes > bytes_max {
        let what = format!(
            "the object has {bytes} bytes, at most {bytes_max} are admitted; most of them ({}) are here",
            largest.0
        );
        faults.push(Problem::new(format!("/{}", escape(largest.1)), what).coded(RefusalCode::TooLarge));
    }
    if let Some(labels) = fields.get("labels").and_then(Value::as_object) {
        label_faults(labels, &mut faults);
    }
    let params = fields.get("params").and_then(Value::as_object).map_or(0, Map::len);
    if params > PARAMS_MAX {
        let what = format!("{params} params are set, at most {PARAMS_MAX} are admitted");
        faults.push(Problem::new("/params", what).coded(RefusalCode::TooLarge));
    }
    faults.truncate(FAULTS_MAX);
    faults
}

/// The nesting depth of a value; `most` + 1 if it is more than `most`.
pub fn depth(value: &Value, most: usize) -> usize {
    let below = |inner: &Value| if most == 0 { 0 } else { depth(inner, most - 1) };
    match value {
        Value::Array(items) => 1 + items.iter().map(below).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(below).max().unwrap_or(0),
        _ => 0,
    }
}

/// The fault of a body that has more than `VALUES_MAX` values.
pub fn too_many_values(body: &Value) -> Option<Problem> {
    if values(body, 0) <= VALUES_MAX {
        return None;
    }
    let what = format!("more than {VALUES_MAX} values, which are the most that are admitted here");
    Some(Problem::new("", what).coded(RefusalCode::TooLarge))
}

/// `before` and how many values a value consists of, itself among them. Counting stops beyond
/// [`VALUES_MAX`].
fn values(value: &Value, before: usize) -> usize {
    match value {
        _ if before > VALUES_MAX => before,
        Value::Array(items) => items.iter().fold(before + 1, |count, inner| values(inner, count)),
        Value::Object(fields) => fields.values().fold(before + 1, |count, inner| values(inner, count)),
        _ => before + 1,
    }
}

/// How deep the objects and lists of a JSON text are nested. The text must be JSON.
pub fn text_depth(json: &str) -> usize {
    let (mut open, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Bytes of a value's JSON, without escapes. Counting stops as soon as the result exceeds `most`.
pub fn size(value: &Value, most: usize) -> usize {
    let mut bytes = own_size(value);
    match value {
        Value::Array(items) => {
            for item in items {
                if bytes > most {
                    break;
                }
                bytes += 1 + size(item, most - bytes);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if bytes > most {
                    break;
                }
                bytes += name.len() + 4 + size(value, most - bytes);
            }
        }
        _ => {}
    }
    bytes
}

/// A name as one step of a JSON pointer (RFC 6901 section 3).
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A client's text, cut so that it fits a message.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Bytes of a value without its items.
fn own_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Number(number) => number_length(number),
        Value::Bool(_) | Value::Null => 4,
        Value::Array(_) | Value::Object(_) => 2,
    }
}

/// The digits of an integer; for a float, an upper bound.
fn number_length(number: &serde_json::Number) -> usize {
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => 1 + number.checked_ilog10().unwrap_or(0) as usize,
        (None, Some(number)) => 2 + number.unsigned_abs().checked_ilog10().unwrap_or(0) as usize,
        (None, None) => 20,
    }
}

/// A place in a document, from the inside out.
struct DocumentPlace<'a> {
    before: Option<&'a DocumentPlace<'a>>,
    step: PathStep<'a>,
}

enum PathStep<'a> {
    Name(&'a str),
    Index(usize),
}

impl DocumentPlace<'_> {
    fn depth(&self) -> usize {
        1 + self.before.map_or(0, DocumentPlace::depth)
    }

    fn pointer(&self) -> String {
        let before = self.before.map(DocumentPlace::pointer).unwrap_or_default();
        match self.step {
            PathStep::Name(name) => format!("{before}/{}", escape(name)),
            PathStep::Index(index) => format!("{before}/{index}"),
        }
    }
}

struct BoundsWalk {
    faults: Vec<Problem>,
}

impl BoundsWalk {
    /// Returns the bytes of a value and records the bounds that it breaks. Does not enter values that are
    /// nested too deep.
    fn visit(&mut self, value: &Value, at: &DocumentPlace<'_>) -> usize {
        let mut bytes = own_size(value);
        match value {
            Value::Number(number) => self.check_number(number, at),
            Value::Array(items) if self.may_enter(at) => {
                for (index, item) in items.iter().enumerate() {
                    bytes += 1 + self
                        .visit(item, &DocumentPlace { before: Some(at), step: PathStep::Index(index) });
                }
            }
            Value::Object(fields) if self.may_enter(at) => {
                for (name, value) in fields {
                    self.check_name(name, at);
                    let at = DocumentPlace { before: Some(at), step: PathStep::Name(name) };
                    bytes += name.len() + 4 + self.visit(value, &at);
                }
            }
            Value::Array(_) | Value::Object(_) => bytes += size(value, usize::MAX >> 1),
            _ => {}
        }
        bytes
    }

    /// Whether the walk may enter the value at a place; the object itself is level one.
    fn may_enter(&mut self, at: &DocumentPlace<'_>) -> bool {
        let enters = at.depth() < DEPTH_MAX;
        if !enters {
            let what = format!("nested deeper than {DEPTH_MAX} levels, which is the most that is admitted");
            self.note(at, RefusalCode::TooLarge, what);
        }
        enters
    }

    /// Refuses integers beyond 64 bits: they would be read back as the nearest float.
    fn check_number(&mut self, number: &serde_json::Number, at: &DocumentPlace<'_>) {
        const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
        let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return };
        if float >= 2.0 * TWO_POW_63 || float <= -TWO_POW_63 {
            let what = "a number beyond 64 bits (-2^63 to 2^64-1) is not kept exactly: write it as text";
            self.note(at, RefusalCode::OutOfRange, what.to_owned());
        }
    }

    fn check_name(&mut self, name: &str, at: &DocumentPlace<'_>) {
        if name.len() > FIELD_NAME_BYTES_MAX {
            let what = format!(
                "the name of a field has {} bytes, at most {FIELD_NAME_BYTES_MAX} are admitted: {}",
                name.len(),
                quoted(name)
            );
            self.note(at, RefusalCode::TooLarge, what);
        }
    }

    fn note(&mut self, at: &DocumentPlace<'_>, code: RefusalCode, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Problem::new(at.pointer(), what).coded(code));
        }
    }
}

fn label_faults(labels: &Map<String, Value>, faults: &mut Vec<Problem>) {
    if labels.len() > LABELS_MAX {
        let what = format!("{} labels are set, at most {LABELS_MAX} are admitted", labels.len());
        faults.push(Problem::new("/labels", what).coded(RefusalCode::TooLarge));
    }
    for (key, value) in labels {
        if faults.len() >= FAULTS_MAX {
            return;
        }
        faults.extend(label_key_fault(key).map(|what| {
            Problem::new(format!("/labels/{}", quoted_step(key)), what).coded(RefusalCode::Malformed)
        }));
        let value = value.as_str().and_then(label_value_fault);
        faults.extend(value.map(|what| {
            Problem::new(format!("/labels/{}", quoted_step(key)), what).coded(RefusalCode::Malformed)
        }));
    }
}

/// A label's key as a step of a pointer, cut because a hostile key may be long.
fn quoted_step(key: &str) -> String {
    let end = key.char_indices().nth(LABEL_PREFIX_BYTES_MAX + 1 + LABEL_NAME_BYTES_MAX);
    escape(end.map_or(key, |(end, _)| &key[..end]))
}

/// `[prefix/]name`, as in Kubernetes: the name up to 63 letters, digits, `-`, `_` and `.`, with a letter or
/// digit at both ends; the prefix a DNS name.
fn label_key_fault(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let name_fits = name.len() <= LABEL_NAME_BYTES_MAX && has_label_characters(name, b"-_.");
    let prefix_fits = prefix
        .is_none_or(|prefix| prefix.len() <= LABEL_PREFIX_BYTES_MAX && has_label_characters(prefix, b"-."));
    if name_fits && prefix_fits {
        return None;
    }
    Some(format!(
        "{} ({} bytes) cannot be the key of a label: use [PREFIX/]NAME, where NAME has at most \
         {LABEL_NAME_BYTES_MAX} letters, digits, `-`, `_` or `.` with a letter or digit at both ends, and \
         PREFIX is a DNS name of at most {LABEL_PREFIX_BYTES_MAX} bytes",
        quoted(key),
        key.len()
    ))
}

fn has_label_characters(text: &str, extra: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(byte))
}

fn label_value_fault(value: &str) -> Option<String> {
    if value.len() > LABEL_VALUE_BYTES_MAX {
        let bytes = value.len();
        return Some(format!(
            "the value of a label has {bytes} bytes, at most {LABEL_VALUE_BYTES_MAX} are admitted"
        ));
    }
    value.contains(char::is_control).then(|| "the value of a label has no control characters".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn found(body: Value) -> Vec<String> {
        let Value::Object(fields) = body else { panic!("an object") };
        faults(&fields, OBJECT_BYTES_MAX).iter().map(ToString::to_string).collect()
    }

    /// A list in a list, nested `levels` deep.
    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!([]), |inner, _| json!([inner]))
    }

    fn labels(count: usize) -> Value {
        let labels: BTreeMap<String, String> = (0..count).map(|i| (format!("l{i}"), "x".into())).collect();
        json!({"labels": labels})
    }

    #[test]
    fn each_bound_admits_what_reaches_it_and_names_what_breaks_it() {
        let text = |bytes: usize| json!({"serial": "x".repeat(bytes)});
        let params = |count: usize| {
            let params: BTreeMap<String, u8> = (0..count).map(|i| (format!("p{i}"), 0)).collect();
            json!({"params": params})
        };
        let key = |key: String| json!({"labels": {key: "x"}});
        let around = json!({"serial": ""}).to_string().len();
        let table: [(&str, Value, Value, &str, &str); 9] = [
            (
                "size",
                text(OBJECT_BYTES_MAX - around - 3),
                text(OBJECT_BYTES_MAX),
                "/serial",
                "at most 262144",
            ),
            ("depth", json!({"a": nested(63)}), json!({"a": nested(64)}), "/a/0/0", "deeper than 64"),
            ("labels", labels(64), labels(65), "/labels", "65 labels are set, at most 64"),
            ("label name", key("a".repeat(63)), key("a".repeat(64)), "/labels/aaa", "64 bytes"),
            (
                "label value",
                json!({"labels": {"a": "x".repeat(256)}}),
                json!({"labels": {"a": "x".repeat(257)}}),
                "/labels/a",
                "257 bytes, at most 256",
            ),
            ("params", params(1024), params(1025), "/params", "1025 params are set, at most 1024"),
            (
                "list",
                json!({"macs": vec![0; 1024], "default": vec![0; 1025]}),
                json!({"macs": vec![0; 1025]}),
                "/macs",
                "1025 items are listed, at most 1024",
            ),
            (
                "field name",
                json!({"params": {"x".repeat(1024): 1}}),
                json!({"params": {"x".repeat(1025): 1}}),
                "/params",
                "1025 bytes, at most 1024",
            ),
            (
                "number",
                json!({"params": {"n": [u64::MAX, i64::MIN, 0.5]}}),
                json!({"params": {"n": [18_446_744_073_709_551_616.0]}}),
                "/params/n/0",
                "beyond 64 bits",
            ),
        ];
        for (bound, most, more, pointer, message) in table {
            assert_eq!(found(most), [""; 0], "{bound}");
            let found = found(more);
            assert_eq!(found.len(), 1, "{bound}: {found:?}");
            assert!(found[0].starts_with(pointer) && found[0].contains(message), "{bound}: {found:?}");
        }
    }

    #[test]
    fn keys_of_labels_are_those_of_kubernetes() {
        for good in ["rack", "example.org/rack", "a.b", "A_1-b", "x"] {
            assert_eq!(label_key_fault(good), None, "{good}");
        }
        for bad in ["", "a\0b", "a b", "-a", "a-", "/a", "a/", "a/b/c", "é", "a\nb", "~"] {
            assert!(label_key_fault(bad).is_some(), "{bad:?}");
        }
        assert!(found(json!({"labels": {"a\0": "x", "b": "x\n"}})).len() == 2);
    }

    #[test]
    fn a_hostile_number_of_faults_is_told_in_part() {
        let labels: BTreeMap<String, &str> = (0..200_000).map(|i| (format!("{i}\0"), "\0")).collect();
        let found = found(json!({"labels": labels}));
        assert_eq!(found.len(), FAULTS_MAX);
        let deep: Vec<Value> = (0..1000).map(|_| nested(70)).collect();
        assert_eq!(super::faults(json!({"a": deep}).as_object().unwrap(), OBJECT_BYTES_MAX).len(), 64);
    }

    #[test]
    fn depth_and_size_of_a_text_are_those_of_its_value() {
        for levels in [1, 2, 63, 64, 120] {
            let value = nested(levels);
            assert_eq!(depth(&value, 200), levels);
            assert_eq!(text_depth(&value.to_string()), levels);
        }
        assert_eq!(depth(&nested(50), 10), 11);
        assert_eq!(text_depth(r#"{"a[": "\"{[", "b": [1]}"#), 2);
        assert_eq!(size(&json!({"a": ["b", 12]}), 1000), 2 + 5 + 2 + 1 + 3 + 1 + 2);
        assert!(size(&json!("x".repeat(100)), 10) > 10);
    }
}
