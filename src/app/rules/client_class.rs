//! Client classes: options that can be sent, and templates that can be read.

use super::{Change, Managed};
use crate::app::Endpoints;
use crate::boot::decide::HTTPS_IS_OFF;
use crate::model::{ClientClass, Problem, is_template};

/// Most classes: each packet is held against all of them.
const CLASSES_MAX: usize = 500;

impl Managed for ClientClass {
    fn refused(&self, change: &Change<'_, Self>) -> Vec<Problem> {
        let mut problems = super::options::faults(&self.options, "/options");
        let template = self.boot_file.as_deref().filter(|file| is_template(file));
        let fault = template.and_then(super::options::template_fault);
        problems.extend(fault.map(|fault| Problem::new("/boot_file", fault)));
        if change.old.is_none() && change.world.count::<ClientClass>() >= CLASSES_MAX {
            problems.push(Problem::new("", format!("there are {CLASSES_MAX} client classes already")));
        }
        problems
    }

    fn unserved(&self, endpoints: &Endpoints) -> Vec<Problem> {
        let lacks = self.https == Some(true) && endpoints.boot_https_port.is_none();
        lacks.then(|| Problem::new("/https", HTTPS_IS_OFF)).into_iter().collect()
    }
}
