//! The verbs that act on a machine's run, with their flags and requests.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::many::{ManyArgs, ManyCall};
use crate::client::{ActionMode, MachineAction, UsedObject};

#[derive(Subcommand, Clone, Debug)]
pub(super) enum ActionVerb {
    /// Start a workflow, and arm the machine if that is destructive.
    Start {
        /// The machine and its workflow; or several machines, with --workflow.
        #[arg(value_name = "REF", required_unless_present = "filters")]
        references: Vec<String>,
        /// The workflow [default: each machine's own].
        #[arg(long, value_name = "WORKFLOW")]
        workflow: Option<String>,
        /// The reason, in one line, for the run's record.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Pause before this step, given by its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        stop_before: Option<String>,
        #[command(flatten)]
        check: PreflightArgs,
        #[command(flatten)]
        many: ManyArgs,
    },
    /// Run the workflow of the last run again, with the present content. A destructive boot is armed as by
    /// `start`.
    Restart {
        #[arg(value_name = "REF", required_unless_present = "filters")]
        references: Vec<String>,
        /// Begin at this step, given by its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        from: Option<String>,
        /// Why, in one line; the run keeps it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Pause before this step.
        #[arg(long, value_name = "STEP")]
        stop_before: Option<String>,
        #[command(flatten)]
        check: PreflightArgs,
        #[command(flatten)]
        many: ManyArgs,
    },
    /// Hand out no further job, from now on or from a step on.
    Pause {
        #[arg(value_name = "REF", required_unless_present = "filters")]
        references: Vec<String>,
        /// Pause before this step, given by its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        before: Option<String>,
        /// The reason, in one line; the machine shows it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        many: ManyArgs,
    },
    /// Continue after a pause.
    Resume(MachineArgs),
    /// Continue at the step that failed or is held.
    Retry {
        #[arg(value_name = "REF", required_unless_present = "filters")]
        references: Vec<String>,
        /// Use the present content and params, instead of those that the run kept.
        #[arg(long)]
        refresh: bool,
        /// Why a fault is accepted, in one line; the run keeps it.
        #[arg(long, value_name = "TEXT", requires = "refresh")]
        reason: Option<String>,
        #[command(flatten)]
        check: PreflightArgs,
        #[command(flatten)]
        many: ManyArgs,
    },
    /// Pass over the present step, or a later task.
    Skip {
        #[arg(value_name = "REF", required_unless_present = "filters")]
        references: Vec<String>,
        /// The later task, given by its number, counted from 0, or its name.
        #[arg(long, value_name = "STEP")]
        step: Option<String>,
        /// The reason, in one line; the step shows it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        many: ManyArgs,
    },
    /// Continue as if the present step had ended well.
    MarkDone {
        #[arg(value_name = "REF", required_unless_present = "filters")]
        references: Vec<String>,
        /// The reason, in one line; the step shows it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        many: ManyArgs,
    },
    /// End the run and disarm the machine.
    Cancel(MachineArgs),
    /// Allow one boot of a destructive bootenv.
    Arm(MachineArgs),
    /// Withdraw that permission.
    Disarm(MachineArgs),
}

/// The objects to delete, or the leases to end.
#[derive(Args, Clone, Debug)]
pub(super) struct DeletionArgs {
    #[arg(value_name = "REF", required_unless_present = "filters")]
    pub references: Vec<String>,
    /// Also what is in use by a machine that is armed or in a run, or by a lease.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub many: ManyArgs,
}

impl DeletionArgs {
    pub fn used(&self) -> UsedObject {
        if self.force { UsedObject::Force } else { UsedObject::Keep }
    }

    /// The call that ends many objects.
    pub fn call(self, verb: &'static str) -> ManyCall {
        let DeletionArgs { references, force, many } = self;
        ManyCall { verb, about: verb.to_owned(), details: json!({}), references, force, args: many }
    }
}

/// The check before a run begins.
#[derive(Args, Clone, Debug)]
pub(super) struct PreflightArgs {
    /// Begin in spite of the faults with this code, as the refusal names it. Needs --reason; can be repeated.
    #[arg(long, value_name = "CODE", requires = "reason")]
    pub accept: Vec<String>,
    /// Check only: change nothing, and report what would happen.
    #[arg(long)]
    pub check: bool,
}

impl PreflightArgs {
    /// The field `accept` of a request.
    fn field(&self) -> (&'static str, Option<Value>) {
        ("accept", (!self.accept.is_empty()).then(|| json!(self.accept)))
    }
}

/// The machines of an action without details.
#[derive(Args, Clone, Debug)]
pub(super) struct MachineArgs {
    #[arg(value_name = "REF", required_unless_present = "filters")]
    pub references: Vec<String>,
    #[command(flatten)]
    pub many: ManyArgs,
}

impl ActionVerb {
    /// The request for one machine.
    pub(super) fn call(self) -> ActionCall {
        let WholeAction { action, details, references, mode, .. } = self.whole();
        // The parser admits no verb without a reference but with a filter.
        let reference = references.into_iter().next().unwrap_or_default();
        ActionCall { action, reference, details, mode }
    }

    /// The call for many machines; none for one.
    pub(super) fn for_many(&self) -> Option<ManyCall> {
        let WholeAction { action, details, references, mut many, mode } = self.clone().whole();
        if !many.is_for(&references) {
            return None;
        }
        many.dry_run |= mode == ActionMode::DryRun;
        let workflow = details.get("workflow").and_then(Value::as_str);
        let about = match workflow {
            Some(workflow) => format!("{} {workflow}", action.as_str()),
            None => action.as_str().replace('_', "-"),
        };
        Some(ManyCall { verb: action.as_str(), about, details, references, force: false, args: many })
    }

    fn whole(self) -> WholeAction {
        match self {
            ActionVerb::Start { references, workflow, reason, stop_before, check, many } => {
                let (references, workflow) = machines_and_workflow(references, workflow, &many);
                let given = [("workflow", workflow), ("reason", reason)];
                let [workflow, reason] = given.map(|(name, value)| (name, value.map(Value::from)));
                let details = [workflow, reason, ("stop_before", step(stop_before)), check.field()];
                WholeAction::new(MachineAction::Start, references, (object(details), many)).checked(&check)
            }
            ActionVerb::Restart { references, from, reason, stop_before, check, many } => {
                let reason = ("reason", reason.map(Value::from));
                let stop_before = ("stop_before", step(stop_before));
                let details = [("from", step(from)), reason, stop_before, check.field()];
                WholeAction::new(MachineAction::Restart, references, (object(details), many)).checked(&check)
            }
            ActionVerb::Retry { references, refresh, reason, check, many } => {
                let refresh = ("refresh", refresh.then_some(Value::Bool(true)));
                let details = [refresh, ("reason", reason.map(Value::from)), check.field()];
                WholeAction::new(MachineAction::Retry, references, (object(details), many)).checked(&check)
            }
            ActionVerb::Pause { references, before, reason, many } => {
                let details = [("before", step(before)), ("reason", reason.map(Value::from))];
                WholeAction::new(MachineAction::Pause, references, (object(details), many))
            }
            ActionVerb::Skip { references, step: named, reason, many } => {
                let details = [("step", step(named)), ("reason", Some(reason.into()))];
                WholeAction::new(MachineAction::Skip, references, (object(details), many))
            }
            ActionVerb::MarkDone { references, reason, many } => {
                let details = json!({ "reason": reason });
                WholeAction::new(MachineAction::MarkDone, references, (details, many))
            }
            ActionVerb::Resume(whose) => WholeAction::plain(MachineAction::Resume, whose),
            ActionVerb::Cancel(whose) => WholeAction::plain(MachineAction::Cancel, whose),
            ActionVerb::Arm(whose) => WholeAction::plain(MachineAction::Arm, whose),
            ActionVerb::Disarm(whose) => WholeAction::plain(MachineAction::Disarm, whose),
        }
    }
}

/// `start web1 install-debian-12` names the workflow by its second word, `start --filter … install-debian-12`
/// by its only one.
fn machines_and_workflow(
    mut words: Vec<String>,
    workflow: Option<String>,
    many: &ManyArgs,
) -> (Vec<String>, Option<String>) {
    let machines = usize::from(many.filters.is_empty());
    let has_both = workflow.is_none() && words.len() == machines + 1;
    let workflow = if has_both { words.pop() } else { workflow };
    (words, workflow)
}

/// An action on one machine or many, with its details.
struct WholeAction {
    action: MachineAction,
    references: Vec<String>,
    details: Value,
    many: ManyArgs,
    mode: ActionMode,
}

impl WholeAction {
    fn new(action: MachineAction, references: Vec<String>, (details, many): (Value, ManyArgs)) -> Self {
        WholeAction { action, references, details, many, mode: ActionMode::CarryOut }
    }

    fn plain(action: MachineAction, whose: MachineArgs) -> Self {
        WholeAction::new(action, whose.references, (json!({}), whose.many))
    }

    fn checked(self, check: &PreflightArgs) -> Self {
        let mode = if check.check { ActionMode::DryRun } else { ActionMode::CarryOut };
        WholeAction { mode, ..self }
    }
}

/// The request for an action on a machine.
pub(super) struct ActionCall {
    pub(super) action: MachineAction,
    pub(super) reference: String,
    pub(super) details: Value,
    pub(super) mode: ActionMode,
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
