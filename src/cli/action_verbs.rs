//! The verbs that move a machine's run, with their flags and what is sent for each.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Action;

#[derive(Subcommand, Clone, Debug)]
pub(super) enum ActionVerb {
    /// Start a workflow, and arm the machine where that is destructive.
    Start {
        #[arg(value_name = "REF")]
        reference: String,
        /// [default: the machine's own]
        workflow: Option<String>,
        /// Why, in one line; the run keeps it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Pause before this step: its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        stop_before: Option<String>,
    },
    /// Begin the workflow of the last run anew, with the content there is now. A destructive boot that the
    /// run comes to is armed as by `start`.
    Restart {
        #[arg(value_name = "REF")]
        reference: String,
        /// Begin at this step: its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        from: Option<String>,
        /// Pause before this step.
        #[arg(long, value_name = "STEP")]
        stop_before: Option<String>,
    },
    /// Hand out no further job, from now on or from a step on.
    Pause {
        #[arg(value_name = "REF")]
        reference: String,
        /// Pause before this step, when the run comes to it: its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        before: Option<String>,
        /// Why, in one line; the machine shows it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Go on after a pause.
    Resume(Whose),
    /// Go on at the step that failed or is held.
    Retry {
        #[arg(value_name = "REF")]
        reference: String,
        /// With the content and the params of now, instead of those that the run kept.
        #[arg(long)]
        refresh: bool,
    },
    /// Pass over the present step, or a task that is still to come.
    Skip {
        #[arg(value_name = "REF")]
        reference: String,
        /// The task that is still to come: its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        step: Option<String>,
        /// Why, in one line; the step shows it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Go on as if the present step had ended well.
    MarkDone {
        #[arg(value_name = "REF")]
        reference: String,
        /// Why, in one line; the step shows it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End the run and disarm.
    Cancel(Whose),
    /// Allow one boot of a destructive bootenv.
    Arm(Whose),
    /// Take that back.
    Disarm(Whose),
}

#[derive(Args, Clone, Debug)]
pub(super) struct Whose {
    #[arg(value_name = "REF")]
    pub reference: String,
}

impl ActionVerb {
    /// The action, on which machine, with which details.
    pub(super) fn parts(self) -> (Action, String, Value) {
        match self {
            ActionVerb::Start { reference, workflow, reason, stop_before } => {
                let given = [("workflow", workflow), ("reason", reason)];
                let [workflow, reason] = given.map(|(name, value)| (name, value.map(Value::from)));
                let details = [workflow, reason, ("stop_before", step(stop_before))];
                (Action::Start, reference, object(details))
            }
            ActionVerb::Restart { reference, from, stop_before } => {
                let details = [("from", step(from)), ("stop_before", step(stop_before))];
                (Action::Restart, reference, object(details))
            }
            ActionVerb::Pause { reference, before, reason } => {
                let details = [("before", step(before)), ("reason", reason.map(Value::from))];
                (Action::Pause, reference, object(details))
            }
            ActionVerb::Skip { reference, step: named, reason } => {
                let details = [("step", step(named)), ("reason", Some(reason.into()))];
                (Action::Skip, reference, object(details))
            }
            ActionVerb::MarkDone { reference, reason } => {
                (Action::MarkDone, reference, json!({ "reason": reason }))
            }
            ActionVerb::Resume(whose) => (Action::Resume, whose.reference, json!({})),
            ActionVerb::Retry { reference, refresh } => {
                let details = [("refresh", refresh.then_some(Value::Bool(true)))];
                (Action::Retry, reference, object(details))
            }
            ActionVerb::Cancel(whose) => (Action::Cancel, whose.reference, json!({})),
            ActionVerb::Arm(whose) => (Action::Arm, whose.reference, json!({})),
            ActionVerb::Disarm(whose) => (Action::Disarm, whose.reference, json!({})),
        }
    }
}

/// A step as the API takes it: a number, or a name.
fn step(named: Option<String>) -> Option<Value> {
    named.map(|named| named.parse::<u32>().map_or_else(|_| Value::from(named), Value::from))
}

/// The fields that were given.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}
