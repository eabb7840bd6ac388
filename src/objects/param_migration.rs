//! Rewrites stored values of params that have a newer name: `install_disk: PATH` becomes `disk: {path: …}`. A
//! dry run says what would be written. Each object is a write of its own, with its event.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::kernel::{Caller, Error};
use crate::model::disk_rule::{DISK, DiskRule, INSTALL_DISK};
use crate::model::{Kind, Machine, Profile, SITE, Stage, Stored, World};
use crate::objects::Objects;
use crate::objects::patch::Patch;
use crate::objects::rules::{self, NounRules};
use crate::objects::write::{ExpectedRevision, WriteTarget};

/// Most objects that one call rewrites, and most that a dry run lists; the next call continues.
const REWRITTEN_MAX: usize = 100;
const LISTED_MAX: usize = 1000;

/// Whether the values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationMode {
    DryRun,
    Write,
}

/// What was rewritten, or would be.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ParamMigration {
    pub dry_run: bool,
    pub items: Vec<RewrittenParam>,
    /// Whether these are all; otherwise ask again.
    pub complete: bool,
}

/// A value of an object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RewrittenParam {
    pub kind: Kind,
    /// The key of the object: for a machine its id.
    pub key: String,
    /// The name that people use.
    pub name: String,
    /// The param and its value before.
    pub from: Value,
    /// The param and its value afterwards.
    pub to: Value,
    /// Why the value stays as it is; absent if it was written, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    #[serde(skip)]
    revision: u64,
}

impl Objects {
    /// Rewrites the values of all machines, profiles and stages that the caller may read. An object that
    /// cannot be written has the reason in the report.
    ///
    /// # Errors
    /// The store is closed. What was written before stays.
    pub async fn migrate_params(
        &self,
        caller: &Caller,
        mode: MigrationMode,
    ) -> Result<ParamMigration, Error> {
        let mut items = self.kernel.read(|world| older_values(caller, world));
        // What cannot be written does not keep the rest from its turn.
        items.sort_by_key(|item| item.fault.is_some());
        let most = if mode == MigrationMode::Write { REWRITTEN_MAX } else { LISTED_MAX };
        let complete = items.len() <= most;
        items.truncate(most);
        for item in items.iter_mut().filter(|item| mode == MigrationMode::Write && item.fault.is_none()) {
            match self.rewrite_param(caller, item).await {
                Ok(()) => {}
                Err(error @ Error::Failed(_)) => return Err(error),
                Err(refused) => item.fault = Some(refused.to_string()),
            }
        }
        Ok(ParamMigration { dry_run: mode == MigrationMode::DryRun, items, complete })
    }

    async fn rewrite_param(&self, caller: &Caller, item: &RewrittenParam) -> Result<(), Error> {
        let expected = ExpectedRevision::OneOf(vec![item.revision]);
        let target = WriteTarget { reference: &item.key, expected };
        let patch = Patch::Merge(json!({"params": {INSTALL_DISK: null, DISK: item.to.get(DISK)}}));
        match item.kind {
            Kind::Machine => self.patch::<Machine>(caller, &target, &patch).await?,
            Kind::Profile => self.patch::<Profile>(caller, &target, &patch).await?,
            _ => self.patch::<Stage>(caller, &target, &patch).await?,
        };
        Ok(())
    }
}

fn older_values(caller: &Caller, world: &World) -> Vec<RewrittenParam> {
    let [is_ours, is_free] =
        [INSTALL_DISK, DISK].map(|name| world.params.get(name).is_some_and(|param| param.source != SITE));
    if !is_ours {
        return Vec::new();
    }
    let machines = world.machines.iter().filter_map(|row| older_value(caller, row));
    let profiles = world.profiles.iter().filter_map(|row| older_value(caller, row));
    let stages = world.stages.iter().filter_map(|row| older_value(caller, row));
    let mut found: Vec<RewrittenParam> = machines.chain(profiles).chain(stages).collect();
    for item in found.iter_mut().filter(|_| !is_free) {
        item.fault = Some(format!("the site has declared a param `{DISK}` of its own"));
    }
    found
}

fn older_value<T: NounRules>(caller: &Caller, stored: &Arc<Stored<T>>) -> Option<RewrittenParam> {
    let params = stored.spec.params()?;
    let value = params.get(INSTALL_DISK)?;
    if !caller.may(AccessVerb::Read, ObjectRef::of(stored)) {
        return None;
    }
    let to = json!({DISK: {"path": value}});
    Some(RewrittenParam {
        kind: T::KIND,
        key: stored.key.clone(),
        name: T::label(stored),
        from: json!({INSTALL_DISK: value}),
        fault: fault_of(stored, value, &to),
        to,
        revision: stored.revision,
    })
}

fn fault_of<T: NounRules>(stored: &Stored<T>, value: &Value, to: &Value) -> Option<String> {
    let mut next = stored.clone();
    let params = next.spec.params_mut()?;
    if params.contains_key(DISK) {
        return Some(format!("it sets `{DISK}` as well: unset one of them"));
    }
    params.remove(INSTALL_DISK);
    params.insert(DISK.to_owned(), to.get(DISK).cloned().unwrap_or_default());
    let of_value = DiskRule::from_path(value).err();
    of_value.or_else(|| rules::may_change(stored, &next).err().map(|refused| refused.to_string()))
}
