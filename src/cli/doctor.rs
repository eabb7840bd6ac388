//! `doctor dhcp`: the answers that DHCP clients on an interface get, and what prevents answers.
//!
//! `host` examines this host and `owners` the processes that have its ports; the server reports the status of
//! DHCP; `ask` acts as a client; `findings` and `networks` turn all of it into lines, and `certificate`
//! examines the API's certificate. `snippets` is for other DHCP servers. Start at [`dhcp`]; `sources` has
//! `doctor artifacts`, `machines` has `doctor machines`, `catalog` has
//! `doctor catalog`.

mod ask;
mod catalog;
mod certificate;
mod findings;
mod host;
mod machines;
mod networks;
mod owners;
mod snippets;
mod sources;

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::json;

use crate::cli::command::{DhcpDialect, DoctorArgs};
use crate::cli::connection::ConnectionArgs;
use crate::cli::output::{self, OutputFormat, UsageError};
use crate::model::DhcpStatus;
pub use catalog::catalog;
use findings::{DoctorFacts, Finding, Level};
use host::Host;
pub use machines::machines;
pub use sources::artifacts;

/// How long `--probe` waits for answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// The default port of boot files over HTTP.
const BOOT_HTTP_PORT: u16 = 8080;

/// Prints the findings, one per line.
///
/// # Errors
/// Something is broken that prevents answers to machines, or the interface does not exist.
pub async fn dhcp(args: DoctorArgs, connection: &ConnectionArgs) -> Result<()> {
    let asked = async { connection.client().await?.dhcp_status().await.map_err(anyhow::Error::from) };
    let (status, unreachable) = match asked.await {
        Ok(status) => (Some(status), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let host = Host::look(connection.data.as_deref())?;
    if let Some(dialect) = args.snippet {
        return print_snippet(dialect, &args, (&host, status.as_ref()));
    }
    let names = interfaces(&args, &host, status.as_ref());
    let answers = match (&args.interface, args.probe) {
        (Some(name), true) => Some(ask::ask(name, ANSWERS_WITHIN).await.map_err(|error| error.to_string())),
        _ => None,
    };
    let facts = DoctorFacts {
        host: &host,
        status: status.as_ref(),
        unreachable: unreachable.as_deref(),
        answers: answers.as_ref(),
    };
    let mut found = findings::all(&facts, &names);
    found.extend(certificate::look(connection).await);
    report(&found, args.output.output)
}

/// The interfaces to examine: the named one, else those that are served, else all suitable ones.
fn interfaces(args: &DoctorArgs, host: &Host, status: Option<&DhcpStatus>) -> Vec<String> {
    if let Some(name) = &args.interface {
        return vec![name.clone()];
    }
    let served: Vec<String> =
        status.iter().flat_map(|status| &status.interfaces).map(|interface| interface.name.clone()).collect();
    match served.is_empty() {
        true => host.interfaces.iter().filter(|one| !one.loopback).map(|one| one.name.clone()).collect(),
        false => served,
    }
}

fn report(findings: &[Finding], format: Option<OutputFormat>) -> Result<()> {
    if let Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) = format {
        output::print_value(&json!(findings), format)?;
    } else {
        let rows: Vec<Vec<String>> = findings.iter().map(Finding::row).collect();
        output::print(&output::table(&["", "WHAT", "FOUND"], &rows))?;
    }
    match findings.iter().filter(|finding| finding.level == Level::Fail).count() {
        0 => Ok(()),
        1 => bail!("one thing is broken"),
        broken => bail!("{broken} things are broken"),
    }
}

fn print_snippet(
    dialect: DhcpDialect,
    args: &DoctorArgs,
    (host, status): (&Host, Option<&DhcpStatus>),
) -> Result<()> {
    let address = args.address.map_or_else(|| facing(args, host, status), Ok)?;
    let port = status.and_then(|status| status.service.boot_http_port).unwrap_or(BOOT_HTTP_PORT);
    output::print(&snippets::write(dialect, address, port))
}

/// The first address of the interface.
fn facing(args: &DoctorArgs, host: &Host, status: Option<&DhcpStatus>) -> Result<Ipv4Addr> {
    let names = interfaces(args, host, status);
    let mut found = names.iter().filter_map(|name| host.interface(name));
    let address = found.find_map(|interface| interface.addresses.first().map(|own| own.address));
    address.ok_or_else(|| match &args.interface {
        Some(name) => anyhow!("interface {name} has no IPv4 address: give --address"),
        None => {
            UsageError("say which address machines see: give an interface, or --address".to_owned()).into()
        }
    })
}
