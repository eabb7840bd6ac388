//! The command line: `metalwright <noun> <verb> [ref]`, and what people do with machines.
//!
//! It talks to a server through `client` and knows nothing else of it. `command` is what can be typed,
//! [`run`] carries it out, [`finish`] makes exit codes of what comes of it: 0 done, 1 the server or the
//! operation said no, 2 usage.

mod apply;
mod artifact_verbs;
mod artifacts;
mod boot;
pub mod boot_certificate;
mod columns;
mod command;
mod config;
mod connection;
mod diff;
mod doctor;
mod documents;
mod editor;
mod events;
mod leases;
mod logs;
mod nouns;
mod objects;
mod output;
mod parse;
mod server;
mod sets;
mod summary;
mod timeline;
mod waiting;
mod yaml;

pub use command::ClientCommand;
pub use output::{finish, print, print_completions};

use anyhow::Result;

use command::{
    DeleteVerb, DoctorVerb, EventVerb, Invocation, MachineVerb, Other, ReadVerb, TokenVerb, Verb, WriteVerb,
};
use objects::Noun;

use crate::client::ExplainAs;

/// Carries out a command that needs a server.
///
/// # Errors
/// What went wrong, for [`finish`].
pub async fn run(command: ClientCommand) -> Result<()> {
    let ClientCommand { connection, invocation } = command;
    if let Invocation::Other(Other::Context { verb }) = invocation {
        return config::run(verb, &connection);
    }
    if let Invocation::Other(Other::Doctor { verb: DoctorVerb::Dhcp(args) }) = invocation {
        return doctor::dhcp(args, &connection).await;
    }
    let client = connection.client().await?;
    let done = match invocation {
        Invocation::Noun(kind, verb) => run_verb(&Noun { client, kind }, verb).await,
        Invocation::Other(other) => run_other(&client, other).await,
    };
    done.map_err(|error| connection.advise(error))
}

async fn run_verb(noun: &Noun, verb: Verb) -> Result<()> {
    match verb {
        Verb::Read(ReadVerb::List(args)) => noun.list(args).await,
        Verb::Read(ReadVerb::Show { reference, output }) => noun.show(&reference, output.output).await,
        Verb::Read(ReadVerb::Wait(args)) => waiting::wait(noun, args).await,
        Verb::Read(ReadVerb::Watch { reference, output }) => {
            events::watch_noun(noun, reference.as_deref(), output.output).await
        }
        Verb::Write(WriteVerb::Create(args)) => noun.create(args).await,
        Verb::Write(WriteVerb::Set { words, output }) => noun.set(&words, output.output).await,
        Verb::Write(WriteVerb::Edit { reference }) => editor::edit(noun, &reference).await,
        Verb::Write(WriteVerb::Apply(args)) => apply::apply(&noun.client, Some(noun.kind), &args).await,
        Verb::Delete(DeleteVerb::Delete { references }) => noun.delete(&references).await,
        Verb::Machine(MachineVerb::Act(verb)) => boot::act(noun, verb).await,
        Verb::Machine(MachineVerb::Params { reference, output }) => {
            boot::params(&noun.client, &reference, output.output).await
        }
        Verb::Artifact(verb) => artifacts::run(noun, verb).await,
        Verb::Lease(verb) => leases::run(noun, verb).await,
        // `main` carries it out, without a server.
        Verb::Token(TokenVerb::Recover) => Ok(()),
        Verb::ParamsOf { machine, output } => boot::params(&noun.client, &machine, output.output).await,
    }
}

async fn run_other(client: &crate::client::ApiClient, other: Other) -> Result<()> {
    match other {
        Other::Timeline { reference, follow, output } => {
            timeline::show(client, &reference, (follow, output.output)).await
        }
        Other::Explain { of, what, vendor_class, user_class, output } => {
            let (vendor_class, user_class) = (vendor_class.as_deref(), user_class.as_deref());
            let asks = ExplainAs { what: &what, vendor_class, user_class };
            boot::explain(client, of.into(), (asks, output.output)).await
        }
        Other::Render { reference, file } => boot::render(client, &reference, file).await,
        Other::Files { reference, output } => boot::files(client, &reference, output.output).await,
        Other::Logs { reference, follow } => {
            let until = if follow { logs::Until::JobEnds } else { logs::Until::Now };
            logs::show(client, &reference, until).await
        }
        Other::Events { verb: EventVerb::List(args) } => events::list(client, args).await,
        Other::Events { verb: EventVerb::Watch(args) } => events::watch(client, args).await,
        Other::Server { verb } => server::run(client, verb).await,
        Other::Apply(args) => apply::apply(client, None, &args).await,
        // They need no server and are done before one is looked for.
        Other::Context { .. } | Other::Doctor { .. } => Ok(()),
    }
}
