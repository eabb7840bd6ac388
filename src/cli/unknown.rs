//! `unknown list`, `unknown register MAC --name NAME`: clients that asked for something to boot and are not
//! registered.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::command::{ListArgs, OutputArgs};
use crate::cli::objects::{NounClient, print_fields};
use crate::cli::output::{self, OutputFormat, UsageError, plain};
use crate::cli::sets::{merge_patch, value_at};
use crate::client::{ApiClient, ListRequest};
use crate::model::{CellFormat, Column, Kind, Mac};

/// Verbs about unknown clients.
#[derive(Subcommand, Clone, Debug)]
pub(super) enum UnknownVerb {
    /// List them, by MAC.
    List(ListArgs),
    /// Register one as a machine.
    Register(RegisterArgs),
}

/// The client, and the machine that it becomes.
#[derive(Args, Clone, Debug)]
pub(super) struct RegisterArgs {
    /// The MAC of the client.
    pub mac: Mac,
    /// The name of the machine.
    #[arg(long)]
    pub name: String,
    /// Further fields: profiles='["db"]' labels.rack=r1.
    #[arg(value_name = "FIELD=VALUE")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

const PATH: &str = "/unknown_clients";
const COLUMNS: &[Column] = &[
    ("MAC", "mac", CellFormat::Text),
    ("ADDRESS", "address", CellFormat::Text),
    ("VENDOR", "vendor", CellFormat::Text),
    ("ARCH", "arch", CellFormat::Text),
    ("CIRCUIT", "circuit", CellFormat::Text),
    ("FIRST SEEN", "first_seen", CellFormat::Age),
    ("LAST SEEN", "last_seen", CellFormat::Age),
    ("ASKED", "asked", CellFormat::Text),
    ("ALMOST", "similar.name", CellFormat::Text),
];

/// Carries out a verb.
///
/// # Errors
/// An error of the server or the network; a client that did not ask.
pub(super) async fn run(client: &ApiClient, verb: UnknownVerb) -> Result<()> {
    match verb {
        UnknownVerb::List(args) => list(client, args).await,
        UnknownVerb::Register(args) => register(client, args).await,
    }
}

async fn list(client: &ApiClient, args: ListArgs) -> Result<()> {
    let given = [("sort", args.sort), ("fields", args.fields.clone())];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let terms = args.filters.into_iter().chain(given).collect();
    let list = client.list_at(PATH, &ListRequest { terms, limit: args.limit }).await?;
    match (args.output.output.unwrap_or(OutputFormat::Table), args.fields) {
        (format @ (OutputFormat::Table | OutputFormat::Wide), Some(fields)) => {
            print_fields(&fields, &list.items, format)
        }
        (format, _) => output::print_all(&list.items, COLUMNS, Some(format)),
    }
}

async fn register(client: &ApiClient, args: RegisterArgs) -> Result<()> {
    let RegisterArgs { mac, name, sets, output } = args;
    let terms = vec![("mac".to_owned(), mac.to_string())];
    let list = client.list_at(PATH, &ListRequest { terms, limit: Some(1) }).await?;
    let Some(found) = list.items.first() else {
        bail!(
            "no unregistered client with the MAC {mac} asked: `metalwright unknown list` has those that did; \
             `metalwright machines create name={name} macs='[\"{mac}\"]'` registers any"
        );
    };
    let body = machine(found, (mac, name), &sets)?;
    let noun = NounClient { client: client.clone(), kind: Kind::Machine };
    let view = noun.client.create(noun.kind, &body).await?;
    noun.print_created(&view, output.output)?;
    if let Some(similar) = value_at(found, "similar") {
        let text = |field| value_at(similar, field).and_then(Value::as_str).unwrap_or_default();
        let (other, own) = (text("name"), text("mac"));
        output::note(&plain(&format!(
            "machine {other} has almost this MAC, {own}: if it is the same one, delete one of the two"
        )));
    }
    Ok(())
}

/// The machine that a client becomes.
fn machine(found: &Value, (mac, name): (Mac, String), sets: &[String]) -> Result<Value, UsageError> {
    let mut machine = Map::new();
    machine.insert("name".to_owned(), json!(name));
    machine.insert("macs".to_owned(), json!([mac]));
    if let Some(arch) = found.get("arch").filter(|arch| !arch.is_null()) {
        machine.insert("arch".to_owned(), arch.clone());
    }
    if let Value::Object(fields) = merge_patch(sets)? {
        machine.extend(fields);
    }
    Ok(Value::Object(machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_becomes_a_machine_with_its_mac_its_architecture_and_what_is_set() {
        let mac: Mac = "52:54:00:aa:00:01".parse().unwrap();
        let found = json!({"mac": mac, "arch": "arm64", "requests": 3});
        let sets = ["labels.rack=r1".to_owned()];
        let made = machine(&found, (mac, "web1".into()), &sets).unwrap();
        let expected = json!({"name": "web1", "macs": [mac], "arch": "arm64", "labels": {"rack": "r1"}});
        assert_eq!(made, expected);
        assert!(machine(&found, (mac, "web1".into()), &["rack".to_owned()]).is_err());
    }
}
