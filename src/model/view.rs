//! Saved views: a filter, an order and columns of a list under a name, for everybody who may read views.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::{Kind, NoStatus, Noun, Object, Problem, RefusalCode, Stored, nearest};

/// The list of events, which are no objects.
pub const VIEWED_EVENTS: &str = "events";
/// Longest query, in bytes.
const QUERY_BYTES_MAX: usize = 4096;
/// Most columns.
const VIEW_COLUMNS_MAX: usize = 32;

/// A list as somebody wants to see it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    pub name: String,
    /// The list: the plural of a noun, such as `machines`, or `events`.
    pub kind: String,
    /// The query of the list's URL, without the `?`: `status.state=failed&sort=-updated_at`.
    #[serde(default)]
    #[schemars(length(max = QUERY_BYTES_MAX))]
    pub query: String,
    /// The fields that the columns show, in order. Without any the list has its own.
    #[serde(default)]
    #[schemars(length(max = VIEW_COLUMNS_MAX))]
    pub columns: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl View {
    /// The noun whose list it is of; none for events.
    pub fn noun(&self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.plural() == self.kind)
    }

    fn kind_fault(&self) -> Option<Problem> {
        if self.noun().is_some() || self.kind == VIEWED_EVENTS {
            return None;
        }
        let lists: Vec<&str> = Kind::ALL.map(Kind::plural).into_iter().chain([VIEWED_EVENTS]).collect();
        let hint = nearest(&self.kind, lists.iter().copied()).map_or_else(
            || format!("there are: {}", lists.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        let what = format!("there is no list `{}`; {hint}", self.kind);
        Some(Problem::new("/kind", what).coded(RefusalCode::NotFound))
    }
}

impl Noun for View {
    const KIND: Kind = Kind::View;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        problems.extend(self.kind_fault());
        if self.query.len() > QUERY_BYTES_MAX {
            let what = format!("has {} bytes, at most {QUERY_BYTES_MAX} are admitted", self.query.len());
            problems.push(Problem::new("/query", what).coded(RefusalCode::TooLarge));
        }
        if self.columns.len() > VIEW_COLUMNS_MAX {
            let what = format!("has {} columns, at most {VIEW_COLUMNS_MAX} are admitted", self.columns.len());
            problems.push(Problem::new("/columns", what).coded(RefusalCode::TooLarge));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::View(stored)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_view_is_of_a_list_that_there_is() {
        let view =
            |kind: &str| -> View { serde_json::from_value(json!({"name": "a", "kind": kind})).unwrap() };
        assert!(view("machines").check().is_empty() && view("events").check().is_empty());
        assert_eq!(view("client_classes").noun(), Some(Kind::ClientClass));
        let faults = view("machine").check();
        assert!(faults[0].message.contains("did you mean `machines`"), "{faults:?}");
    }
}
