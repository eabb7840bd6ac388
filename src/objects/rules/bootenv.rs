//! Rules for bootenvs: what makes them bootable.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::catalog::artifact_faults::artifact_fault;
use crate::kernel::TrackedWorld;
use crate::model::{Bootenv, BootenvKind, Problem, RefusalCode, Stored, World};
use crate::objects::rules::{DependentObject, NounRules, ProposedWrite, in_use};

impl NounRules for Bootenv {
    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::of_bootenv(stored, world)
    }

    fn show_defaults(&self, fields: &mut Map<String, Value>) {
        fields.insert("destructive".to_owned(), self.is_destructive().into());
    }

    /// One that was stored without a reason may stay, and has a problem.
    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let is_news = change.old.is_none_or(|old| !lacks_reason(&old.spec));
        if is_news { unexplained(self).into_iter().collect() } else { Vec::new() }
    }

    fn problems(stored: &Stored<Self>, _world: &World) -> Vec<Problem> {
        unexplained(&stored.spec).into_iter().collect()
    }

    fn required_params(&self) -> &[String] {
        &self.required_params
    }

    fn problems_now(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (arch, files) in &stored.spec.arches {
            let pointer = format!("/arches/{arch}/artifact");
            problems.extend(artifact_fault(world, files).map(|what| Problem::new(pointer, what)));
        }
        problems
    }
}

/// Whether it installs unarmed and nobody says why that destroys nothing.
fn lacks_reason(bootenv: &Bootenv) -> bool {
    let is_harmless = bootenv.kind == BootenvKind::Install && !bootenv.is_destructive();
    is_harmless && bootenv.not_destructive_reason.trim().is_empty()
}

/// An installer that is not armed for, and nothing that says why.
fn unexplained(bootenv: &Bootenv) -> Option<Problem> {
    lacks_reason(bootenv).then(|| {
        let what = "an `install` bootenv that is not destructive boots whenever a run is at it, unarmed: say \
                    here why it erases no disk, or leave `destructive` out";
        Problem::new("/not_destructive_reason", what).coded(RefusalCode::Missing)
    })
}
