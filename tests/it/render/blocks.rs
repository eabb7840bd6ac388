//! The blocks of the documents that ship: the parts that a site may replace, or add to.
//!
//! `METALWRIGHT_BLESS=1` writes the table of `docs/operating/hooks.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use metalwright::render::included;
use serde_json::json;

use super::content::{self, Case, document_templates, shipped_templates};
use super::hooks;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating/hooks.md");
/// What begins a row of the table of blocks.
const ROW: &str = "| `";
const TABLE: &str = "| template | parts |";

/// The names of a template's blocks, in their order, each with what stands in it.
fn blocks(body: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for rest in body.split("{% block ").skip(1) {
        let (name, rest) = rest.split_once([' ', '%']).expect("the tag of a block ends");
        let (_, rest) = rest.split_once("%}").expect("the tag of a block ends");
        let (within, _) = rest.split_once("{% endblock").expect("a block ends before the next one begins");
        found.push((name.to_owned(), within.to_owned()));
    }
    assert_eq!(body.matches("{% endblock").count(), found.len(), "no block stands inside of another");
    found
}

/// The parts of each template that has some.
fn parts() -> BTreeMap<String, Vec<String>> {
    let parts = shipped_templates().into_iter().map(|(name, body)| {
        let names = blocks(&body).into_iter().map(|(name, _)| name);
        let names = names.filter(|block| !block.starts_with("before_") && !block.starts_with("after_"));
        (name, names.collect::<Vec<_>>())
    });
    parts.filter(|(_, parts)| !parts.is_empty()).collect()
}

#[test]
fn each_part_stands_between_an_empty_block_before_it_and_one_after_it() {
    let shaped = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    for (template, body) in shipped_templates() {
        let blocks = blocks(&body);
        for block in blocks.chunks(3) {
            let [(before, nothing), (part, within), (after, none)] = block else {
                panic!("{template}: {block:?}")
            };
            assert_eq!((before, after), (&format!("before_{part}"), &format!("after_{part}")), "{template}");
            assert!(shaped(part) && nothing.is_empty() && none.is_empty(), "{template}: {part}");
            assert!(!within.trim().is_empty(), "{template}: {part}");
        }
    }
}

#[test]
fn the_blocks_of_a_document_and_of_all_that_it_includes_have_names_of_their_own() {
    let templates: BTreeMap<String, String> = shipped_templates().into_iter().collect();
    let of_sites = documents().into_iter().map(|(_, name)| name.to_owned());
    let documents: BTreeSet<String> = document_templates().into_iter().chain(of_sites).collect();
    assert!(documents.len() > 20, "{documents:?}");
    for document in documents {
        let (mut open, mut seen) = (vec![document.clone()], BTreeSet::new());
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        while let Some(template) = open.pop() {
            let Some(body) = templates.get(&template).filter(|_| seen.insert(template.clone())) else {
                continue;
            };
            for (block, _) in blocks(body) {
                let other = names.insert(block.clone(), template.clone());
                assert!(
                    other.is_none_or(|other| other == template),
                    "{document}: {template} has a second {block}"
                );
            }
            open.extend(included(body).names);
        }
        // What only sends to another place, or shows what another has, has no part of its own.
        let is_small = templates[&document].lines().count() <= 9;
        assert!(!names.is_empty() || is_small, "{document} has no block");
    }
}

/// Documents with their bootenv.
fn documents() -> Vec<(&'static str, &'static str)> {
    let debian = ["preseed/debian.cfg", "preseed/early.sh", "preseed/disk.sh", "preseed/late.sh"];
    let others = ["snippets/agent.toml", "tasks/record-os.sh", "tasks/check-ssh-access.sh"];
    let sections = ["autoinstall/apt.yaml", "autoinstall/hooks.yaml"];
    let debian = debian.into_iter().chain(others).chain(sections).map(|name| ("debian-12-install", name));
    debian.chain([("rocky-9-install", "kickstart/rocky.ks")]).collect()
}

/// The lines of a template's own that stand before and after its parts, each by its block.
fn lines_of(name: &str, body: &str) -> Vec<(String, String)> {
    let around = blocks(body).into_iter().map(|(block, _)| block);
    let around = around.filter(|block| block.starts_with("before_") || block.starts_with("after_"));
    around.map(|block| (format!("{{% block {block} %}}"), format!("@@{name}:{block}@@\n"))).collect()
}

/// All templates, with such a line in each block before and after a part.
fn marked() -> Vec<(String, String)> {
    let marked = shipped_templates().into_iter().map(|(name, body)| {
        let lines = lines_of(&name, &body);
        let body = lines.iter().fold(body, |body, (tag, line)| body.replace(tag, &format!("{tag}{line}")));
        (name, body)
    });
    marked.collect()
}

#[test]
fn a_line_before_or_after_a_part_is_the_only_difference_in_the_document() {
    let (marked, mut seen) = (content::engine_with(&marked()), BTreeSet::new());
    for params in [json!({}), json!({"rehearse": true}), hooks::all_hooks()] {
        for (bootenv, document) in documents() {
            let case = Case::booting(bootenv, params.clone());
            let with_lines = case.rendered_by(&marked, document).text;
            let is_own = |line: &&str| line.starts_with("@@") && line.ends_with("@@\n");
            let (own, rest): (Vec<&str>, Vec<&str>) = with_lines.split_inclusive('\n').partition(is_own);
            assert_eq!(rest.concat(), case.template(document), "{document}");
            assert!(!own.is_empty(), "{document}");
            seen.extend(own.into_iter().map(str::to_owned));
        }
    }
    let of_loaders = |name: &str| ["grub/", "ipxe/", "pxelinux/"].iter().any(|of| name.starts_with(of));
    let others = shipped_templates().into_iter().filter(|(name, _)| !of_loaders(name));
    let lines = others.flat_map(|(name, body)| lines_of(&name, &body)).map(|(_, line)| line);
    let unseen: Vec<String> = lines.filter(|line| !seen.contains(line)).collect();
    assert!(unseen.is_empty(), "in no document: {unseen:?}");
}

#[test]
fn the_page_has_every_part_of_every_template() {
    let rows: Vec<String> = parts()
        .into_iter()
        .map(|(template, parts)| format!("{ROW}{template}` | `{}` |", parts.join("`, `")))
        .collect();
    let page = fs::read_to_string(PAGE).expect("the page");
    let (before, table) = page.split_once(TABLE).expect("the page has the table of blocks");
    let told: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with(ROW)).collect();
    if std::env::var_os("METALWRIGHT_BLESS").is_some() {
        let rest: Vec<&str> = table.lines().skip(2 + told.len()).collect();
        let page = format!("{before}{TABLE}\n|---|---|\n{}\n{}\n", rows.join("\n"), rest.join("\n"));
        fs::write(PAGE, page).expect("the page is written");
        return;
    }
    assert_eq!(told, rows, "METALWRIGHT_BLESS=1 writes the table of docs/operating/hooks.md");
}
