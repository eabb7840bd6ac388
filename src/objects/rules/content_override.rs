//! Rules for overrides: of one object, and no two of the same part of it.

use serde_json::Value;

use crate::catalog::layers::OVERRIDES_MAX;
use crate::model::bounds::escape;
use crate::model::{Kind, Override, OverrideKind, Param, Problem, RefusalCode, SITE, Stored, World};
use crate::objects::rules::{NounRules, ProposedWrite, RuleConflict};

impl NounRules for Override {
    fn as_override(stored: &Stored<Self>) -> Option<&Stored<Override>> {
        Some(stored)
    }

    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let mut problems = Vec::new();
        if change.old.is_some_and(|old| old.spec.target != self.target) {
            let what = "an override stays with its object: make another one";
            problems.push(Problem::new("/target", what).coded(RefusalCode::ReadOnly));
        }
        if change.old.is_none() && change.world.count::<Override>() >= OVERRIDES_MAX {
            let what = format!("there are {OVERRIDES_MAX} overrides already");
            problems.push(Problem::new("", what).coded(RefusalCode::TooLarge));
        }
        problems.extend(secrets(self, change));
        problems
    }

    /// Two overrides of one part would hide each other.
    fn conflict(&self, change: &ProposedWrite<'_, Self>) -> Option<RuleConflict> {
        let (kind, name) = (self.target.kind.kind(), &self.target.name);
        let others = change.world.specs::<Override>();
        let mut others = others.filter(|row| row.key != change.key && row.spec.is_of(kind, name));
        others.find_map(|other| {
            let part = self.shared_part(&other.spec)?;
            let what = part.trim_start_matches('/').replacen('/', " ", 1);
            let why = format!(
                "override `{}` sets {what} of {kind} `{name}` already: change that one, or take it out there",
                other.key
            );
            Some(RuleConflict::with(RefusalCode::Overlaps, other, why))
        })
    }

    /// An object of the site is in force whole.
    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let (kind, name) = (stored.spec.target.kind.kind(), &stored.spec.target.name);
        world
            .object(kind, name)
            .is_some_and(|row| row.source() == SITE)
            .then(|| {
                let what = format!(
                    "{kind} `{name}` is an object of the site and in force whole: while it is there, this \
                     override changes nothing"
                );
                Problem::new("/target/name", what).coded(RefusalCode::Hidden)
            })
            .into_iter()
            .collect()
    }
}

/// Values of secret params: they would be stored in the clear.
fn secrets(of: &Override, change: &ProposedWrite<'_, Override>) -> Vec<Problem> {
    let params = of.fields.get("params").and_then(Value::as_object);
    let set = params.into_iter().flatten().filter(|(_, value)| !value.is_null());
    let secret =
        set.filter(|(name, _)| change.world.get::<Param>(name).is_some_and(|param| param.spec.secret));
    let what = "the param is secret, and an override is stored in the clear: set the value in a profile";
    let told = secret.map(|(name, _)| {
        Problem::new(format!("/fields/params/{}", escape(name)), what).coded(RefusalCode::NotAdmitted)
    });
    told.collect()
}

/// The command that makes an override, for who wants to change an object of a pack.
pub fn way_out(kind: Kind, name: &str) -> String {
    match OverrideKind::of(kind) {
        Some(OverrideKind::Template) => format!(
            "metalwright overrides create name=NAME target.kind=template target.name={name} blocks.BLOCK=TEXT"
        ),
        Some(_) => format!(
            "metalwright overrides create name=NAME target.kind={kind} target.name={name} fields.FIELD=VALUE"
        ),
        None => format!("metalwright {} show {name} -o yaml, changed and applied again", kind.plural()),
    }
}
