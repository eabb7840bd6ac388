//! Everything that `ARCHITECTURE.md` names must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Fault;
use super::source::Source;

const PAGE: &str = "ARCHITECTURE.md";
/// Most lines of the page: nobody reads a longer map.
const LINES_MAX: usize = 200;

pub fn faults(program: &[Source]) -> Vec<Fault> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    let known: BTreeSet<&str> = program.iter().flat_map(|source| words(&source.code)).collect();
    let files: BTreeSet<String> = program.iter().flat_map(|source| names_in(&source.path)).collect();
    let mut faults: Vec<Fault> = named(&text)
        .filter(|(_, name)| {
            !exists(root, name) && !is_part_of_a_path(name, program) && !is_known(name, &known, &files)
        })
        .map(|(line, name)| {
            let why = format!("line {line}: there is nothing of the name `{name}` in the source");
            Fault::new("names in documents", format!("{PAGE} {name}"), why)
        })
        .collect();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        let why = format!("{lines} lines, at most {LINES_MAX}");
        faults.push(Fault::new("names in documents", PAGE, why).measured(lines));
    }
    faults
}

/// Words in backquotes, with their lines, except names from elsewhere: system calls, headers, commands,
/// patterns.
fn named(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        in_backquotes(line).filter(|part| is_name(part)).map(move |part| (index + 1, part))
    })
}

pub(super) fn in_backquotes(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A path of modules or a type, a function with an underscore, a file or folder.
fn is_name(part: &str) -> bool {
    if part.starts_with('/') || part.contains('-') && !part.contains('/') {
        return false;
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_:/.-".contains(c);
    let is_file = part.contains('/') || part.ends_with(".rs") || part.ends_with(".md");
    let is_code = part.contains("::") || part.contains('_') && part == part.to_lowercase();
    let is_type = part.starts_with(|c: char| c.is_ascii_uppercase()) && part != part.to_uppercase();
    part.chars().all(is_word) && !part.contains("..") && (is_file || is_code || is_type)
}

fn exists(root: &Path, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    ["", "src/", "tests/"].iter().any(|folder| root.join(format!("{folder}{name}")).exists())
}

/// `rules/` of `src/objects/rules/mod.rs`; a decision record by its number.
fn is_part_of_a_path(name: &str, program: &[Source]) -> bool {
    let is_record = || {
        let records =
            fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adr")).into_iter().flatten();
        let names =
            records.flatten().map(|entry| format!("docs/adr/{}", entry.file_name().to_string_lossy()));
        { names }.any(|record| record.starts_with(name))
    };
    let part = format!("/{name}");
    name.contains(['/', '.']) && (program.iter().any(|source| source.path.contains(&part)) || is_record())
}

fn is_known(name: &str, known: &BTreeSet<&str>, files: &BTreeSet<String>) -> bool {
    !name.contains('/') && name.split("::").all(|part| known.contains(part) || files.contains(part))
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// The names of a file and of the folders it is in.
fn names_in(path: &str) -> Vec<String> {
    path.trim_end_matches(".rs").split('/').map(str::to_owned).collect()
}

#[test]
fn a_name_that_is_gone_is_a_fault() {
    let known = BTreeSet::from(["answer_dhcp", "Dhcp"]);
    let files = BTreeSet::from(["leases".to_owned()]);
    assert!(is_known("Dhcp::answer_dhcp", &known, &files) && is_known("leases", &known, &files));
    assert!(!is_known("Dhcp::gone", &known, &files));
    let found: Vec<&str> =
        named("`a::b` and `openat2` in `src/x.rs`, a `Type`, `PATCH`").map(|(_, name)| name).collect();
    assert_eq!(found, ["a::b", "src/x.rs", "Type"]);
}
