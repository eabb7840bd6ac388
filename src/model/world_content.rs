//! The part of the world that runs are made from, as a copy for work without the lock.

use super::{Kind, Machine, World, settings};

/// What runs are made from, besides their machines.
const CONTENT_KINDS: [Kind; 12] = [
    Kind::Workflow,
    Kind::Stage,
    Kind::Bootenv,
    Kind::Task,
    Kind::Template,
    Kind::Param,
    Kind::Profile,
    Kind::Setting,
    Kind::Artifact,
    Kind::Override,
    Kind::ClientClass,
    Kind::Channel,
];

impl World {
    /// Brings a copy of the content up to date, for work that is done without the world's lock. The copy has
    /// the tables of the kinds above; its other tables stay as they are.
    pub fn follow_content(&mut self, world: &World) {
        CONTENT_KINDS.into_iter().for_each(|kind| self.follow(kind, world));
    }

    /// The generations of the tables of [`World::follow_content`].
    pub fn content_generations(&self) -> [u64; CONTENT_KINDS.len()] {
        CONTENT_KINDS.map(|kind| self.generation(kind))
    }

    /// The generations of their specs, with the kinds.
    pub fn content_spec_generations(&self) -> [(Kind, u64); CONTENT_KINDS.len()] {
        CONTENT_KINDS.map(|kind| (kind, self.spec_generation(kind)))
    }

    /// The value of a setting: the site's value, or the default.
    pub fn setting(&self, name: &str) -> serde_json::Value {
        if let Some(set) = self.settings.get(name) {
            return set.spec.value.clone();
        }
        settings::default(name)
    }

    /// The workflow that a machine starts where none is named: its own, or the setting `default_workflow`.
    pub fn workflow_of(&self, machine: &Machine) -> Option<String> {
        machine.workflow.clone().or_else(|| self.setting("default_workflow").as_str().map(str::to_owned))
    }
}
