//! Rules for params: a valid schema, a default that fits it, and changes of secrecy only without values.

use std::sync::Arc;

use crate::kernel::TrackedWorld;
use crate::model::{DeclaredSchema, Param, Problem, RefusalCode, Stored, World};
use crate::objects::rules::{
    DependentObject, NounRules, ProposedWrite, RuleCheck, RuleConflict, WriteCheck, list_dependents, params,
};

impl NounRules for Param {
    fn write_checks(
        next: &Arc<Stored<Self>>,
        old: Option<&Arc<Stored<Self>>>,
        _world: &TrackedWorld<'_>,
    ) -> Vec<WriteCheck> {
        let (next, old) = (Arc::clone(next), old.cloned());
        vec![Box::new(move |_| refused(&next.spec, old.as_ref().map(|old| &old.spec)))]
    }

    /// A schema that is older than its bound is never evaluated.
    fn read_checks(stored: &Arc<Stored<Self>>, _world: &World) -> Vec<RuleCheck> {
        let stored = Arc::clone(stored);
        vec![Box::new(move || {
            let schema = DeclaredSchema::of(&stored.spec.schema);
            schema
                .fault()
                .map(|fault: &Problem| {
                    let what = format!("{}; no value of this param is validated", fault.message);
                    Problem::new(format!("/schema{}", fault.pointer), what).coded(RefusalCode::BadSchema)
                })
                .into_iter()
                .collect()
        })]
    }

    /// Values are sealed when they are set, so `secret` can change only while no object has a value.
    fn conflict(&self, change: &ProposedWrite<'_, Self>) -> Option<RuleConflict> {
        let secret_before = change.old.is_some_and(|old| old.spec.secret);
        let holders =
            if self.secret == secret_before { Vec::new() } else { params::holders(change.world, &self.name) };
        (!holders.is_empty()).then(|| {
            let by = list_dependents(&holders, change.caller, change.world);
            let what = "cannot change while it has values: unset it on";
            let why = format!("`secret` of `{}` {what} {by}", self.name);
            RuleConflict::plain(RefusalCode::InUse, why)
        })
    }

    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
        let mut needed = params::holders(world, &stored.key);
        needed.extend(params::requirers(world, &stored.key));
        needed
    }
}

/// A stored schema or default that is older than a rule may stay while other fields change.
fn refused(next: &Param, old: Option<&Param>) -> Vec<Problem> {
    let stays = old.is_some_and(|old| old.schema == next.schema && old.default == next.default);
    if let (true, Some(_)) = (next.secret, &next.default) {
        return vec![Problem::new("/default", SECRET_DEFAULT).coded(RefusalCode::Exclusive)];
    }
    if let (false, Some(_)) = (next.secret, next.generate) {
        return vec![Problem::new("/generate", GENERATED_SHOWN).coded(RefusalCode::Exclusive)];
    }
    let schema = DeclaredSchema::of(&next.schema);
    if let Some(fault) = schema.fault().filter(|_| !stays) {
        let what = format!("not a usable JSON Schema: {}", fault.message);
        return vec![Problem::new(format!("/schema{}", fault.pointer), what).coded(RefusalCode::BadSchema)];
    }
    let Some(default) = &next.default else { return Vec::new() };
    match schema.validate(default, "/default") {
        Ok(problems) => problems,
        Err(_) if stays => Vec::new(),
        Err(not_validated) => vec![not_validated],
    }
}

const GENERATED_SHOWN: &str = "what is generated is a secret of its machine: set `secret: true` as well";

const SECRET_DEFAULT: &str =
    "a secret param cannot have a default, which would be stored in the clear: set the value in a profile";
