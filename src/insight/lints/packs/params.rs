//! Params that are read or required and that nobody declares.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{LintFinding, LintRule, LintSeverity, LintedPack, LintedText, pattern};
use crate::model::{Kind, Problem, nearest};
use crate::pack_files::{PackFile, packed_objects, parse_yaml, with_lines};

const UNDECLARED: LintRule = LintRule {
    name: "undeclared-param",
    severity: LintSeverity::Error,
    remedy: "declare it in workflows/params, so that its values are checked",
};

pub(super) fn findings(of: LintedPack<'_>, (own, _): (&[LintedText], &[LintedText])) -> Vec<LintFinding> {
    let mut declared = declared_in(of.base);
    declared.extend(declared_in(of.files));
    let mut found = Vec::new();
    let Some(reads) =
        pattern(r#"\b(?:param|has_param|compose|param_keys)\(\s*name\s*=\s*["']([^"'{}]+)["']"#)
    else {
        return found;
    };
    for text in own {
        for (line, written) in text.lines() {
            let names = reads.captures_iter(written).filter_map(|found| found.get(1));
            for name in names.map(|name| name.as_str()).filter(|name| !declared.contains(*name)) {
                found.push(undeclared((&text.path, Some(line)), name, &declared));
            }
        }
        found.extend(
            required(text)
                .into_iter()
                .filter(|(name, _)| !declared.contains(name))
                .map(|(name, line)| undeclared((&text.path, line), &name, &declared)),
        );
    }
    found
}

fn declared_in(files: &[PackFile]) -> BTreeSet<String> {
    let params = Kind::Param.to_string();
    packed_objects(files).into_keys().filter(|(kind, _)| *kind == params).map(|(_, name)| name).collect()
}

fn undeclared((path, line): (&str, Option<usize>), name: &str, declared: &BTreeSet<String>) -> LintFinding {
    let near = nearest(name, declared.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    LintFinding::of(&UNDECLARED, (path, line), format!("nobody declares the param `{name}`{near}"))
}

/// The names in `required_params` of the objects of a file, each with its line.
fn required(text: &LintedText) -> Vec<(String, Option<usize>)> {
    if text.is_text_file() {
        return Vec::new();
    }
    let objects: Vec<(String, Value)> = match parse_yaml(&text.text) {
        Ok(Value::Array(items)) => {
            items.into_iter().enumerate().map(|(place, item)| (format!("/{place}"), item)).collect()
        }
        Ok(item) => vec![(String::new(), item)],
        // What cannot be read is told when the pack is loaded.
        Err(_) => Vec::new(),
    };
    let mut named = Vec::new();
    for (below, fields) in objects {
        let listed = fields.get("required_params").and_then(Value::as_array).into_iter().flatten();
        for (i, name) in listed.enumerate().filter_map(|(i, name)| Some((i, name.as_str()?))) {
            let at = Problem::new(format!("{below}/required_params/{i}"), "");
            let line = with_lines(&text.text, vec![at]).into_iter().find_map(|problem| problem.line);
            named.push((name.to_owned(), line.map(|line| line as usize)));
        }
    }
    named
}
