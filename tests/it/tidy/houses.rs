//! Rules for houses: their structs stay small, and the methods of a type are in the folder of the type, so
//! that they can be found by name.

use std::collections::{BTreeMap, BTreeSet};

use super::Fault;
use super::scan::{inside_brackets, line_of, split_at_commas};
use super::source::Source;

/// The folders that own one subject, each with a struct of its own in its `mod.rs`.
pub const HOUSES: [&str; 12] = [
    "kernel",
    "background",
    "catalog",
    "channels",
    "objects",
    "access",
    "artifacts",
    "records",
    "runs",
    "netboot",
    "dhcp",
    "insight",
];
const FIELDS_MAX: usize = 8;

pub fn faults(program: &[Source]) -> Vec<Fault> {
    let mut faults = methods_elsewhere(program);
    for house in HOUSES {
        let path = format!("src/{house}/mod.rs");
        match program.iter().find(|source| source.path == path) {
            Some(source) => faults.extend(large_structs(source)),
            None => faults.push(Fault::new("houses", path, "a house has a `mod.rs` with its struct")),
        }
    }
    faults
}

fn large_structs(source: &Source) -> Vec<Fault> {
    let code = source.shipped();
    let mut faults = Vec::new();
    for (at, _) in code.match_indices("pub struct ") {
        let rest = &code[at + "pub struct ".len()..];
        let (name, Some(open)) = (word(rest), rest.find(['{', ';', '('])) else { continue };
        let fields = split_at_commas(inside_brackets(&rest[open..])).len();
        if fields > FIELDS_MAX {
            let why = format!("line {}: {fields} fields, at most {FIELDS_MAX}", line_of(code, at));
            faults.push(
                Fault::new("fields of a house", format!("{}::{name}", source.path), why).measured(fields),
            );
        }
    }
    faults
}

/// Types with methods in a folder that does not define a type of that name.
fn methods_elsewhere(program: &[Source]) -> Vec<Fault> {
    let folders: BTreeSet<String> = program.iter().map(|source| parent(&source.path).to_owned()).collect();
    let folder_of = |source: &Source| {
        let own = source.path.trim_end_matches(".rs").to_owned();
        if folders.contains(&own) { own } else { parent(&source.path).to_owned() }
    };
    let mut defined: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for source in program {
        let known = defined.entry(folder_of(source)).or_default();
        for keyword in ["struct ", "enum ", "trait ", "union "] {
            known.extend(
                source.code.match_indices(keyword).map(|(at, _)| word(&source.code[at + keyword.len()..])),
            );
        }
    }
    let mut faults = Vec::new();
    for source in program {
        let code = source.shipped();
        let known = &defined[&folder_of(source)];
        for (at, _) in code.match_indices("\nimpl").filter(|(at, _)| is_inherent(&code[at + 1..])) {
            let name = type_of(&code[at + "\nimpl".len()..]);
            if !known.contains(name) {
                let why = format!(
                    "line {}: the methods of `{name}` stand in its own folder",
                    line_of(code, at + 1)
                );
                faults.push(Fault::new("methods", format!("{} impl {name}", source.path), why));
            }
        }
    }
    faults
}

/// `impl X {` and not `impl Y for X {`.
fn is_inherent(code: &str) -> bool {
    let head = &code[..code.find('{').unwrap_or(code.len())];
    !head.split_whitespace().any(|part| part == "for")
}

/// The name behind `impl`, and behind its generics if there are any.
fn type_of(rest: &str) -> &str {
    let mut depth = 0i32;
    let start = rest.char_indices().find(|(_, c)| {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        depth == 0 && c.is_alphabetic()
    });
    start.map_or("", |(at, _)| word(&rest[at..]))
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[test]
fn methods_stand_in_the_folder_of_their_type() {
    let own = Source::of("src/runs/mod.rs", "pub struct Runs {}\nimpl Runs {}\n");
    let beside =
        Source::of("src/runs/jobs.rs", "struct Job<'a>(&'a u8);\nimpl<'a> Job<'a> {}\nimpl Runs {}\n");
    let below = Source::of("src/runs/jobs/log.rs", "fn f() {}\nimpl Runs {}\nimpl Clone for Runs {}\n");
    let places: Vec<String> =
        methods_elsewhere(&[own, beside, below]).into_iter().map(|fault| fault.place).collect();
    assert_eq!(places, ["src/runs/jobs.rs impl Runs", "src/runs/jobs/log.rs impl Runs"]);
}

#[test]
fn a_house_with_nine_fields_is_a_fault() {
    let fields: String = (0..9).map(|n| format!("    f{n}: Map<u8, u8>,\n")).collect();
    let faults = large_structs(&Source::of("src/runs/mod.rs", &format!("pub struct Runs {{\n{fields}}}\n")));
    assert_eq!((faults.len(), faults[0].measure), (1, 9));
}
