//! `docs/operating/templates.md`: it has every function and every filter with its arguments, and each of its
//! examples gives what it says.

use super::*;
use crate::render::PackageRepository;
use crate::render::filters::FILTERS;
use crate::render::functions::FUNCTIONS;

const PAGE: &str = include_str!("../../../docs/operating/templates.md");
/// What a cell of results begins with where the render fails.
const ERROR: &str = "error: ";

/// The cells of the rows of all tables.
fn rows() -> Vec<Vec<String>> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| "));
    rows.map(|line| {
        let cells = line.replace("\\|", "\u{1}");
        let cells = cells.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|"));
        cells.collect()
    })
    .collect()
}

/// The text in the backquotes of a cell.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// A function or a filter as the page writes it: `param(name, default)`, or `sh` without arguments.
fn signature(name: &str, takes: &[&str], brackets: &str) -> String {
    if takes.is_empty() { format!("{name}{brackets}") } else { format!("{name}({})", takes.join(", ")) }
}

/// The machine of the page.
fn site() -> RenderInput {
    let levels = vec![
        layer(ParamLevel::Machine, json!({"packages": ["vim"], "disk": {"pick": "smallest"}})),
        layer(ParamLevel::Profile("web".into()), json!({"packages": ["nginx"], "root_password": "s3cret"})),
        layer(ParamLevel::Global, json!({"ntp_servers": ["10.0.0.3"]})),
        layer(ParamLevel::Default, json!({"timezone": "Etc/UTC"})),
    ];
    let secret = BTreeSet::from(["root_password".to_owned()]);
    let machine = json!({"name": "web1.example.org", "short_name": "web1", "domain": "example.org"});
    RenderInput {
        variables: json!({"machine": machine}).as_object().unwrap().clone(),
        params: LayeredParams::new(levels, secret, SecretAccess::Sealed),
        callbacks: Some(CallbackUrls { base: "http://10.0.0.1:8080/m/CAPABILITY".into() }),
        repositories: vec![PackageRepository {
            tag: "debian".into(),
            url: "http://mirror.example.org/debian".into(),
            install_source: true,
            ..PackageRepository::default()
        }],
        agent_token: Some("mw_example".into()),
        ..input()
    }
}

#[test]
fn the_page_has_every_function_and_filter_with_its_arguments() {
    let told: Vec<String> = rows().iter().filter_map(|row| Some(code(row.first()?)?.to_owned())).collect();
    let functions = FUNCTIONS.iter().map(|(name, takes, _)| signature(name, takes, "()"));
    let filters = FILTERS.iter().map(|(name, takes, _)| signature(name, takes, ""));
    let missing: Vec<String> = functions.chain(filters).filter(|made| !told.contains(made)).collect();
    assert!(missing.is_empty(), "docs/operating/templates.md has no row that begins with: {missing:?}");
}

#[test]
fn every_example_of_the_page_gives_what_it_says() {
    let examples: Vec<(String, String)> = rows()
        .into_iter()
        .filter_map(|mut row| {
            let (result, example) = (row.pop()?, row.pop()?);
            Some((code(&example).filter(|text| text.starts_with('{'))?.to_owned(), result))
        })
        .collect();
    assert!(examples.len() > FUNCTIONS.len() + FILTERS.len(), "{examples:?}");
    for (number, (example, result)) in examples.iter().enumerate() {
        let engine = engine(&[("example", example), ("site/disks/lvm.ks", "lvm")]);
        let rendered = engine.render("example", site(), RenderLimits::default());
        let said = rendered.map_or_else(|problem| format!("{ERROR}{}", problem.message), |made| made.text);
        assert_eq!(&said, code(result).unwrap_or(result), "example {number}: {example}");
    }
}
