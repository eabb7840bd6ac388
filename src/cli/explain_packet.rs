//! `explain packet FILE`: what a captured packet would be answered now, and why.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::boot::explained;
use crate::cli::documents::read_text;
use crate::cli::output::{self, OutputFormat, plain};
use crate::client::{ApiClient, BootExplanation};

/// Prints the rules, the options and the reply to the packet in a file; `-` is standard input.
///
/// # Errors
/// The file or the packet cannot be read, or an error of the server or the network.
pub async fn explain_packet(client: &ApiClient, path: &str, format: Option<OutputFormat>) -> Result<()> {
    let packet = read_text(Path::new(path))?;
    let answer = client.explain_packet(&packet).await?;
    if let Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) = format {
        return output::print_value(&answer, format);
    }
    let explanation: BootExplanation =
        serde_json::from_value(as_explanation(&answer)).context("the explanation does not read as one")?;
    output::print(&(explained(&explanation) + &reply(&answer)))
}

/// The parts that an explanation of a MAC has too.
fn as_explanation(answer: &Value) -> Value {
    let mut explanation = answer["decision"].clone();
    if let Some(fields) = explanation.as_object_mut() {
        let offer =
            json!({"event": answer["event"], "reason": answer["reason"], "address": answer["address"]});
        fields.insert("offer".to_owned(), offer);
        for part in ["client_classes", "options"] {
            fields.insert(part.to_owned(), answer[part].clone());
        }
    }
    explanation
}

fn reply(answer: &Value) -> String {
    let Some(reply) = answer.get("reply").filter(|reply| !reply.is_null()) else {
        return "\nno reply is sent\n".to_owned();
    };
    let destination = reply["destination"].as_str().unwrap_or_default();
    let text = reply["text"].as_str().unwrap_or_default();
    let lines: String = text.lines().map(|line| format!("  {}\n", plain(line))).collect();
    format!("\nreply, {}:\n{lines}", plain(destination))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_an_explanation_with_its_reply() {
        let answer = json!({
            "event": "dhcp.offered", "reason": "offered 10.0.0.5: it was never used", "address": "10.0.0.5",
            "decision": {"verdict": "local_disk", "reason": "unknown machine", "answer": "no_boot_data",
                "trace": [{"rule": "known_machine", "matched": true, "detail": "unknown machine"}]},
            "client_classes": [], "options": [],
            "reply": {"destination": "broadcast", "text": "op reply\nyiaddr 10.0.0.5\n"},
        });
        let explanation: BootExplanation = serde_json::from_value(as_explanation(&answer)).unwrap();
        let told = explained(&explanation) + &reply(&answer);
        assert!(told.contains("address: offered 10.0.0.5"), "{told}");
        assert!(told.ends_with("\nreply, broadcast:\n  op reply\n  yiaddr 10.0.0.5\n"), "{told}");
        assert_eq!(reply(&json!({"reply": null})), "\nno reply is sent\n");
    }
}
