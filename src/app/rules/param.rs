//! Params: a schema that is one, a default that fits it, and secrecy that values can follow.

use super::{Change, Managed, listed, params};
use crate::model::{Param, Problem, Stored, check_schema, schema_fault};
use crate::store::TrackedWorld;

impl Managed for Param {
    fn refused(&self, _change: &Change<'_, Self>) -> Vec<Problem> {
        if let Some(fault) = schema_fault(&self.schema) {
            return vec![Problem::new("/schema", format!("not a usable JSON Schema: {fault}"))];
        }
        match &self.default {
            Some(_) if self.secret => vec![Problem::new("/default", SECRET_DEFAULT)],
            Some(default) => check_schema(&self.schema, default, "/default"),
            None => Vec::new(),
        }
    }

    /// Values are sealed when they are set: secrecy changes only while there are none.
    fn conflict(&self, change: &Change<'_, Self>) -> Option<String> {
        let secret_before = change.old.is_some_and(|old| old.spec.secret);
        let holders =
            if self.secret == secret_before { Vec::new() } else { params::holders(change.world, &self.name) };
        (!holders.is_empty()).then(|| {
            let by = listed(&holders);
            format!("`secret` of `{}` cannot change while it has values: unset it on {by}", self.name)
        })
    }

    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<String> {
        let mut needed = params::holders(world, &stored.key);
        needed.extend(params::requirers(world, &stored.key));
        needed
    }
}

const SECRET_DEFAULT: &str =
    "a secret param has no default, which would be stored in the clear: set it in a profile";
