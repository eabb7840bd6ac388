//! What a machine is to do, what it would boot, what it may fetch, with which values.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::columns::text;
use crate::cli::command::ActionVerb;
use crate::cli::nouns::{name_of, object_path, reference};
use crate::cli::objects::Noun;
use crate::cli::output::{self, Format, plain};
use crate::cli::sets::value_at;
use crate::cli::summary::verdict;
use crate::client::{Client, ExplainOf, Explanation};
use crate::model::Kind;

/// `machines start`, `pause`, …: does it and says how the machine is then.
///
/// # Errors
/// What the server or the network says.
pub async fn act(noun: &Noun, verb: ActionVerb) -> Result<()> {
    let (action, machine, details) = verb.parts();
    let view = noun.client.act(&object_path(noun.kind, &machine)?, action, &details).await?;
    let field = |path: &str| value_at(&view, path).map(text).unwrap_or_default();
    let (state, reason) = (field("status.state"), field("status.reason"));
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    output::print(&(plain(&format!("{} is {state}{reason}", name_of(noun.kind, &view))) + "\n"))
}

/// `explain mac|machine|address X`: the rules, with a mark at the one that settled it.
///
/// # Errors
/// What the server or the network says.
pub async fn explain(client: &Client, of: ExplainOf, (what, format): (&str, Option<Format>)) -> Result<()> {
    let what = match of {
        ExplainOf::Machine => reference(Kind::Machine, what),
        ExplainOf::Mac | ExplainOf::Address => what.to_owned(),
    };
    let answer = client.explain(of, &what).await?;
    if let Some(format @ (Format::Json | Format::Yaml)) = format {
        return output::print_value(&answer, format);
    }
    let explanation: Explanation =
        serde_json::from_value(answer).context("the explanation does not read as one")?;
    output::print(&explained(&explanation))
}

fn explained(explanation: &Explanation) -> String {
    let Explanation { verdict: word, bootenv, reason, .. } = explanation;
    let verdict = verdict(&json!({"verdict": word, "bootenv": bootenv, "reason": reason}));
    let answer = explanation.answer.replace('_', " ");
    let rows: Vec<Vec<String>> = explanation
        .trace
        .iter()
        .map(|rule| {
            let mark = if rule.matched { "=>" } else { "" };
            vec![mark.to_owned(), rule.rule.clone(), rule.detail.clone()]
        })
        .collect();
    let table = output::table(&["", "RULE", "WHAT IT SAW"], &rows);
    format!("verdict: {}\nanswer:  {}\n\n{table}", plain(&verdict), plain(&answer))
}

/// `render REF FILE`: the file as the machine would get it.
///
/// # Errors
/// What the server or the network says; a failed render with template, line and column.
pub async fn render(client: &Client, machine: &str, file: String) -> Result<()> {
    let rendered = client.render(&reference(Kind::Machine, machine), file).await?;
    match rendered.get("text").and_then(Value::as_str) {
        Some(text) => output::print_foreign(text.as_bytes()),
        None => output::print_value(&rendered, Format::Yaml),
    }
}

/// `params REF`: the values, and where each comes from.
///
/// # Errors
/// What the server or the network says.
pub async fn params(client: &Client, machine: &str, format: Option<Format>) -> Result<()> {
    let answer = client.params(&object_path(Kind::Machine, machine)?).await?;
    match format.unwrap_or(Format::Table) {
        Format::Table => print_items(&answer),
        Format::Name => print_first(&answer),
        format => output::print_value(&answer, format),
    }
}

/// `files REF`: every path it may fetch now.
///
/// # Errors
/// What the server or the network says.
pub async fn files(client: &Client, machine: &str, format: Option<Format>) -> Result<()> {
    let answer = client.files(&object_path(Kind::Machine, machine)?).await?;
    match format.unwrap_or(Format::Table) {
        Format::Table => print_items(&answer),
        Format::Name => print_first(&answer),
        format => output::print_value(&answer, format),
    }
}

/// The things that an answer is about: a list in `items` or under another name, or a map from name to thing.
fn items(answer: &Value) -> Vec<Value> {
    if let Value::Array(items) = answer {
        return items.clone();
    }
    let Some(fields) = answer.as_object() else { return Vec::new() };
    let list = fields.get("items").into_iter().chain(fields.values());
    if let Some(items) = list.filter_map(Value::as_array).next() {
        return items.clone();
    }
    let inner = fields.values().find_map(Value::as_object).filter(|_| fields.len() == 1).unwrap_or(fields);
    let named = inner.iter().map(|(name, thing)| match thing {
        Value::Object(thing) => {
            let name = [("name".to_owned(), json!(name))];
            Value::Object(name.into_iter().chain(thing.clone()).collect())
        }
        value => json!({"name": name, "value": value}),
    });
    named.collect()
}

fn print_items(answer: &Value) -> Result<()> {
    let items = items(answer);
    let mut names: Vec<&String> = Vec::new();
    for name in items.iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // What it is called stands first, whatever order the fields came in.
    names.sort_by_key(|name| !matches!(name.as_str(), "name" | "path"));
    let cell = |item: &Value, name: &str| item.get(name).map(text).unwrap_or_default();
    let row = |item: &Value| names.iter().map(|name| cell(item, name)).collect();
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let header: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    output::print(&output::table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows))
}

fn print_first(answer: &Value) -> Result<()> {
    let first = |item: &Value| ["name", "path"].iter().find_map(|name| item.get(name).map(text));
    let names = items(answer).iter().filter_map(first).map(|name| plain(&name) + "\n").collect::<String>();
    output::print(&names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_marks_the_rule_that_settled_it() {
        let explanation = json!({
            "verdict": "local_disk", "reason": "the machine is not armed", "answer": "local_script",
            "trace": [{"rule": "known_machine", "matched": false, "detail": "it is web1"},
                      {"rule": "armed", "matched": true, "detail": "it is not armed"}],
        });
        let said = explained(&serde_json::from_value(explanation).unwrap());
        let expected = "verdict: local disk: the machine is not armed\nanswer:  local script\n\n    RULE           \
                        WHAT IT SAW\n    known_machine  it is web1\n=>  armed          it is not armed\n";
        assert_eq!(said, expected);
    }

    #[test]
    fn lists_and_maps_of_things_are_both_rows() {
        let one = json!([{"name": "rack", "value": "a1", "level": "machine"}]);
        assert_eq!(items(&json!({"items": one, "total": 1})), one.as_array().unwrap().clone());
        let map = json!({"params": {"rack": {"value": "a1", "level": "machine"}}});
        assert_eq!(items(&map), one.as_array().unwrap().clone());
        assert_eq!(items(&json!({"rack": "a1"})), [json!({"name": "rack", "value": "a1"})]);
    }
}
