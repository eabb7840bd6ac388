//! Forbidden words: promises, leftover debugging, tests that do not run, names without meaning.

use super::Fault;
use super::scan::line_of;
use super::source::Source;

/// Put together here so that this file does not break its own rule.
const REFUSED: &[(&str, &str)] = &[
    ("todo!", "finish it, or leave it out"),
    ("unimplemented!", "finish it, or leave it out"),
    ("dbg!", "debugging left behind"),
    ("#[ignore", "a test that does not run proves nothing"),
    ("thread::sleep", "wait for the thing itself"),
    ("allow(dead_code", "take out what is not used"),
    ("allow(unused", "take out what is not used"),
];

const VAGUE_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "manager"];

pub fn faults(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (word, why) in REFUSED {
        if let Some(at) = source.code.find(word) {
            let why = format!("line {}: `{word}`: {why}", line_of(&source.code, at));
            faults.push(Fault::new("refused words", format!("{} {word}", source.path), why));
        }
    }
    if !source.text.starts_with("//!") {
        let why = "open with a `//!` comment: what it is for, what it leaves to others, where to start";
        faults.push(Fault::new("module comment", source.path.as_str(), why));
    }
    for name in source.path.trim_end_matches(".rs").split('/').filter(|name| VAGUE_NAMES.contains(name)) {
        let why = format!("`{name}` says nothing: name the module for what it is");
        faults.push(Fault::new("vague names", source.path.as_str(), why));
    }
    faults
}

/// Functions of rules that only find problems to show.
const SHOWING: &[&str] = &[
    "problems",
    "problems_now",
    "read_checks",
    "read_check",
    "unknown",
    "undeclared",
    "no_param",
    "disk_check",
];

/// A rule that decides on a write reads other objects through a view that records reads.
pub fn rules_are_tracked(source: &Source) -> Vec<Fault> {
    if !source.path.contains("/rules/") {
        return Vec::new();
    }
    let uses = source.code.match_indices("&World").map(|(at, _)| at);
    let named = uses.filter_map(|at| {
        let name = source.code[..at].rsplit("fn ").next()?;
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let why =
            format!("line {}: `{name}` takes `&World`: take `&TrackedWorld`", line_of(&source.code, at));
        (!SHOWING.contains(&name.as_str()))
            .then(|| Fault::new("tracked rules", format!("{} {name}", source.path), why))
    });
    named.collect()
}

#[test]
fn a_rule_that_takes_the_world_itself_is_a_fault() {
    let said = "//! A page.\nfn problems(world: &World) {}\nfn conflict(world: &World) {}\n";
    let found = rules_are_tracked(&Source::of("src/objects/rules/a.rs", said));
    assert_eq!(
        found.iter().map(|fault| fault.place.as_str()).collect::<Vec<_>>(),
        ["src/objects/rules/a.rs conflict"]
    );
}

#[test]
fn words_in_comments_and_strings_are_not_faults() {
    let said = "//! A page.\nfn f() { g(\"todo!\"); } // dbg!\n";
    assert!(faults(&Source::of("src/a.rs", said)).is_empty());
    assert_eq!(faults(&Source::of("src/utils/a.rs", "fn f() { dbg!(1) }")).len(), 3);
}
