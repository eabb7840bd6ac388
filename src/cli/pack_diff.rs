//! What differs between two packs, object by object. Texts are compared line by line.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::cli::diff;
use crate::cli::output::{self, OutputFormat};
use crate::model::Kind;
use crate::pack_files::{PackFile, PackedObject, packed_objects};

/// Lines around a change.
const CONTEXT_LINES: usize = 3;

/// One object, or `pack.yaml`, that differs.
#[derive(Debug, PartialEq)]
struct ObjectDifference {
    /// `template`, `stage`, or `file` for what is no object.
    kind: String,
    name: String,
    /// `added`, `removed` or `changed`.
    change: &'static str,
    /// The lines that differ.
    text: String,
}

/// Prints the differences.
///
/// # Errors
/// The output is closed.
pub(super) fn print(packs: (&[PackFile], &[PackFile]), format: Option<OutputFormat>) -> Result<()> {
    let found = differences(packs);
    if let Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) = format {
        let items: Vec<Value> = found
            .iter()
            .map(|of| json!({"kind": of.kind, "name": of.name, "change": of.change, "diff": of.text}))
            .collect();
        return output::print_value(&json!(items), format);
    }
    if found.is_empty() {
        output::note("the packs are the same");
    }
    for ObjectDifference { kind, name, change, text } in found {
        let sign = match change {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        output::print_foreign(format!("{sign} {kind} {name}\n{text}").as_bytes())?;
    }
    Ok(())
}

fn differences((before, after): (&[PackFile], &[PackFile])) -> Vec<ObjectDifference> {
    let (before, after) = (packed_objects(before), packed_objects(after));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let found = keys.into_iter().filter_map(|key| {
        let (change, text) = match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) if old == new => return None,
            (Some(old), Some(new)) => ("changed", changed_text((key, old), new)),
            (Some(_), None) => ("removed", String::new()),
            (None, _) => ("added", String::new()),
        };
        let (kind, name) = key.clone();
        Some(ObjectDifference { kind, name, change, text })
    });
    found.collect()
}

type ObjectKey = (String, String);

fn changed_text((key, old): (&ObjectKey, &PackedObject), new: &PackedObject) -> String {
    match (old, new) {
        (PackedObject::Text(old), PackedObject::Text(new)) => unified(&key.1, (old, new)),
        (PackedObject::Fields(old), PackedObject::Fields(new)) => fields_text(&key.0, (old, new)),
        // One of them is not readable as YAML.
        _ => "  ~ it is of another form\n".to_owned(),
    }
}

/// The fields that differ; a text of several lines is compared line by line.
fn fields_text(kind: &str, versions: (&Value, &Value)) -> String {
    let kind = Kind::of_word(kind).unwrap_or(Kind::Template);
    let none = BTreeSet::new();
    let told = diff::changes(versions).into_iter().map(|change| match (&change.before, &change.after) {
        (Some(Value::String(old)), Some(Value::String(new))) if old.contains('\n') || new.contains('\n') => {
            let name = change.path.join(".");
            format!("  ~ {name}:\n{}", unified(&name, (old, new)))
        }
        _ => diff::show(kind, &change, &none),
    });
    told.collect()
}

/// The unified diff of two texts.
pub fn unified(name: &str, (old, new): (&str, &str)) -> String {
    let diff = TextDiff::from_lines(old, new);
    let (before, after) = (format!("a/{name}"), format!("b/{name}"));
    diff.unified_diff().context_radius(CONTEXT_LINES).header(&before, &after).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(files: &[(&str, &str)]) -> Vec<PackFile> {
        let files = files
            .iter()
            .map(|(path, body)| PackFile { path: (*path).to_owned(), body: body.as_bytes().to_vec() });
        files.collect()
    }

    #[test]
    fn objects_are_compared_by_kind_and_name_wherever_they_stand() {
        let before = pack(&[
            ("pack.yaml", "name: site\nversion: 1.0.0\n"),
            ("workflows/stages/all.yaml", "- name: one\n  tasks: [a]\n- name: two\n"),
            ("templates/a.cfg", "one\ntwo\n"),
        ]);
        let after = pack(&[
            ("pack.yaml", "name: site\nversion: 1.1.0\n"),
            ("workflows/stages/one.yaml", "name: one\ntasks: [a, b]\n"),
            ("workflows/stages/three.yaml", "name: three\n"),
            ("templates/a.cfg", "one\nTWO\n"),
        ]);
        let found = differences((&before, &after));
        let told: Vec<String> =
            found.iter().map(|of| format!("{} {} {}", of.change, of.kind, of.name)).collect();
        assert_eq!(
            told,
            [
                "changed file pack.yaml",
                "changed stage one",
                "added stage three",
                "removed stage two",
                "changed template a.cfg"
            ]
        );
        assert!(found[0].text.contains("\"1.0.0\""), "{found:?}");
        assert!(found[4].text.contains("--- a/a.cfg\n+++ b/a.cfg\n"), "{found:?}");
        assert!(found[4].text.contains("-two\n+TWO\n"), "{found:?}");
        assert_eq!(differences((&before, &before)), []);
    }
}
