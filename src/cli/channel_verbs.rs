//! `channels promote`, `withdraw`, `rollback`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::command::OutputArgs;
use crate::cli::nouns::object_path;
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat, plain};
use crate::client::ChannelVerbCall;

/// Further verbs of channels.
#[derive(Subcommand, Clone, Debug)]
pub(super) enum ChannelVerb {
    /// Give a channel another version of a pack. Runs that have begun keep what they began with.
    Promote {
        #[arg(value_name = "CHANNEL")]
        reference: String,
        #[arg(value_name = "PACK")]
        pack: String,
        #[arg(value_name = "VERSION")]
        version: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take a pack out of a channel.
    Withdraw {
        #[arg(value_name = "CHANNEL")]
        reference: String,
        #[arg(value_name = "PACK")]
        pack: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Undo the latest promotion of a channel.
    Rollback {
        #[arg(value_name = "CHANNEL")]
        reference: String,
        /// Undo the latest one of this pack.
        #[arg(long, value_name = "PACK")]
        pack: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Carries out a verb.
///
/// # Errors
/// An error of the server or the network.
pub(super) async fn run(noun: &NounClient, verb: ChannelVerb) -> Result<()> {
    let (reference, action, details, output) = match verb {
        ChannelVerb::Promote { reference, pack, version, output } => {
            let details = json!({"pack": pack, "version": version});
            (reference, ChannelVerbCall::Promote, details, output)
        }
        ChannelVerb::Withdraw { reference, pack, output } => {
            (reference, ChannelVerbCall::Withdraw, json!({"pack": pack}), output)
        }
        ChannelVerb::Rollback { reference, pack, output } => {
            let details = pack.map_or_else(|| json!({}), |pack| json!({"pack": pack}));
            (reference, ChannelVerbCall::Rollback, details, output)
        }
    };
    let path = object_path(noun.kind, &reference)?;
    let moved = noun.client.move_channel(&path, action, &details).await?;
    match output.output {
        Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) => noun.print_one(&moved, format),
        _ => output::print(&told(&moved)),
    }
}

/// The packs of a channel, on one line.
fn told(channel: &Value) -> String {
    let name = channel.get("name").and_then(Value::as_str).unwrap_or_default();
    let packs = channel.get("packs").and_then(Value::as_object).into_iter().flatten();
    let packs = packs.map(|(pack, version)| format!("{pack}@{}", version.as_str().unwrap_or_default()));
    let packs: Vec<String> = packs.collect();
    format!("{}: {}\n", plain(name), plain(&packs.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_told_with_its_packs() {
        let channel = json!({"name": "prod", "packs": {"core": "0.2.0", "site-web": "1.0.0"}});
        assert_eq!(told(&channel), "prod: core@0.2.0, site-web@1.0.0\n");
    }
}
