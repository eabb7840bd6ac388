//! The index of the documents, and their links.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{DocsPage, pages, root, split};

const INDEX: &str = "docs/README.md";
/// The index of these lists them.
const DECISIONS: &str = "docs/adr/";

/// The targets of the links of a page, with their lines.
fn links(page: &DocsPage) -> Vec<(usize, String)> {
    let (_, rest) = split(&page.text);
    let of_line = |line: &str| -> Vec<String> {
        // Code has no links.
        let line: String = line.split('`').step_by(2).collect();
        let after = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        after.map(|(target, _)| target.to_owned()).collect()
    };
    rest.iter()
        .zip(1..)
        .flat_map(|(line, number)| of_line(line).into_iter().map(move |to| (number, to)))
        .collect()
}

/// The path from the root that a link of a page leads to, without `.` and `..`.
fn target(page: &DocsPage, link: &str) -> String {
    let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
    let mut path = PathBuf::new();
    for part in folder.join(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The name of a heading in links: small letters, dashes for spaces, nothing else but letters, digits and
/// underscores.
fn anchor(heading: &str) -> String {
    let letters = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    letters.collect()
}

fn anchors(page: &DocsPage) -> BTreeSet<String> {
    let (_, rest) = split(&page.text);
    let headings = rest.iter().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn the_index_has_every_page() {
    let all = pages();
    let index = all.iter().find(|page| page.path == INDEX).expect("docs/README.md");
    let listed: BTreeSet<String> = links(index).iter().map(|(_, link)| target(index, link)).collect();
    let missing: Vec<&str> = all
        .iter()
        .map(|page| page.path.as_str())
        .filter(|path| path.starts_with("docs/") && *path != INDEX && !listed.contains(*path))
        .filter(|path| !path.starts_with(DECISIONS) || path.ends_with("README.md"))
        .collect();
    assert!(missing.is_empty(), "{INDEX} does not list {missing:?}");
    let decisions =
        all.iter().find(|page| page.path == format!("{DECISIONS}README.md")).expect("their index");
    let listed: BTreeSet<String> = links(decisions).iter().map(|(_, link)| target(decisions, link)).collect();
    let mut records = all.iter().map(|page| &page.path).filter(|path| path.starts_with(DECISIONS));
    assert!(records.all(|path| listed.contains(path) || *path == decisions.path), "{listed:?}");
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    let all = pages();
    let mut faults = Vec::new();
    for page in &all {
        for (line, link) in links(page).iter().filter(|(_, link)| !link.contains("://")) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if path.is_empty() { page.path.clone() } else { target(page, path) };
            let there = all.iter().find(|other| other.path == path);
            let is_there = match there {
                Some(other) => heading.is_empty() || anchors(other).contains(heading),
                None => heading.is_empty() && root().join(&path).exists(),
            };
            if !is_there {
                faults.push(format!("{}:{line}: {link}", page.path));
            }
        }
    }
    assert!(faults.is_empty(), "these links lead nowhere:\n{}", faults.join("\n"));
}
