//! The verbs that every noun has: list, show, create, set, delete.

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::action_verbs::DeletionArgs;
use crate::cli::columns::field_cell;
use crate::cli::command::{CreateArgs, ListArgs, OutputArgs};
use crate::cli::documents;
use crate::cli::many::{self, ManyArgs, ManyCall};
use crate::cli::names::with_names;
use crate::cli::nouns::{name_of, object_path};
use crate::cli::output::{self, OutputFormat, UsageError};
use crate::cli::sets::merge_patch;
use crate::cli::table;
use crate::client::{ApiClient, ClientError, ListRequest};
use crate::model::{Kind, Problem, nearest, parse_moment};

/// The scope of agents' tokens.
const OF_AGENTS: &str = "agent:*";

/// One noun on one server.
#[derive(Clone, Debug)]
pub struct NounClient {
    pub client: ApiClient,
    pub kind: Kind,
}

impl NounClient {
    /// `machines runs web1`: the runs of a machine, the latest first.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn runs(&self, machine: &str, output: OutputArgs) -> Result<()> {
        let machine = self.client.get(&object_path(self.kind, machine)?).await?;
        let id = machine.get("id").and_then(Value::as_str).unwrap_or_default();
        let runs = NounClient { client: self.client.clone(), kind: Kind::Run };
        let (filters, sort) = (vec![("machine".to_owned(), id.to_owned())], Some("-started_at".to_owned()));
        runs.list(ListArgs { filters, sort, output, ..ListArgs::default() }).await
    }

    pub async fn list(&self, args: ListArgs) -> Result<()> {
        let given = [("sort", args.sort), ("fields", args.fields.clone())];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let hides_agents = self.kind == Kind::Token && !args.all && args.filters.is_empty();
        let mut terms: Vec<_> = args.filters.into_iter().chain(given).collect();
        terms.extend(hides_agents.then(|| ("scopes[nin]".to_owned(), OF_AGENTS.to_owned())));
        let format = args.output.output.unwrap_or(OutputFormat::Table);
        let list = self.client.list(self.kind, &ListRequest { terms, limit: args.limit }).await?;
        match (format.is_table(), args.fields) {
            (true, Some(fields)) => {
                print_fields(&fields, &with_names(&self.client, &list.items).await, format)?
            }
            (true, None) => self.print_rows(&with_names(&self.client, &list.items).await, format)?,
            (false, _) if format == OutputFormat::Name => self.print_names(&list.items)?,
            (false, _) => output::print_value(&Value::Array(list.items.clone()), format)?,
        }
        let shown = list.items.len() as u64;
        if format.is_table() && shown < list.total {
            output::note(&format!("{shown} of {}", list.total));
        }
        if format.is_table() && hides_agents {
            let terms = vec![("scopes".to_owned(), OF_AGENTS.to_owned())];
            let agents = ListRequest { terms, limit: Some(1) };
            let hidden = self.client.list(self.kind, &agents).await?.total;
            if hidden > 0 {
                output::note(&format!("and {hidden} of agents: --all shows them"));
            }
        }
        Ok(())
    }

    pub async fn show(&self, reference: &str, format: Option<OutputFormat>) -> Result<()> {
        let view = self.client.get(&object_path(self.kind, reference)?).await?;
        self.print_one(&view, format.unwrap_or(OutputFormat::Yaml))
    }

    pub async fn create(&self, args: CreateArgs) -> Result<()> {
        let bodies = match args.file {
            Some(file) => {
                let documents = documents::read_all(&[file], Some(self.kind))?;
                documents.into_iter().map(|document| document.body).collect()
            }
            None => vec![self.with_times(merge_patch(&args.sets)?)?],
        };
        let mut failed = FailureCount::of(bodies.len());
        for body in bodies {
            match self.client.create(self.kind, &body).await {
                Ok(view) => self.print_created(&view, args.output.output)?,
                Err(error) => failed.add(
                    &format!("{} {}", self.kind, name_of(self.kind, &body)),
                    hinted(error, &args.sets),
                )?,
            }
        }
        failed.finish()
    }

    /// A token's end can be relative to now, as `+30d`.
    fn with_times(&self, mut body: Value) -> Result<Value> {
        let end = body.get_mut("expires_at").filter(|_| self.kind == Kind::Token);
        if let Some(end) = end
            && let Some(text) = end.as_str()
        {
            let time = parse_moment(text, Timestamp::now()).map_err(UsageError)?;
            *end = json!(time.to_string());
        }
        Ok(body)
    }

    /// Prints a new object; the text of a new token can only be shown now.
    pub(super) fn print_created(&self, view: &Value, format: Option<OutputFormat>) -> Result<()> {
        if let Some(format) = format {
            return self.print_one(view, format);
        }
        output::print(&format!("{} {} created\n", self.kind, name_of(self.kind, view)))?;
        self.note_problems(view);
        match view.get("token").and_then(Value::as_str) {
            Some(token) if self.kind == Kind::Token => {
                output::note("its token, which cannot be shown again:");
                output::print(&format!("{token}\n"))
            }
            _ => Ok(()),
        }
    }

    pub async fn set(
        &self,
        words: &[String],
        (many, format): (ManyArgs, Option<OutputFormat>),
    ) -> Result<()> {
        let (named, sets) = words.split_at(words.iter().take_while(|word| !word.contains('=')).count());
        if many.is_for(named) {
            let (references, details) = (named.to_vec(), merge_patch(sets)?);
            let about = format!("set {}", sets.join(" "));
            let call = ManyCall { verb: "patch", about, details, references, force: false, args: many };
            return many::run(self, call).await;
        }
        let (reference, sets) = match words {
            [setting, rest @ ..] if self.kind == Kind::Setting && setting.contains('=') => {
                return self.set_settings(setting, rest).await;
            }
            [reference, sets @ ..] if !sets.is_empty() => (reference, sets),
            _ => {
                return Err(
                    UsageError("say which one and what to set: set REF FIELD=VALUE …".to_owned()).into()
                );
            }
        };
        let patch = merge_patch(sets)?;
        let patched = self.client.patch(&object_path(self.kind, reference)?, &patch, None).await;
        let view = patched.map_err(|error| hinted(error, sets))?;
        match format {
            Some(format) => self.print_one(&view, format),
            None => {
                output::print(&format!("{} {} changed\n", self.kind, name_of(self.kind, &view)))?;
                self.note_problems(&view);
                Ok(())
            }
        }
    }

    /// `settings set unknown_machine=local`.
    async fn set_settings(&self, first: &String, rest: &[String]) -> Result<()> {
        let sets: Vec<String> = std::iter::once(first).chain(rest).cloned().collect();
        let Value::Object(values) = merge_patch(&sets)? else { return Ok(()) };
        for (name, value) in values {
            // A merge patch would read `null` as a removal, so the whole object is replaced.
            let body = json!({"name": name, "value": value});
            let path = object_path(self.kind, &name)?;
            if self.client.find(&path).await?.is_none() {
                return Err(self.no_setting(&name).await?);
            }
            self.client.replace(&path, &body, None).await?;
            output::print(&format!("setting {name} is {value}\n"))?;
        }
        Ok(())
    }

    /// That there is no such setting, with those that there are.
    async fn no_setting(&self, name: &str) -> Result<anyhow::Error> {
        let settings = self.client.list(self.kind, &ListRequest::default()).await?.items;
        let names: Vec<&str> = settings.iter().map(|setting| name_of(self.kind, setting)).collect();
        let near = nearest(name, names.iter().copied());
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        Ok(anyhow!("there is no setting `{name}`; {near}there are: {}", names.join(", ")))
    }

    pub async fn delete(&self, args: DeletionArgs) -> Result<()> {
        if let [reference] = args.references.as_slice()
            && !args.many.is_for(&args.references)
        {
            self.client.delete(&object_path(self.kind, reference)?, args.used()).await?;
            return output::print(&format!("{} {reference} deleted\n", self.kind));
        }
        many::run(self, args.call("delete")).await
    }

    pub fn print_one(&self, view: &Value, format: OutputFormat) -> Result<()> {
        match format {
            OutputFormat::Table | OutputFormat::Wide => self.print_rows(std::slice::from_ref(view), format),
            OutputFormat::Name => self.print_names(std::slice::from_ref(view)),
            _ => output::print_value(view, format),
        }
    }

    fn print_rows(&self, items: &[Value], format: OutputFormat) -> Result<()> {
        let row = self.kind.row();
        let wide = if format == OutputFormat::Wide { row.wide } else { &[] };
        output::print_all(items, &[row.columns, wide].concat(), Some(format))
    }

    /// Tells what stands against an object that was written nevertheless, such as a name that does not exist
    /// yet.
    pub fn note_problems(&self, view: &Value) {
        note_problems(&format!("{} {}", self.kind, name_of(self.kind, view)), view);
    }

    fn print_names(&self, items: &[Value]) -> Result<()> {
        let names = items.iter().map(|item| output::plain(name_of(self.kind, item)) + "\n");
        output::print(&names.collect::<String>())
    }
}

/// A refusal of fields that were typed, with how to write a list.
fn hinted(error: ClientError, sets: &[String]) -> anyhow::Error {
    let said = error.to_string();
    match sets.is_empty() || !said.contains("is not a list") {
        true => error.into(),
        false => anyhow!("{said}\n  a list is written as JSON: macs='[\"52:54:00:aa:00:01\"]'"),
    }
}

pub(super) fn print_fields(fields: &str, items: &[Value], format: OutputFormat) -> Result<()> {
    let fields: Vec<&str> = fields.split(',').map(str::trim).filter(|field| !field.is_empty()).collect();
    let rows = items.iter().map(|item| fields.iter().map(|field| field_cell(item, field)).collect());
    let rows: Vec<Vec<String>> = rows.collect();
    let header: Vec<String> = fields.iter().map(|field| field.to_uppercase()).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    output::print(&table::draw((&header, &rows), format.width()))
}

/// Counts the failures among several operations. A single operation returns its own error.
#[derive(Debug)]
pub struct FailureCount {
    all: usize,
    failed: usize,
}

impl FailureCount {
    pub fn of(all: usize) -> Self {
        FailureCount { all, failed: 0 }
    }

    /// Prints a failure so that the other operations continue; if there is only one operation, returns the
    /// error.
    ///
    /// # Errors
    /// The given error.
    pub fn add(&mut self, what: &str, error: anyhow::Error) -> Result<()> {
        if self.all == 1 {
            return Err(error.context(what.to_owned()));
        }
        self.failed += 1;
        output::note(&format!("{what}: {error:#}"));
        Ok(())
    }

    /// # Errors
    /// An operation failed.
    pub fn finish(self) -> Result<()> {
        match self.failed {
            0 => Ok(()),
            failed => Err(anyhow!("{failed} of {} failed", self.all)),
        }
    }
}

/// Prints the problems of an object or a document, each with what it is of.
pub fn note_problems(of: &str, view: &Value) {
    for problem in problems(view) {
        output::note(&output::plain(&format!("{of}: {problem}")));
    }
}

/// The problems of an object or a document.
pub fn problems(view: &Value) -> Vec<Problem> {
    let problems = view.get("problems").and_then(Value::as_array).into_iter().flatten();
    problems.filter_map(|problem| Problem::deserialize(problem).ok()).collect()
}
