//! The verbs that every noun has: list, show, create, set, delete.

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::action_verbs::DeletionArgs;
use crate::cli::columns::row;
use crate::cli::command::{CreateArgs, ListArgs, OutputArgs};
use crate::cli::documents;
use crate::cli::leases;
use crate::cli::many::{self, ManyArgs, ManyCall};
use crate::cli::nouns::{name_of, object_path};
use crate::cli::output::{self, OutputFormat, UsageError};
use crate::cli::sets::{merge_patch, value_at};
use crate::client::{ApiClient, ListRequest};
use crate::model::{Kind, Problem};

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
        runs.list(ListArgs { filters, sort, fields: None, limit: None, output }).await
    }

    pub async fn list(&self, args: ListArgs) -> Result<()> {
        let given = [("sort", args.sort), ("fields", args.fields.clone())];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let mut terms: Vec<_> = args.filters.into_iter().chain(given).collect();
        if self.kind == Kind::Lease {
            leases::by_id(&self.client, &mut terms).await?;
        }
        let format = args.output.output.unwrap_or(OutputFormat::Table);
        let list = self.client.list(self.kind, &ListRequest { terms, limit: args.limit }).await?;
        match (format, args.fields) {
            (OutputFormat::Table, Some(fields)) => print_fields(&fields, &list.items)?,
            (OutputFormat::Table, None) if self.kind == Kind::Lease => {
                self.print_rows(&leases::with_names(&self.client, &list.items).await?)?
            }
            (OutputFormat::Table, None) => self.print_rows(&list.items)?,
            (OutputFormat::Name, _) => self.print_names(&list.items)?,
            _ => output::print_value(&Value::Array(list.items.clone()), format)?,
        }
        let shown = list.items.len() as u64;
        if format == OutputFormat::Table && shown < list.total {
            output::note(&format!("{shown} of {}", list.total));
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
            None => vec![merge_patch(&args.sets)?],
        };
        let mut failed = FailureCount::of(bodies.len());
        for body in bodies {
            match self.client.create(self.kind, &body).await {
                Ok(view) => self.print_created(&view, args.output.output)?,
                Err(error) => {
                    failed.add(&format!("{} {}", self.kind, name_of(self.kind, &body)), error.into())?
                }
            }
        }
        failed.finish()
    }

    /// Prints a new object; the text of a new token can only be shown now.
    pub(super) fn print_created(&self, view: &Value, format: Option<OutputFormat>) -> Result<()> {
        if let Some(format) = format {
            return self.print_one(view, format);
        }
        output::print(&format!("{} {} created\n", self.kind, name_of(self.kind, view)))?;
        note_problems(view);
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
        let view = self.client.patch(&object_path(self.kind, reference)?, &patch, None).await?;
        match format {
            Some(format) => self.print_one(&view, format),
            None => {
                output::print(&format!("{} {} changed\n", self.kind, name_of(self.kind, &view)))?;
                note_problems(&view);
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
            match self.client.find(&path).await? {
                Some(_) => self.client.replace(&path, &body, None).await?,
                None => self.client.create(self.kind, &body).await?,
            };
            output::print(&format!("setting {name} is {value}\n"))?;
        }
        Ok(())
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
            OutputFormat::Table => self.print_rows(std::slice::from_ref(view)),
            OutputFormat::Name => self.print_names(std::slice::from_ref(view)),
            _ => output::print_value(view, format),
        }
    }

    fn print_rows(&self, items: &[Value]) -> Result<()> {
        let (columns, now) = (self.kind.row().columns, Timestamp::now());
        let header: Vec<&str> = columns.iter().map(|(heading, ..)| *heading).collect();
        let rows: Vec<Vec<String>> = items.iter().map(|item| row(columns, item, now)).collect();
        output::print(&output::table(&header, &rows))
    }

    fn print_names(&self, items: &[Value]) -> Result<()> {
        let names = items.iter().map(|item| output::plain(name_of(self.kind, item)) + "\n");
        output::print(&names.collect::<String>())
    }
}

pub(super) fn print_fields(fields: &str, items: &[Value]) -> Result<()> {
    let fields: Vec<&str> = fields.split(',').map(str::trim).filter(|field| !field.is_empty()).collect();
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            fields
                .iter()
                .map(|field| value_at(item, field).map(crate::cli::columns::text).unwrap_or_default())
                .collect()
        })
        .collect();
    let header: Vec<String> = fields.iter().map(|field| field.to_uppercase()).collect();
    output::print(&output::table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows))
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
            return Err(error);
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

/// Prints the problems of an object that was written nevertheless, such as a name that does not exist yet,
/// or of a document that was rendered.
pub fn note_problems(view: &Value) {
    for problem in view.get("problems").and_then(Value::as_array).into_iter().flatten() {
        if let Ok(problem) = Problem::deserialize(problem) {
            output::note(&output::plain(&problem.to_string()));
        }
    }
}
