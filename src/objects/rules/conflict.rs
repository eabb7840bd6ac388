//! Conflicts of a write with other objects (409), and their messages for callers that may not read all
//! objects.

use std::borrow::Cow;

use crate::kernel::permissions::hidden_conflict;
use crate::kernel::{Caller, Error, TrackedWorld};
use crate::model::{Kind, Noun, RefusalCode, Stored};

/// Most names listed in one message.
const LISTED_MAX: usize = 10;

/// An object that needs the written one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependentObject {
    pub kind: Kind,
    pub key: String,
    /// A remark that follows its name; may be empty.
    pub note: Cow<'static, str>,
}

impl DependentObject {
    pub fn of<T: Noun>(stored: &Stored<T>) -> Self {
        DependentObject { kind: T::KIND, key: stored.key.clone(), note: Cow::Borrowed("") }
    }
}

/// Why a write conflicts with the present objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleConflict {
    /// The object that conflicts, if the reason names one.
    with: Option<(Kind, String)>,
    code: RefusalCode,
    reason: String,
}

impl RuleConflict {
    /// A conflict whose reason names nothing that could be hidden from the caller.
    pub fn plain(code: RefusalCode, reason: String) -> Self {
        RuleConflict { with: None, code, reason }
    }

    /// A conflict whose reason names this object.
    pub fn with<T: Noun>(code: RefusalCode, other: &Stored<T>, reason: String) -> Self {
        RuleConflict { with: Some((T::KIND, other.key.clone())), code, reason }
    }

    /// The refusal, with the reason for a caller who may read the object that it names; else with the kind of
    /// that object.
    pub fn message_for(self, caller: &Caller, world: &TrackedWorld<'_>) -> Error {
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

/// The objects in words: the names of the first ones that the caller may read, and the number of the others.
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
