//! Rules for client classes: options that can be sent, and templates that can be parsed.

use std::sync::Arc;

use crate::kernel::{ServerEndpoints, TrackedWorld};
use crate::model::{ClientClass, Problem, RefusalCode, Stored, is_template};
use crate::netboot::decide::decision::HTTPS_IS_OFF;
use crate::objects::rules::{NounRules, ProposedWrite, WriteCheck};

/// Most classes: each packet is compared with all of them.
const CLASSES_MAX: usize = 500;

impl NounRules for ClientClass {
    fn write_checks(
        next: &Arc<Stored<Self>>,
        _old: Option<&Arc<Stored<Self>>>,
        _world: &TrackedWorld<'_>,
    ) -> Vec<WriteCheck> {
        let next = Arc::clone(next);
        vec![Box::new(move |_| {
            let mut problems = super::options::faults(&next.spec.options, "/options");
            let template = next.spec.boot_file.as_deref().filter(|file| is_template(file));
            let fault = template.and_then(super::options::template_fault);
            problems
                .extend(fault.map(|fault| Problem::new("/boot_file", fault).coded(RefusalCode::Template)));
            problems
        })]
    }

    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let is_full = change.old.is_none() && change.world.count::<ClientClass>() >= CLASSES_MAX;
        is_full
            .then(|| {
                Problem::new("", format!("there are {CLASSES_MAX} client classes already"))
                    .coded(RefusalCode::TooLarge)
            })
            .into_iter()
            .collect()
    }

    fn unserved(stored: &Stored<Self>, endpoints: &ServerEndpoints) -> Vec<Problem> {
        let lacks = stored.spec.https == Some(true) && endpoints.boot_https_port.is_none();
        lacks
            .then(|| Problem::new("/https", HTTPS_IS_OFF).coded(RefusalCode::NotAdmitted))
            .into_iter()
            .collect()
    }
}
