//! What stands against a write (409), and how it is told to a caller who may not read all of it.

use crate::kernel::permissions::hidden_conflict;
use crate::kernel::{Caller, Error, TrackedWorld};
use crate::model::{Kind, Noun, RefusalCode, Stored};

/// Most names listed in one message.
const LISTED_MAX: usize = 10;

/// An object that needs another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependentObject {
    pub kind: Kind,
    pub key: String,
    /// What is said behind its name; may be empty.
    pub note: &'static str,
}

impl DependentObject {
    pub fn of<T: Noun>(stored: &Stored<T>) -> Self {
        DependentObject { kind: T::KIND, key: stored.key.clone(), note: "" }
    }
}

/// Why a write cannot be done beside what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleConflict {
    /// The object that stands against it, where the reason names one.
    with: Option<(Kind, String)>,
    code: RefusalCode,
    reason: String,
}

impl RuleConflict {
    /// One whose reason names nothing that the caller may not read.
    pub fn plain(code: RefusalCode, reason: String) -> Self {
        RuleConflict { with: None, code, reason }
    }

    /// One whose reason names this object.
    pub fn with<T: Noun>(code: RefusalCode, other: &Stored<T>, reason: String) -> Self {
        RuleConflict { with: Some((T::KIND, other.key.clone())), code, reason }
    }

    /// The refusal, with the reason for a caller who may read the object that it names; else with the kind of
    /// that object.
    pub fn told_to(self, caller: &Caller, world: &TrackedWorld<'_>) -> Error {
        match &self.with {
            Some((kind, key)) if !caller.may_read(world.untracked_world(), (*kind, key)) => {
                Error::Conflict(self.code, hidden_conflict(*kind))
            }
            _ => self.into(),
        }
    }
}

impl From<RuleConflict> for Error {
    fn from(conflict: RuleConflict) -> Self {
        Error::Conflict(conflict.code, conflict.reason)
    }
}

/// Names for a message: the first few of the objects that the caller may read, and how many more there are.
pub fn list_dependents(dependents: &[DependentObject], caller: &Caller, world: &TrackedWorld<'_>) -> String {
    let (visible, hidden): (Vec<&DependentObject>, Vec<&DependentObject>) =
        dependents.iter().partition(|dependent: &&DependentObject| {
            caller.may_read(world.untracked_world(), (dependent.kind, &dependent.key))
        });
    let mut names: Vec<String> = visible
        .into_iter()
        .map(|dependent: &DependentObject| {
            format!("{} {}{}", dependent.kind, world.label(dependent.kind, &dependent.key), dependent.note)
        })
        .collect();
    names.sort();
    names.dedup();
    let more = names.len().saturating_sub(LISTED_MAX);
    names.truncate(LISTED_MAX);
    let listed = match (names.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    };
    let unseen = match hidden.len() {
        0 => return listed,
        1 => "1 object that your token may not read".to_owned(),
        count => format!("{count} objects that your token may not read"),
    };
    if listed.is_empty() { unseen } else { format!("{listed}, and {unseen}") }
}
