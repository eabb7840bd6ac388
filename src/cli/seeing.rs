//! `render`, `vars` and `params`: what documents consist of and where it comes from. `seeing_diff` compares
//! them.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::columns::text;
use crate::cli::command::OutputArgs;
use crate::cli::documents;
use crate::cli::nouns::{object_path, reference};
use crate::cli::objects::note_problems;
use crate::cli::output::{self, OutputFormat, UsageError, plain};
use crate::client::{ApiClient, ParamDetail, RenderOf};
use crate::model::{CellFormat, Column, Kind, LineOrigin, ParamLevel, ParamOrigin};

#[derive(Args, Clone, Debug)]
pub(super) struct RenderArgs {
    #[arg(value_name = "REF")]
    pub reference: String,
    /// preseed.cfg, boot.ipxe …; `metalwright files` lists them.
    pub file: String,
    /// Render for this bootenv, also before anything is armed.
    #[arg(long, value_name = "NAME")]
    pub bootenv: Option<String>,
    /// Say of each line where it comes from, and which params with which levels it shows.
    #[arg(long)]
    pub blame: bool,
    /// Render with the objects of these files or folders, which are not saved; repeat for more.
    #[arg(long = "with", value_name = "PATH")]
    pub with: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Clone, Debug)]
pub(super) struct DiffArgs {
    #[arg(value_name = "REF", required_unless_present = "fleet")]
    pub reference: Option<String>,
    /// All machines, those with the same difference together.
    #[arg(long, conflicts_with = "reference")]
    pub fleet: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct ExplainArgs {
    /// Show the values of all levels, and which one hides the others.
    #[arg(long)]
    pub explain: bool,
}

impl ExplainArgs {
    pub fn detail(self) -> ParamDetail {
        if self.explain { ParamDetail::Levels } else { ParamDetail::Value }
    }
}

/// `render REF FILE`: the file as the machine would get it.
///
/// # Errors
/// An error of the server or the network; a failed render with template, line and column.
pub(super) async fn render(client: &ApiClient, args: RenderArgs) -> Result<()> {
    let content = if args.with.is_empty() { Value::Null } else { unsaved(&args.with)? };
    let of = RenderOf { file: args.file, bootenv: args.bootenv, content };
    let rendered = client.render(&reference(Kind::Machine, &args.reference), of).await?;
    if let Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) = args.output.output {
        return output::print_value(&rendered, format);
    }
    note_problems(&args.reference, &rendered);
    match rendered.get("text").and_then(Value::as_str) {
        Some(text) if args.blame => output::print(&blamed(text, &rendered)),
        Some(text) => output::print_foreign(text.as_bytes()),
        None => output::print_value(&rendered, OutputFormat::Yaml),
    }
}

/// The objects of files, by the plurals of their nouns.
fn unsaved(paths: &[PathBuf]) -> Result<Value> {
    let mut content: Map<String, Value> = Map::new();
    for document in documents::read_all(paths, None)? {
        let kinds = [Kind::Template, Kind::Param, Kind::Profile, Kind::Stage, Kind::Bootenv];
        if !kinds.contains(&document.kind) {
            let known = kinds.map(Kind::plural).join(", ");
            let what = format!("{}: a {} is not rendered: {known} are", document.origin, document.kind);
            return Err(UsageError(what).into());
        }
        let list = content.entry(document.kind.plural()).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(document.body);
        }
    }
    Ok(Value::Object(content))
}

/// Each line with its source, template and line, as `git blame` has it, and below it what it shows.
fn blamed(text: &str, rendered: &Value) -> String {
    let origins = rendered.get("lines").and_then(Value::as_array).into_iter().flatten();
    let origins: Vec<Option<LineOrigin>> = origins.map(|line| LineOrigin::deserialize(line).ok()).collect();
    let sources = rendered.get("sources").and_then(Value::as_object).cloned().unwrap_or_default();
    let places: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(i, _)| match origins.get(i) {
            Some(Some(origin)) => place(origin, &sources),
            _ => String::new(),
        })
        .collect();
    let width = places.iter().map(|place| place.chars().count()).max().unwrap_or_default();
    let digits = places.len().to_string().len();
    let mut shown = String::new();
    for (i, (line, place)) in text.lines().zip(&places).enumerate() {
        shown.push_str(&format!("{place:<width$} {:>digits$}) {}\n", i + 1, plain(line)));
        let Some(Some(origin)) = origins.get(i) else { continue };
        for said in said_of(origin) {
            shown.push_str(&format!("{:width$} {:>digits$}  ^ {}\n", "", "", plain(&said)));
        }
    }
    shown
}

/// `pack core@1.0.0 debian/preseed.cfg:12`, with the override that put it there.
fn place(origin: &LineOrigin, sources: &Map<String, Value>) -> String {
    let template = origin.place.template.as_str();
    // The place of a text in a bootenv begins with the bootenv.
    let of = sources.get(template).or_else(|| sources.get(template.split('/').next().unwrap_or_default()));
    let source = of.and_then(Value::as_str).unwrap_or("?");
    let by = origin.override_name.as_ref().map(|name| format!(" (override {name})")).unwrap_or_default();
    format!("{source} {template}:{}{by}", origin.place.line)
}

fn said_of(origin: &LineOrigin) -> Vec<String> {
    let mut said: Vec<String> = origin.params.iter().map(said_of_param).collect();
    if !origin.variables.is_empty() {
        said.push(origin.variables.join(", "));
    }
    let also = origin.also.iter().map(|place| format!("{}:{}", place.template, place.line));
    let also: Vec<String> = also.collect();
    if !also.is_empty() {
        said.push(format!("also from {}", also.join(", ")));
    }
    said
}

fn list(levels: &[ParamLevel]) -> String {
    levels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn said_of_param(param: &ParamOrigin) -> String {
    let level = param.level.as_ref().map_or_else(|| "the template".to_owned(), ParamLevel::to_string);
    let merges = match param.merges.as_slice() {
        [] => String::new(),
        merges => format!(" with {}", list(merges)),
    };
    let hides = match param.hides.as_slice() {
        [] => String::new(),
        hides => format!(", hides {}", list(hides)),
    };
    format!("{} from {level}{merges}{hides}", param.name)
}

const PARAM_COLUMNS: [Column; 3] = [
    ("NAME", "name", CellFormat::Text),
    ("VALUE", "value", CellFormat::Text),
    ("FROM", "level", CellFormat::Text),
];
const LEVEL_COLUMNS: [Column; 4] = [
    ("NAME", "name", CellFormat::Text),
    ("VALUE", "value", CellFormat::Text),
    ("FROM", "from", CellFormat::Text),
    ("HIDDEN BY", "hidden_by", CellFormat::Text),
];
const VARIABLE_COLUMNS: [Column; 3] = [
    ("NAME", "name", CellFormat::Text),
    ("VALUE", "value", CellFormat::Text),
    ("FROM", "from", CellFormat::Text),
];

/// `params REF`: the values, and where each comes from; with `--explain` those of all levels.
///
/// # Errors
/// An error of the server or the network.
pub(super) async fn params(
    client: &ApiClient,
    machine: &str,
    (detail, format): (ParamDetail, Option<OutputFormat>),
) -> Result<()> {
    let answer = client.params(&object_path(Kind::Machine, machine)?, detail).await?;
    let params = answer.get("params").and_then(Value::as_object).cloned().unwrap_or_default();
    let is_table = format.is_none_or(OutputFormat::is_table);
    if detail == ParamDetail::Levels && is_table {
        return output::print_all(&level_rows(&params), &LEVEL_COLUMNS, format);
    }
    let named = params.into_iter().map(|(name, mut param)| {
        if let Some(fields) = param.as_object_mut() {
            fields.insert("name".to_owned(), json!(name));
        }
        param
    });
    output::print_all(&named.collect::<Vec<_>>(), &PARAM_COLUMNS, format)
}

/// A row for each level that has a value; the first of a param hides the others.
fn level_rows(params: &Map<String, Value>) -> Vec<Value> {
    let mut rows = Vec::new();
    for (name, param) in params {
        let levels = param.get("levels").and_then(Value::as_array).cloned().unwrap_or_default();
        let counts = param.get("level").map(text).unwrap_or_default();
        for (i, level) in levels.iter().enumerate() {
            let from = level.get("level").map(text).unwrap_or_default();
            let source = level.get("source").map(|source| format!(" ({})", text(source)));
            let hidden_by = if i == 0 { "" } else { counts.as_str() };
            let value = level.get("value").cloned().unwrap_or_default();
            let shown = if i == 0 { name.as_str() } else { "" };
            let from = from + &source.unwrap_or_default();
            rows.push(json!({"name": shown, "value": value, "from": from, "hidden_by": hidden_by}));
        }
    }
    rows
}

/// `vars REF`: everything that a template can use for a machine.
///
/// # Errors
/// An error of the server or the network.
pub(super) async fn vars(client: &ApiClient, machine: &str, format: Option<OutputFormat>) -> Result<()> {
    let answer = client.variables(&object_path(Kind::Machine, machine)?).await?;
    let items = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    output::print_all(&items, &VARIABLE_COLUMNS, format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_blamed_on_its_template_its_source_and_the_levels_of_its_params() {
        let rendered = json!({
            "sources": {"debian/preseed.cfg": "pack core@1.0.0"},
            "lines": [
                {"template": "debian/preseed.cfg", "line": 3},
                {"template": "debian/preseed.cfg", "line": 9, "override": "site-ntp",
                 "params": [{"name": "ntp", "level": "machine", "hides": [{"profile": "web"}, "default"]}]},
            ],
        });
        let expected = "\
pack core@1.0.0 debian/preseed.cfg:3                     1) one
pack core@1.0.0 debian/preseed.cfg:9 (override site-ntp) 2) two
                                                            ^ ntp from machine, hides profile `web`, defaults
";
        assert_eq!(blamed("one\ntwo\n", &rendered), expected);
    }

    #[test]
    fn the_first_level_hides_the_others() {
        let levels =
            json!([{"level": "machine", "value": 1}, {"level": "defaults", "value": 2, "source": "site"}]);
        let params = json!({"disk": {"value": 1, "level": "machine", "levels": levels}});
        let rows = level_rows(params.as_object().unwrap());
        assert_eq!(rows[0], json!({"name": "disk", "value": 1, "from": "machine", "hidden_by": ""}));
        assert_eq!(
            rows[1],
            json!({"name": "", "value": 2, "from": "defaults (site)", "hidden_by": "machine"})
        );
    }
}
