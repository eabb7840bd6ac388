//! The command line: `metalwright <noun> <verb> [ref]`, and commands about machines.
//!
//! It uses a server only through `client`. `command` defines the commands, [`run`] carries them out, and
//! [`finish`] turns the result into an exit code.

mod action_verbs;
mod agents;
mod apply;
mod artifact_verbs;
mod artifacts;
pub mod backups;
mod boot;
pub mod boot_certificate;
mod changes;
mod channel_verbs;
mod columns;
mod command;
pub mod complete;
mod config;
mod connection;
pub mod data_verbs;
mod describe;
mod diff;
mod doctor;
mod documents;
mod editor;
mod event_verbs;
mod events;
mod examples;
mod explain_packet;
mod lease_verbs;
mod leases;
mod logs;
mod many;
mod names;
mod nouns;
mod objects;
pub mod output;
mod override_verbs;
pub mod pack_diff;
pub mod pack_verbs;
pub mod packs;
mod param_verbs;
mod parse;
mod runs;
mod seeing;
mod seeing_diff;
mod server;
mod sets;
mod states;
mod status;
mod summary;
mod table;
mod timeline;
mod unknown;
mod upgrades;
mod waiting;
mod yaml;

pub use command::ClientCommand;
pub use complete::print_completions;
pub use output::{finish, print};

use anyhow::Result;

use command::{
    CliVerb, DeleteVerb, DoctorVerb, Invocation, MachineVerb, OtherCommand, ReadVerb, TokenVerb, WriteVerb,
};
use event_verbs::EventVerb;
use objects::NounClient;
use output::OutputFormat;
use pack_verbs::PackVerb;

use crate::client::ExplainAs;
use crate::model::Kind;

/// Carries out a command that needs a server.
///
/// # Errors
/// The failure, for [`finish`].
pub async fn run(command: ClientCommand) -> Result<()> {
    let ClientCommand { connection, invocation } = command;
    if let Invocation::Other(OtherCommand::Context { verb }) = invocation {
        return config::run(verb, &connection);
    }
    if let Invocation::Other(OtherCommand::Doctor { verb }) = invocation {
        return match verb {
            DoctorVerb::Dhcp(args) => doctor::dhcp(args, &connection).await,
            DoctorVerb::Artifacts(output) => doctor::artifacts(output.output, &connection).await,
            DoctorVerb::Catalog(output) => doctor::catalog(output.output, &connection).await,
            DoctorVerb::Machines(output) => doctor::machines(output.output, &connection).await,
        };
    }
    if let Invocation::Other(OtherCommand::Events { verb: EventVerb::Kinds { output } }) = invocation {
        return events::kinds(output);
    }
    if let Invocation::Other(OtherCommand::Errors { output }) = invocation {
        return events::codes(output);
    }
    if let Invocation::Noun(_, CliVerb::Pack(PackVerb::Diff(args))) = &invocation {
        return packs::diff(args, &connection).await;
    }
    if let Invocation::Noun(_, CliVerb::Pack(PackVerb::Files(args))) = &invocation {
        return packs::files(&args.source);
    }
    let client = connection.client().await?;
    let done = match invocation {
        Invocation::Noun(kind, verb) => run_verb(&NounClient { client, kind }, verb).await,
        Invocation::Other(other) => run_other(&client, other).await,
    };
    done.map_err(|error| connection.advise(error))
}

async fn run_verb(noun: &NounClient, verb: CliVerb) -> Result<()> {
    match verb {
        CliVerb::Read(ReadVerb::List(args)) => noun.list(args).await,
        CliVerb::Read(ReadVerb::Show { reference, output }) => noun.show(&reference, output.output).await,
        CliVerb::Read(ReadVerb::Wait(args)) => waiting::wait(noun, args).await,
        CliVerb::Read(ReadVerb::Watch { reference, events: false, output }) if noun.kind == Kind::Machine => {
            let format = output.output.unwrap_or(OutputFormat::Table);
            states::watch(&noun.client, reference.as_deref(), format).await
        }
        CliVerb::Read(ReadVerb::Watch { reference, output, .. }) => {
            events::watch_noun(noun, reference.as_deref(), output.output).await
        }
        CliVerb::Write(WriteVerb::Create(args)) => noun.create(args).await,
        CliVerb::Write(WriteVerb::Set { words, many, output }) => {
            noun.set(&words, (many, output.output)).await
        }
        CliVerb::Write(WriteVerb::Edit { reference }) => editor::edit(noun, &reference).await,
        CliVerb::Write(WriteVerb::Apply(args)) => apply::apply(&noun.client, Some(noun.kind), &args).await,
        CliVerb::Delete(DeleteVerb::Delete(args)) => noun.delete(args).await,
        CliVerb::Machine(MachineVerb::Act(verb)) => boot::act(noun, verb).await,
        CliVerb::Machine(MachineVerb::Params { reference, explain, output }) => {
            seeing::params(&noun.client, &reference, (explain.detail(), output.output)).await
        }
        CliVerb::Machine(MachineVerb::Describe { reference }) => {
            describe::show(&noun.client, &reference).await
        }
        CliVerb::Machine(MachineVerb::Runs { reference, output }) => noun.runs(&reference, output).await,
        CliVerb::Artifact(verb) => artifacts::run(noun, verb).await,
        CliVerb::Lease(verb) => leases::run(noun, verb).await,
        CliVerb::Channel(verb) => channel_verbs::run(noun, verb).await,
        CliVerb::Pack(verb) => packs::run(noun, verb).await,
        CliVerb::Param(verb) => param_verbs::run(noun, verb).await,
        CliVerb::Override(verb) => override_verbs::run(noun, verb).await,
        CliVerb::Run(verb) => runs::run(noun, verb).await,
        CliVerb::DocumentOf { run, path } => runs::document(noun, (&run, &path)).await,
        // `main` carries it out, without a server.
        CliVerb::Token(TokenVerb::Recover) => Ok(()),
        CliVerb::ParamsOf { machine, explain, output } => {
            seeing::params(&noun.client, &machine, (explain.detail(), output.output)).await
        }
    }
}

async fn run_other(client: &crate::client::ApiClient, other: OtherCommand) -> Result<()> {
    match other {
        OtherCommand::Timeline { reference, follow, since, output } => {
            let shown = timeline::ShownTimeline { follow, since, format: output.output };
            timeline::show(client, &reference, shown).await
        }
        OtherCommand::Explain { what, vendor_class, user_class, output } => {
            let (vendor_class, user_class) = (vendor_class.as_deref(), user_class.as_deref());
            if let [of, file] = what.as_slice()
                && of == "packet"
            {
                return explain_packet::explain_packet(client, file, output.output).await;
            }
            let (of, what) = boot::explained_client(&what)?;
            let asks = ExplainAs { what, vendor_class, user_class };
            boot::explain(client, of, (asks, output.output)).await
        }
        OtherCommand::Render(args) => seeing::render(client, args).await,
        OtherCommand::Diff(args) => seeing_diff::diff(client, args).await,
        OtherCommand::Vars { reference, output } => seeing::vars(client, &reference, output.output).await,
        OtherCommand::Files { reference, output } => boot::files(client, &reference, output.output).await,
        OtherCommand::Logs { reference, follow } => {
            let until = if follow { logs::PrintUntil::JobEnds } else { logs::PrintUntil::Now };
            logs::show(client, &reference, until).await
        }
        OtherCommand::Events { verb: EventVerb::List(args) } => events::list(client, args).await,
        OtherCommand::Events { verb: EventVerb::Watch(args) } => events::watch(client, args).await,
        OtherCommand::Changes { verb } => changes::run(client, verb).await,
        OtherCommand::Agents { verb } => agents::run(client, verb).await,
        OtherCommand::Unknown(verb) => unknown::run(client, verb).await,
        OtherCommand::Status(output) => status::show(client, output.output).await,
        OtherCommand::Server { verb } => server::run(client, verb).await,
        OtherCommand::Apply(args) => apply::apply(client, None, &args).await,
        OtherCommand::Backup(args) => backups::backup(client, &args).await,
        OtherCommand::Check(args) => backups::check(client, &args).await,
        // These commands need no server and run before one is chosen.
        OtherCommand::Events { verb: EventVerb::Kinds { .. } }
        | OtherCommand::Errors { .. }
        | OtherCommand::Context { .. }
        | OtherCommand::Doctor { .. }
        | OtherCommand::Restore(_) => Ok(()),
    }
}
