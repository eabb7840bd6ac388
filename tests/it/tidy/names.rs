//! Rules for names and signatures: a type name stands for one type, most have two words, no tuple bundles
//! three values, few closures have a name.
//!
//! The two shares are ceilings. Lower them when the source allows it; never raise them.

use std::collections::BTreeMap;

use super::Fault;
use super::scan::{inside_brackets, line_of, split_at_commas};
use super::sizes;
use super::source::Source;

/// Type names of one word per thousand.
const ONE_WORD_PER_1000_MAX: usize = 100;
/// Named closures per thousand functions.
const NAMED_CLOSURES_PER_1000_MAX: usize = 30;
const TUPLE_MEMBERS_MAX: usize = 2;

pub fn faults(program: &[Source]) -> Vec<Fault> {
    let tested = test_modules(program);
    let shipped: Vec<&Source> =
        program.iter().filter(|source| !tested.iter().any(|module| is_below(source, module))).collect();
    let mut faults = reused_names(&shipped);
    let types: usize = shipped.iter().map(|source| types(source).len()).sum();
    let short = shipped.iter().flat_map(|source| types_of_one_word(source)).count();
    faults.extend(share("one-word types", short, types, ONE_WORD_PER_1000_MAX));
    let functions: usize = shipped.iter().map(|source| sizes::functions(source.shipped()).len()).sum();
    let closures = shipped.iter().map(|source| named_closures(source.shipped())).sum();
    faults.extend(share("named closures", closures, functions, NAMED_CLOSURES_PER_1000_MAX));
    faults.extend(shipped.iter().flat_map(|source| tuple_faults(source)));
    faults
}

fn share(rule: &'static str, found: usize, all: usize, most: usize) -> Option<Fault> {
    let reached = (found * 1000).div_ceil(all.max(1));
    let why = format!("{found} of {all} are {reached} of a thousand, at most {most}");
    (reached > most).then(|| Fault::new(rule, "src", why).measured(reached))
}

/// Paths, without `.rs`, of the modules that are compiled for tests only.
fn test_modules(program: &[Source]) -> Vec<String> {
    let mut modules = Vec::new();
    for source in program {
        let own = source.path.trim_end_matches(".rs");
        let folder = match own.rsplit_once('/') {
            Some((folder, "mod" | "lib" | "main")) => folder,
            _ => own,
        };
        for (at, mark) in source.code.match_indices("#[cfg(test)]") {
            let item = source.code[at + mark.len()..].split(';').next().unwrap_or_default();
            let Some((visibility, name)) = item.split_once("mod ") else { continue };
            if visibility.trim().is_empty() || visibility.trim().starts_with("pub") {
                modules.push(format!("{folder}/{name}"));
            }
        }
    }
    modules
}

fn is_below(source: &Source, module: &str) -> bool {
    source.path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// The types that a file defines, each with its line.
fn types(source: &Source) -> Vec<(&str, usize)> {
    let code = source.shipped();
    let mut found = Vec::new();
    for keyword in ["struct ", "enum ", "trait ", "type "] {
        for (at, _) in code.match_indices(keyword) {
            let line = &code[code[..at].rfind('\n').map_or(0, |newline| newline + 1)..at];
            // An indented `type` belongs to a trait.
            if line.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                || (keyword == "type " && line.starts_with(' '))
            {
                continue;
            }
            let rest = &code[at + keyword.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            if rest.starts_with(|c: char| c.is_ascii_uppercase()) {
                found.push((&rest[..end], line_of(code, at)));
            }
        }
    }
    found
}

fn types_of_one_word(source: &Source) -> impl Iterator<Item = &str> {
    let has_one_word = |name: &&str| name.chars().skip(1).all(|c| !c.is_ascii_uppercase());
    types(source).into_iter().map(|(name, _)| name).filter(has_one_word)
}

fn reused_names(program: &[&Source]) -> Vec<Fault> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in program {
        for (name, line) in types(source) {
            places.entry(name).or_default().push(format!("{}:{line}", source.path));
        }
    }
    let reused = places.into_iter().filter(|(_, places)| places.len() > 1);
    let why = "is the name of several types: give each a name of its own, two words where one is taken";
    reused
        .map(|(name, places)| Fault::new("type names", name, format!("{why}: {}", places.join(", "))))
        .collect()
}

/// The number of named closures: `let is_free = |address| …`.
fn named_closures(code: &str) -> usize {
    let is_closure = |(at, _): &(usize, &str)| {
        let statement = code[at + "let ".len()..].split(';').next().unwrap_or_default();
        let Some((pattern, value)) = statement.split_once('=') else { return false };
        let name = pattern.split(':').next().unwrap_or_default().trim().trim_start_matches("mut ");
        let value = value.trim_start().trim_start_matches("async ").trim_start_matches("move ");
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && value.starts_with('|')
    };
    code.match_indices("let ").filter(is_closure).count()
}

fn tuple_faults(source: &Source) -> Vec<Fault> {
    let functions = sizes::functions(source.shipped());
    let wide = functions.iter().filter(|function| {
        let kinds = function.parameters.iter().filter_map(|parameter| Some(parameter.split_once(':')?.1));
        kinds.chain([function.result]).any(has_wide_tuple)
    });
    let why = format!("has a tuple of more than {TUPLE_MEMBERS_MAX}: name its members in a struct");
    wide.map(|function| {
        let place = format!("{}::{}", source.path, function.name);
        Fault::new("tuples", place, format!("line {}: {why}", function.line))
    })
    .collect()
}

/// Whether a type contains a tuple of three or more. Brackets after a name (`Fn(A, B, C)`) are not a tuple.
fn has_wide_tuple(kind: &str) -> bool {
    kind.match_indices('(').any(|(at, _)| {
        let is_named = kind[..at].trim_end().ends_with(|c: char| c.is_alphanumeric() || c == '_');
        !is_named && split_at_commas(inside_brackets(&kind[at..])).len() > TUPLE_MEMBERS_MAX
    })
}

#[test]
fn a_type_name_that_is_used_twice_is_a_fault() {
    let one = "pub struct Answer;\nimpl Iterator for Answer {\n    type Item = u8;\n}\n";
    let one = Source::of("src/a.rs", one);
    let two = Source::of("src/b/mod.rs", "#[cfg(test)]\nmod story;\nenum Answer {}\n");
    let story = Source::of("src/b/story.rs", "struct Answer;\n");
    let program = [one, two, story];
    let places: Vec<String> = faults(&program).into_iter().map(|fault| fault.why).collect();
    assert!(places[0].ends_with("src/a.rs:1, src/b/mod.rs:3"), "{places:?}");
}

#[test]
fn tuples_of_three_and_named_closures_are_counted() {
    let text = "fn a(b: (u8, u8), c: impl Fn(u8, u8, u8)) -> u8 {}\nfn d(e: &[(u8, u8, u8)]) {}\n\
                fn f() -> Option<(u8, (u8, u8), u8)> {\n    let g = |h: u8| h;\n    let i = move || 1;\n\
                let j = k | l;\n}\n";
    let source = Source::of("src/a.rs", text);
    let places: Vec<String> = tuple_faults(&source).into_iter().map(|fault| fault.place).collect();
    assert_eq!(places, ["src/a.rs::d", "src/a.rs::f"]);
    assert_eq!(named_closures(&source.code), 2);
}
