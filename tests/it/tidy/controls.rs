//! Every test that `docs/security.md` names must exist: a control without its test is a promise.

use std::fs;
use std::path::Path;

use super::Fault;
use super::documents::in_backquotes;
use super::source::Source;

const PAGE: &str = "docs/security.md";

pub fn faults(sources: &[&Source]) -> Vec<Fault> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap_or_default();
    let mut faults: Vec<Fault> = named_tests(&text)
        .filter(|(_, name)| !is_there(name, sources))
        .map(|(line, name)| {
            let why = format!("line {line}: there is no test `{name}`");
            Fault::new("tests of controls", format!("{PAGE} {name}"), why)
        })
        .collect();
    if named_tests(&text).next().is_none() {
        faults.push(Fault::new("tests of controls", PAGE, "it names no test"));
    }
    faults
}

/// Paths in backquotes in the last column of the tables, with their lines.
fn named_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| line.starts_with('|')).flat_map(|(index, line)| {
        let last = line.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        let names = in_backquotes(last).filter(|name| name.contains(['_', ':']));
        names.map(move |name| (index + 1, name))
    })
}

/// A test function, or a module of tests.
fn is_there(name: &str, sources: &[&Source]) -> bool {
    let last = name.rsplit("::").next().unwrap_or_default();
    let (function, module) = (format!("fn {last}("), format!("/{}", name.replace("::", "/")));
    sources.iter().any(|source| source.code.contains(&function) || is_module(&source.path, &module))
}

fn is_module(path: &str, module: &str) -> bool {
    let inner = path.trim_end_matches(".rs").trim_end_matches("/mod");
    inner.ends_with(module)
}

#[test]
fn a_test_that_is_gone_is_a_fault() {
    let source = Source::of("src/houses/deletion_tests.rs", "fn a_deleted_machine_is_gone() {}");
    let sources = [&source];
    assert!(is_there("houses::deletion_tests::a_deleted_machine_is_gone", &sources));
    assert!(is_there("houses::deletion_tests", &sources));
    assert!(
        !is_there("houses::deletion_tests::a_deleted_machine", &sources)
            && !is_there("houses::other", &sources)
    );
    let page = "| a control of `x::y` | `a::b`, `c` |\nnot `d::e`\n";
    assert_eq!(named_tests(page).collect::<Vec<_>>(), [(1, "a::b")]);
}
