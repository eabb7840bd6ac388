//! The page `docs/operating/install-params.md`: it has every param that ships, and says of each what it is.

use std::fs;

use jiff::Timestamp;
use metalwright::catalog::content;
use metalwright::model::{Object, Param, check_schema};
use serde_json::Value;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating/install-params.md");
/// What begins a row of the table.
const ROW: &str = "| `";

fn params() -> Vec<Param> {
    let pack = content::core(Timestamp::UNIX_EPOCH).unwrap();
    let params = pack.objects.into_iter().filter_map(|object| match object {
        Object::Param(row) => Some(row.spec.clone()),
        _ => None,
    });
    let mut params: Vec<Param> = params.collect();
    params.sort_by(|one, other| one.name.cmp(&other.name));
    params
}

/// The example of a param's schema; of a choice it is the last one.
fn example(param: &Param) -> Option<&Value> {
    let choices = param.schema.get("enum").and_then(Value::as_array);
    param.schema.get("examples").and_then(|all| all.get(0)).or_else(|| choices?.last())
}

/// A value as code in a cell of a table.
fn code(value: &Value) -> String {
    format!("`{}`", value.to_string().replace('|', "\\|"))
}

/// What a schema asks for, in words.
fn kind(schema: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return format!("one of {}", choices.iter().map(word).collect::<Vec<_>>().join(", "));
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "text".to_owned(),
        Some("array") => format!("list of {}", schema.get("items").map(kind).unwrap_or_default()),
        Some("object") | None => "map".to_owned(),
        Some(other) => other.to_owned(),
    }
}

fn row(param: &Param) -> String {
    let secret = if param.secret { ", secret" } else { "" };
    let default = param.default.as_ref().map_or_else(|| "–".to_owned(), code);
    let example = example(param).map_or_else(|| "–".to_owned(), code);
    let said = param.description.replace('|', "\\|");
    let kind = kind(&param.schema);
    format!("{ROW}{}` | {said} | {kind}{secret} | {default} | {example} |", param.name)
}

#[test]
fn the_page_has_every_param_that_ships() {
    let rows: Vec<String> = params().iter().map(row).collect();
    let page = fs::read_to_string(PAGE).expect("the page");
    if std::env::var_os("METALWRIGHT_BLESS").is_some() {
        let first = page.lines().position(|line| line.starts_with(ROW)).unwrap_or(page.lines().count());
        let mut lines: Vec<&str> = page.lines().filter(|line| !line.starts_with(ROW)).collect();
        lines.splice(first..first, rows.iter().map(String::as_str));
        fs::write(PAGE, lines.join("\n") + "\n").expect("the page is written");
        return;
    }
    let told: Vec<&str> = page.lines().filter(|line| line.starts_with(ROW)).collect();
    let advice = "METALWRIGHT_BLESS=1 writes the table of docs/operating/install-params.md";
    assert_eq!(told, rows, "{advice}");
}

#[test]
fn every_param_that_ships_has_an_example_that_fits() {
    for param in &params() {
        let example = example(param).unwrap_or_else(|| panic!("{} has no example", param.name));
        assert_eq!(check_schema(&param.schema, example, ""), [], "{}", param.name);
    }
}
