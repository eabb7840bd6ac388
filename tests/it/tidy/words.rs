//! What may not be written: promises, debugging left behind, tests that do not run, names that say nothing.

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

#[test]
fn words_in_comments_and_strings_are_not_faults() {
    let said = "//! A page.\nfn f() { g(\"todo!\"); } // dbg!\n";
    assert!(faults(&Source::of("src/a.rs", said)).is_empty());
    assert_eq!(faults(&Source::of("src/utils/a.rs", "fn f() { dbg!(1) }")).len(), 3);
}
