//! The verbs that act on a machine's run, with their flags and requests.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{MachineAction, UsedObject};

#[derive(Subcommand, Clone, Debug)]
pub(super) enum ActionVerb {
    /// Start a workflow, and arm the machine if that is destructive.
    Start {
        #[arg(value_name = "REF")]
        reference: String,
        /// [default: the machine's own]
        workflow: Option<String>,
        /// The reason, in one line, for the run's record.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Pause before this step, given by its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        stop_before: Option<String>,
    },
    /// Run the workflow of the last run again, with the present content. A destructive boot is armed as by
    /// `start`.
    Restart {
        #[arg(value_name = "REF")]
        reference: String,
        /// Begin at this step, given by its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        from: Option<String>,
        /// Why, in one line; the run keeps it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Pause before this step.
        #[arg(long, value_name = "STEP")]
        stop_before: Option<String>,
    },
    /// Hand out no further job, from now on or from a step on.
    Pause {
        #[arg(value_name = "REF")]
        reference: String,
        /// Pause before this step, given by its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        before: Option<String>,
        /// The reason, in one line; the machine shows it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Continue after a pause.
    Resume(ReferenceArgs),
    /// Continue at the step that failed or is held.
    Retry {
        #[arg(value_name = "REF")]
        reference: String,
        /// Use the present content and params, instead of those that the run kept.
        #[arg(long)]
        refresh: bool,
    },
    /// Pass over the present step, or a later task.
    Skip {
        #[arg(value_name = "REF")]
        reference: String,
        /// The later task, given by its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        step: Option<String>,
        /// The reason, in one line; the step shows it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Continue as if the present step had ended well.
    MarkDone {
        #[arg(value_name = "REF")]
        reference: String,
        /// The reason, in one line; the step shows it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End the run and disarm the machine.
    Cancel(ReferenceArgs),
    /// Allow one boot of a destructive bootenv.
    Arm(ReferenceArgs),
    /// Withdraw that permission.
    Disarm(ReferenceArgs),
}

/// The objects to delete, or the leases to end.
#[derive(Args, Clone, Debug)]
pub(super) struct DeletionArgs {
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,
    /// Also what is in use by a machine that is armed or in a run, or by a lease.
    #[arg(long)]
    pub force: bool,
}

impl DeletionArgs {
    pub fn used(&self) -> UsedObject {
        if self.force { UsedObject::Force } else { UsedObject::Keep }
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct ReferenceArgs {
    #[arg(value_name = "REF")]
    pub reference: String,
}

impl ActionVerb {
    /// The request for the verb.
    pub(super) fn call(self) -> ActionCall {
        match self {
            ActionVerb::Start { reference, workflow, reason, stop_before } => {
                let given = [("workflow", workflow), ("reason", reason)];
                let [workflow, reason] = given.map(|(name, value)| (name, value.map(Value::from)));
                let details = [workflow, reason, ("stop_before", step(stop_before))];
                ActionCall::new(MachineAction::Start, reference, object(details))
            }
            ActionVerb::Restart { reference, from, reason, stop_before } => {
                let reason = ("reason", reason.map(Value::from));
                let details = [("from", step(from)), reason, ("stop_before", step(stop_before))];
                ActionCall::new(MachineAction::Restart, reference, object(details))
            }
            ActionVerb::Pause { reference, before, reason } => {
                let details = [("before", step(before)), ("reason", reason.map(Value::from))];
                ActionCall::new(MachineAction::Pause, reference, object(details))
            }
            ActionVerb::Skip { reference, step: named, reason } => {
                let details = [("step", step(named)), ("reason", Some(reason.into()))];
                ActionCall::new(MachineAction::Skip, reference, object(details))
            }
            ActionVerb::MarkDone { reference, reason } => {
                ActionCall::new(MachineAction::MarkDone, reference, json!({ "reason": reason }))
            }
            ActionVerb::Resume(whose) => ActionCall::new(MachineAction::Resume, whose.reference, json!({})),
            ActionVerb::Retry { reference, refresh } => {
                let details = [("refresh", refresh.then_some(Value::Bool(true)))];
                ActionCall::new(MachineAction::Retry, reference, object(details))
            }
            ActionVerb::Cancel(whose) => ActionCall::new(MachineAction::Cancel, whose.reference, json!({})),
            ActionVerb::Arm(whose) => ActionCall::new(MachineAction::Arm, whose.reference, json!({})),
            ActionVerb::Disarm(whose) => ActionCall::new(MachineAction::Disarm, whose.reference, json!({})),
        }
    }
}

/// The request for an action on a machine.
pub(super) struct ActionCall {
    pub(super) action: MachineAction,
    pub(super) reference: String,
    pub(super) details: Value,
}

impl ActionCall {
    fn new(action: MachineAction, reference: String, details: Value) -> Self {
        ActionCall { action, reference, details }
    }
}

/// A step in the form of the API: a number, or a name.
fn step(named: Option<String>) -> Option<Value> {
    named.map(|named| named.parse::<u32>().map_or_else(|_| Value::from(named), Value::from))
}

/// The fields that were given.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}
