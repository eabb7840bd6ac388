//! Commands about the agents of machines.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::cli::command::OutputArgs;
use crate::cli::nouns::object_path;
use crate::cli::output::{self, OutputFormat, plain};
use crate::client::ApiClient;
use crate::model::{AgentTokenReissue, Kind};

/// The verbs of agents.
#[derive(Subcommand, Clone, Debug)]
pub enum AgentVerb {
    /// Make a new token for a machine's agent, to be put on the machine by hand. The tokens that the agent
    /// has end at once.
    Reissue {
        #[arg(value_name = "MACHINE")]
        reference: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Carries out a verb.
///
/// # Errors
/// An error of the server or the network.
pub async fn run(client: &ApiClient, verb: AgentVerb) -> Result<()> {
    let AgentVerb::Reissue { reference, output } = verb;
    let made = client.reissue_token(&object_path(Kind::Machine, &reference)?).await?;
    match output.output {
        Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) => output::print_value(&json!(made), format),
        _ => output::print(&told(&reference, &made)),
    }
}

/// The token, and how to put it on the machine.
fn told(reference: &str, made: &AgentTokenReissue) -> String {
    let AgentTokenReissue { token, first_use_by, ended, .. } = made;
    let (reference, ended) = (plain(reference), ended.len());
    format!(
        "{token}\n\n\
         The new token of the agent of {reference}, shown only here. {ended} earlier tokens have ended.\n\
         Put it on the machine before {first_use_by}, as root:\n\n  \
           sed -i 's/^token = .*/token = \"{token}\"/' /etc/metalwright/agent.toml\n  \
           systemctl restart metalwright-agent\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_has_the_token_where_it_belongs_and_until_when() {
        let made = AgentTokenReissue {
            machine: uuid::Uuid::nil(),
            token: "mw_new".into(),
            first_use_by: "2027-01-01T00:00:00Z".parse().unwrap(),
            ended: vec!["agent-1".into()],
        };
        let told = told("web1", &made);
        assert!(told.starts_with("mw_new\n"), "{told}");
        assert!(told.contains("s/^token = .*/token = \"mw_new\"/' /etc/metalwright/agent.toml"), "{told}");
        assert!(told.contains("before 2027-01-01T00:00:00Z"), "{told}");
    }
}
