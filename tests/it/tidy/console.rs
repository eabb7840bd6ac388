//! Rules for the console: sizes, what its policy for scripts would refuse, and that each screen has a story.

use std::fs;
use std::path::{Path, PathBuf};

use super::Fault;

const FILE_LINES_MAX: usize = 500;
const LINE_COLUMNS_MAX: usize = 110;
/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 8;
/// What packages and the bundler make; git ignores it.
const MADE: &[&str] = &["node_modules", "dist", "schema.d.ts", "fields.ts", "package-lock.json"];

const REFUSED: &[(&str, &str)] = &[
    ("export default", "export it by its name"),
    (": any", "say what it is, or `unknown`"),
    ("<any>", "say what it is, or `unknown`"),
    ("as any", "say what it is, or `unknown`"),
    ("@ts-ignore", "mend the type"),
    ("@ts-nocheck", "mend the types"),
    ("innerHTML", "text of machines would become elements"),
    ("InnerHTML", "text of machines would become elements"),
    ("eval(", "the policy refuses it"),
    ("new Function(", "the policy refuses it"),
    ("debugger;", "debugging left behind"),
];

pub fn faults() -> Vec<Fault> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("console"), &mut files, DEPTH_MAX);
    files.sort();
    let mut faults = Vec::new();
    for file in &files {
        let path = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
        faults.extend(source_faults(&path, &fs::read_to_string(file).unwrap_or_default()));
    }
    faults.extend(screen_faults(root));
    if fs::read_to_string(root.join("console/package-lock.json"))
        .is_ok_and(|text| text.contains("\"resolved\""))
    {
        let why = "names the host that packages come from: npm writes no addresses with console/.npmrc";
        faults.push(Fault::new("console packages", "console/package-lock.json", why));
    }
    faults
}

/// Scripts, styles and pages below a folder.
fn collect(folder: &Path, into: &mut Vec<PathBuf>, depth: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if MADE.iter().any(|made| path.ends_with(made)) {
            continue;
        }
        if path.is_dir() && depth > 0 {
            collect(&path, into, depth - 1);
        } else if path
            .extension()
            .is_some_and(|end| ["ts", "tsx", "mjs", "css", "html"].iter().any(|e| end == *e))
        {
            into.push(path);
        }
    }
}

fn source_faults(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        let why = format!("{lines} lines, at most {FILE_LINES_MAX}");
        faults.push(Fault::new("file length", path, why).measured(lines));
    }
    let is_script = !path.ends_with(".css") && !path.ends_with(".html");
    for (index, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            let why = format!("{columns} columns, at most {LINE_COLUMNS_MAX}");
            faults.push(Fault::new("line length", format!("{path}:{}", index + 1), why).measured(columns));
        }
        let code = line.split("// ").next().unwrap_or_default();
        for (word, why) in REFUSED.iter().filter(|(word, _)| is_script && code.contains(word)) {
            let why = format!("line {}: `{word}`: {why}", index + 1);
            faults.push(Fault::new("refused words", format!("{path} {word}"), why));
        }
    }
    if is_script && !text.trim_start().starts_with("//") && !text.starts_with("/*") {
        faults.push(Fault::new("module comment", path, "open with a comment: what it is for"));
    }
    faults
}

/// Each folder of screens is a place of the stories, which axe and the pictures go to.
fn screen_faults(root: &Path) -> Vec<Fault> {
    let places = fs::read_to_string(root.join("console/stories/places.ts")).unwrap_or_default();
    let Ok(entries) = fs::read_dir(root.join("console/src/screens")) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let untold = names.filter(|name| !places.contains(&format!("name: \"{name}\"")));
    untold
        .map(|name| {
            let why = "the stories do not go to this screen: add it to console/stories/places.ts";
            Fault::new("console stories", format!("console/src/screens/{name}"), why)
        })
        .collect()
}

#[test]
fn what_the_rules_of_the_console_refuse() {
    let found = |text: &str| source_faults("console/src/a.ts", text).len();
    assert_eq!(found("// A page.\nexport const a = 1; // export default would be refused\n"), 0);
    assert_eq!(found("// A page.\nexport default 1;\nlet a: any;\n"), 2);
    assert_eq!(found("export const a = 1;\n"), 1, "without its comment");
    assert_eq!(found(&format!("// {}\n", "a".repeat(120))), 1);
}
