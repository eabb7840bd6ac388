//! `wait REF --for status.state=complete`: waits until a field has a value, or cannot get it any more.
//!
//! The event stream says when to read the object; nothing is polled.

use std::str::FromStr;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::time::timeout;

use crate::cli::columns::text;
use crate::cli::command::WaitArgs;
use crate::cli::nouns::{self, name_of, object_path, subject_of};
use crate::cli::objects::NounClient;
use crate::cli::output::WaitFailure;
use crate::cli::sets::value_at;
use crate::client::{EventFilter, ListRequest, ObjectPath};
use crate::model::{Artifact, Kind};

/// A field, and the expected (or unwanted) value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    field: String,
    value: String,
    wanted: GoalComparison,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoalComparison {
    Equal,
    Other,
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, value) = text.split_once('=').ok_or("write it like status.state=complete")?;
        let (field, wanted) = match field.strip_suffix('!') {
            Some(field) => (field, GoalComparison::Other),
            None => (field, GoalComparison::Equal),
        };
        if field.is_empty() {
            return Err("a field stands before the `=`".to_owned());
        }
        Ok(Goal { field: field.to_owned(), value: value.to_owned(), wanted })
    }
}

impl Goal {
    /// Asks the server whether there is such a field, and whether it can have the value: a slip is refused at
    /// once and not when the time is up.
    ///
    /// # Errors
    /// The server's refusal, with the nearest name or value.
    async fn check(&self, noun: &NounClient) -> Result<()> {
        // The API has no numbers of items in the names of its fields.
        let steps = self.field.split('.').filter(|step| step.parse::<usize>().is_err());
        let field = match self.field.split_once('.') {
            Some((PROBLEMS, _)) => PROBLEMS.to_owned(),
            _ => steps.collect::<Vec<_>>().join("."),
        };
        let filter = (field.clone(), self.value.clone());
        let mut terms = vec![("fields".to_owned(), field)];
        if !self.value.is_empty() && !WITHOUT_FILTER.contains(&filter.0.as_str()) {
            terms.push(filter);
        }
        noun.client.list(noun.kind, &ListRequest { terms, limit: Some(1) }).await?;
        Ok(())
    }
}

/// Lists show all problems of an object or none.
const PROBLEMS: &str = "problems";
/// Fields that lists show and cannot be filtered by.
const WITHOUT_FILTER: [&str; 2] = [PROBLEMS, "status"];

/// The state of a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum GoalState {
    Reached,
    /// The goal cannot be reached without an operator, for this reason.
    Stuck(String),
    Open,
}

impl Goal {
    /// A missing field counts as empty.
    fn standing(&self, kind: Kind, view: &Value) -> GoalState {
        if kind == Kind::Artifact && self.field.starts_with("status.") && is_yet_to_be_done(view) {
            return GoalState::Open;
        }
        let present = value_at(view, &self.field).map(text).unwrap_or_default();
        if (present == self.value) == (self.wanted == GoalComparison::Equal) {
            return GoalState::Reached;
        }
        stuck(kind, view).map_or(GoalState::Open, GoalState::Stuck)
    }
}

/// Whether the server has not acted on the artifact's present source yet, or has not finished the requested
/// work.
fn is_yet_to_be_done(artifact: &Value) -> bool {
    let asked = value_at(artifact, "status.asked").is_some();
    let named = serde_json::from_value::<Artifact>(own_fields(artifact));
    let origin = value_at(artifact, "status.origin").and_then(Value::as_str);
    asked || named.is_ok_and(|named| origin != Some(named.origin().as_str()))
}

/// The fields of an artifact itself, without those that every object has.
fn own_fields(view: &Value) -> Value {
    let mut fields = nouns::written_fields(view);
    fields.as_object_mut().map(|fields| fields.remove("labels"));
    fields
}

/// States that an object does not leave by itself, with the reason.
fn stuck(kind: Kind, view: &Value) -> Option<String> {
    let (state, states): (_, &[&str]) = match kind {
        Kind::Machine => ("status.state", &["failed", "held"]),
        Kind::Artifact => ("status.state", &["failed", "missing"]),
        Kind::Job => ("state", &["finished", "failed", "cancelled", "lost", "incomplete"]),
        _ => return None,
    };
    let state = value_at(view, state).and_then(Value::as_str).filter(|state| states.contains(state))?;
    let reason = ["status.reason", "reason"].iter().find_map(|path| value_at(view, path));
    let reason = reason.map(text).filter(|reason| !reason.is_empty());
    Some(format!("it is {state}: {}", reason.as_deref().unwrap_or("the reason is not known")))
}

/// Waits for the goal and prints the object if requested.
///
/// # Errors
/// The time is up, or the object is in a state that it does not leave by itself.
pub async fn wait(noun: &NounClient, args: WaitArgs) -> Result<()> {
    let path = object_path(noun.kind, &args.reference)?;
    let view = until(noun, &path, &args).await?;
    args.output.output.map_or(Ok(()), |format| noun.print_one(&view, format))
}

/// Like [`wait`]; returns the object that reached the goal.
///
/// # Errors
/// Those of [`wait`].
pub async fn until(noun: &NounClient, path: &ObjectPath, args: &WaitArgs) -> Result<Value> {
    args.goal.check(noun).await?;
    let mut last = Value::Null;
    let reached = timeout(args.timeout, watch(noun, (path, &args.goal), &mut last)).await;
    reached.unwrap_or_else(|_| {
        let (name, goal) = (name_of(noun.kind, &last), &args.goal);
        let present = value_at(&last, &goal.field).map(text).unwrap_or_default();
        let reason = value_at(&last, "status.reason").map(text).filter(|reason| !reason.is_empty());
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        let word = if goal.wanted == GoalComparison::Equal { "not " } else { "still " };
        Err(WaitFailure::TimedOut(format!(
            "{} {name}: the time is up and {} is {word}{}: it is {present}{reason}",
            noun.kind, goal.field, goal.value
        ))
        .into())
    })
}

async fn watch(noun: &NounClient, (path, goal): (&ObjectPath, &Goal), last: &mut Value) -> Result<Value> {
    *last = noun.client.get(path).await?;
    let subject = EventFilter::subject(subject_of(noun.kind, last));
    let mut stream = noun.client.follow(subject, None).await?;
    loop {
        // Read after the stream is open, so that no change is missed in between.
        *last = noun.client.get(path).await.with_context(|| format!("looking at the {}", noun.kind))?;
        match goal.standing(noun.kind, last) {
            GoalState::Reached => return Ok(last.take()),
            GoalState::Stuck(why) => {
                let why = format!("{} {}: {why}", noun.kind, name_of(noun.kind, last));
                return Err(WaitFailure::OutOfReach(why).into());
            }
            GoalState::Open => stream.next().await?,
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standing(goal: &str, state: &str) -> GoalState {
        let view = json!({"name": "web1", "status": {"state": state, "reason": "no disk"}});
        goal.parse::<Goal>().unwrap().standing(Kind::Machine, &view)
    }

    #[test]
    fn a_goal_is_reached_open_or_out_of_reach() {
        assert_eq!(standing("status.state=complete", "complete"), GoalState::Reached);
        assert_eq!(standing("status.state=complete", "running"), GoalState::Open);
        let stuck = GoalState::Stuck("it is failed: no disk".to_owned());
        assert_eq!(standing("status.state=complete", "failed"), stuck);
        assert_eq!(standing("status.state=failed", "failed"), GoalState::Reached);
        assert_eq!(standing("status.state!=running", "running"), GoalState::Open);
        assert_eq!(standing("status.state!=running", "complete"), GoalState::Reached);
        assert_eq!(standing("status.stage=", "running"), GoalState::Reached);
    }

    #[test]
    fn an_artifact_is_ready_only_for_the_path_that_was_read() {
        let goal: Goal = "status.state=ready".parse().unwrap();
        let view = |state: &str, read: &str| {
            json!({"name": "a", "path": "/new", "status": {
            "state": state, "origin": read, "reason": "gone"}})
        };
        assert_eq!(goal.standing(Kind::Artifact, &view("ready", "/old")), GoalState::Open);
        assert_eq!(goal.standing(Kind::Artifact, &view("missing", "")), GoalState::Open);
        assert_eq!(goal.standing(Kind::Artifact, &view("ready", "/new")), GoalState::Reached);
        let stuck = GoalState::Stuck("it is missing: gone".to_owned());
        assert_eq!(goal.standing(Kind::Artifact, &view("missing", "/new")), stuck);
        let mut asked = view("ready", "/new");
        asked["status"]["asked"] = json!("verify");
        assert_eq!(goal.standing(Kind::Artifact, &asked), GoalState::Open);
    }

    #[test]
    fn a_goal_is_a_field_and_a_value() {
        assert!("status.state".parse::<Goal>().is_err());
        assert!("=complete".parse::<Goal>().is_err());
        assert!("!=complete".parse::<Goal>().is_err());
    }
}
