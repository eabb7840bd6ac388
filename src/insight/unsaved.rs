//! Content that is sent with a request and is not saved: a preview takes it in place of what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::{
    Bootenv, Kind, Machine, Noun, Object, Param, Problem, Profile, RefusalCode, Stage, Stored, Template,
    World,
};

/// Most objects of one request.
const UNSAVED_MAX: usize = 64;
/// The `source` of an object that is not saved.
const UNSAVED: &str = "not saved";

/// Objects that take the place of those of their names. Each kind needs the scope to write it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UnsavedContent {
    pub templates: Vec<Template>,
    pub params: Vec<Param>,
    pub profiles: Vec<Profile>,
    pub stages: Vec<Stage>,
    pub bootenvs: Vec<Bootenv>,
    /// Values of the machine's own params, in place of those that it has.
    pub values: BTreeMap<String, Value>,
}

impl UnsavedContent {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count() == 0 && self.values.is_empty()
    }

    fn count(&self) -> usize {
        let UnsavedContent { templates, params, profiles, stages, bootenvs, .. } = self;
        templates.len() + params.len() + profiles.len() + stages.len() + bootenvs.len()
    }

    /// Checks the caller's scopes and the objects themselves.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without a scope, [`Error::Invalid`] with every fault.
    pub fn check(&self, caller: &Caller) -> Result<(), Error> {
        let kinds = [
            (Kind::Template, self.templates.len()),
            (Kind::Param, self.params.len()),
            (Kind::Profile, self.profiles.len()),
            (Kind::Stage, self.stages.len()),
            (Kind::Bootenv, self.bootenvs.len()),
            (Kind::Machine, self.values.len()),
        ];
        for (kind, _) in kinds.into_iter().filter(|(_, count)| *count > 0) {
            caller.needs(RequiredScope::Write(kind.plural()))?;
        }
        if self.count() > UNSAVED_MAX {
            let what = format!("{} objects are not saved: a preview takes {UNSAVED_MAX}", self.count());
            return Err(Problem::new("/content", what).coded(RefusalCode::TooLarge).into());
        }
        let mut faults = faults_of(&self.templates);
        faults.extend(faults_of(&self.params));
        faults.extend(faults_of(&self.profiles));
        faults.extend(faults_of(&self.stages));
        faults.extend(faults_of(&self.bootenvs));
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }

    /// The content with these objects in it.
    pub fn over(&self, content: &World, caller: &Caller) -> World {
        let templates = self.templates.iter().filter_map(|spec| object(spec, caller));
        let params = self.params.iter().filter_map(|spec| object(spec, caller));
        let profiles = self.profiles.iter().filter_map(|spec| object(spec, caller));
        let stages = self.stages.iter().filter_map(|spec| object(spec, caller));
        let bootenvs = self.bootenvs.iter().filter_map(|spec| object(spec, caller));
        content.with_unsaved(templates.chain(params).chain(profiles).chain(stages).chain(bootenvs))
    }

    /// The machine with the values that are not saved.
    pub fn machine(&self, machine: Arc<Stored<Machine>>) -> Arc<Stored<Machine>> {
        if self.values.is_empty() {
            return machine;
        }
        let mut changed = Arc::unwrap_or_clone(machine);
        changed.spec.params.extend(self.values.clone());
        Arc::new(changed)
    }
}

fn object<T: Noun>(spec: &T, caller: &Caller) -> Option<Object> {
    let stored = Stored::new(spec.key()?, spec.clone(), caller.now);
    Some(T::object(Arc::new(Stored { source: UNSAVED.to_owned(), ..stored })))
}

/// What is wrong with the objects themselves, with pointers into the request.
fn faults_of<T: Noun>(specs: &[T]) -> Vec<Problem> {
    let faults = specs.iter().enumerate().flat_map(|(i, spec)| {
        let place = format!("/content/{}/{i}", T::KIND.plural());
        let faults = spec.check().into_iter();
        faults.map(move |fault| Problem { pointer: format!("{place}{}", fault.pointer), ..fault })
    });
    faults.collect()
}
