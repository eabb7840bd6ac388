//! Views: an object as readers see it, with its fields and problems, secrets sealed and internal fields left
//! out. Events carry the same, but never the whole of a long text.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::kernel::{Kernel, TrackedWorld, secrets};
use crate::model::bounds::{self, DEPTH_MAX};
use crate::model::event::{ObjectDiff, ObjectSnapshot};
use crate::model::{
    EventBody, HasTable, Problem, READ_ONLY_FIELDS, ReadPosition, RefusalCode, Stored, Table, World,
    sha256_hex,
};
use crate::objects::problem_cache::{ProblemBasis, ProblemCache};
use crate::objects::rules::{self, NounRules, RuleCheck};
use crate::objects::work_size::WorkSize;

/// Longest text that an event carries in full, in bytes.
const EVENT_TEXT_BYTES_MAX: usize = 4096;

/// A view of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectView {
    pub key: String,
    pub revision: u64,
    /// The commit that the world showed when the object was read.
    pub read_at: ReadPosition,
    pub body: Value,
}

/// An object with everything that its view needs of the world, so that the lock can be released.
pub struct ViewSubject<T: NounRules> {
    stored: Arc<Stored<T>>,
    read_at: ReadPosition,
    /// Problems that hold at this moment.
    present: Vec<Problem>,
    /// Those that were found before, and hold still.
    known: Option<Arc<[Problem]>>,
    search: Option<ProblemSearch>,
    basis: Option<ProblemBasis>,
    cache: Arc<ProblemCache>,
}

/// Finds the problems that last until something is written.
struct ProblemSearch {
    /// Those that were seen in the world.
    seen: Vec<Problem>,
    /// What finds the others.
    checks: Vec<RuleCheck>,
    size: WorkSize,
}

impl ProblemSearch {
    fn run(self) -> Vec<Problem> {
        self.seen.into_iter().chain(self.checks.into_iter().flat_map(|check| check())).collect()
    }
}

impl<T: NounRules> ViewSubject<T>
where
    World: HasTable<T>,
{
    pub fn of(
        (world, kernel): (&World, &Kernel),
        stored: &Arc<Stored<T>>,
        cache: &Arc<ProblemCache>,
    ) -> Self {
        let basis = ProblemBasis::of(stored, world);
        let known = cache.get(stored, basis);
        // In debug builds what is known is held against what there is.
        let search = (known.is_none() || cfg!(debug_assertions)).then(|| ProblemSearch {
            seen: rules::problems((world, &kernel.endpoints), stored),
            checks: rules::read_checks(stored, world)
                .into_iter()
                .chain(rules::params::shut_check(stored, &kernel.secrets))
                .collect(),
            size: WorkSize::of_checks(stored, &TrackedWorld::untracked(world)),
        });
        let (present, read_at) = (T::problems_now(stored, world), read_position(world, stored));
        ViewSubject {
            stored: Arc::clone(stored),
            read_at,
            present,
            known,
            search,
            basis,
            cache: Arc::clone(cache),
        }
    }

    /// How much work the view makes.
    pub fn size(&self) -> WorkSize {
        self.search.as_ref().map_or_else(|| WorkSize::of_view(&self.stored), |search| search.size)
    }

    /// Builds the view, with the problems that the object has in that world and on this server. Unless its
    /// size is small the writer of the object determines the cost: call it neither on a thread that packets
    /// wait for nor while the world is locked.
    pub fn view(self) -> ObjectView {
        let ViewSubject { stored, read_at, present, known, search, basis, cache } = self;
        let found = search.map(ProblemSearch::run);
        if let (Some(known), Some(found)) = (&known, &found) {
            debug_assert_eq!(&**known, found, "problems of {} are kept that do not hold", stored.subject());
        }
        let lasting = known.unwrap_or_else(|| cache.keep(&stored, (basis, found.unwrap_or_default())));
        let problems: Vec<Problem> = present.into_iter().chain(lasting.iter().cloned()).collect();
        let mut body = with_defaults(&stored, shown::<T>(stored.view(&problems)));
        add_broken_bounds::<T>(&mut body);
        ObjectView { key: stored.key.clone(), revision: stored.revision, read_at, body }
    }
}

/// The position of the reader of an object: everything that the world shows, unless the object was written
/// again after it was copied out of the world.
fn read_position<T: NounRules>(world: &World, stored: &Stored<T>) -> ReadPosition
where
    World: HasTable<T>,
{
    let (position, commit) = (world.commits.position(), stored.commit.get());
    let table: &Table<T> = world.table();
    let present = table.get(&stored.key).map(|row| row.commit.get());
    if present == Some(commit) { position } else { ReadPosition { commit, ..position } }
}

/// Adds a problem for each bound that the object breaks, because it is older than the bound. Values that are
/// nested too deep for readers are left out.
fn add_broken_bounds<T: NounRules>(body: &mut Value) {
    let Some(fields) = body.as_object_mut() else { return };
    let broken = bounds::faults(fields, T::BYTES_MAX);
    if broken.is_empty() {
        return;
    }
    fields.values_mut().for_each(|value| cut(value, DEPTH_MAX));
    if let Some(Value::Array(problems)) = fields.get_mut("problems") {
        problems.extend(broken.iter().map(|problem| json!(problem)));
    }
}

/// Removes values that are nested deeper than so many levels.
fn cut(value: &mut Value, levels: usize) {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => *value = Value::from(TOO_DEEP),
        Value::Array(items) => items.iter_mut().for_each(|item| cut(item, levels - 1)),
        Value::Object(fields) => fields.values_mut().for_each(|field| cut(field, levels - 1)),
        _ => {}
    }
}

/// Replaces a value that is nested too deep for readers.
const TOO_DEEP: &str = "(left out: nested too deep)";

/// The view of an object, without the problems that depend on other objects.
pub fn without_problems<T: NounRules>(stored: &Stored<T>) -> Value {
    with_defaults(stored, plain(stored))
}

fn with_defaults<T: NounRules>(stored: &Stored<T>, mut view: Value) -> Value {
    if let Some(fields) = view.as_object_mut() {
        stored.spec.show_defaults(fields);
    }
    view
}

/// The writer's fields alone: the document that a patch is applied to.
pub fn plain<T: NounRules>(stored: &Stored<T>) -> Value {
    shown::<T>(stored.view(&[]))
}

fn shown<T: NounRules>(mut view: Value) -> Value {
    if let Some(fields) = view.as_object_mut() {
        for hidden in T::HIDDEN {
            fields.remove(*hidden);
        }
        if let Some(params) = fields.get_mut("params").and_then(Value::as_object_mut) {
            secrets::mask(params);
        }
    }
    if !T::SECRETS.is_empty() {
        secrets::mask_fields(&mut view, T::SECRETS);
    }
    view
}

/// The faults of a patch that changes fields that the server sets.
pub fn read_only_changes(before: &Value, after: &Value) -> Vec<Problem> {
    let changed = READ_ONLY_FIELDS.iter().filter(|field| before.get(field) != after.get(field));
    changed
        .map(|field| {
            Problem::new(format!("/{field}"), format!("`{field}` is read-only")).coded(RefusalCode::ReadOnly)
        })
        .collect()
}

/// A `created` event.
pub fn created<T: NounRules>(stored: &Stored<T>) -> EventBody {
    EventBody::Created(T::KIND, snapshot(stored))
}

/// An `updated` event.
pub fn updated<T: NounRules>(old: &Stored<T>, new: &Stored<T>) -> EventBody {
    let diff = json_patch::diff(&written(old), &written(new));
    let diff = abridged(serde_json::to_value(&diff).unwrap_or_default());
    let secrets = resealed(old, new).into_iter().map(str::to_owned).collect();
    EventBody::Updated(T::KIND, ObjectDiff { name: T::label(new), revision: new.revision, diff, secrets })
}

/// Names of secret params whose value changed: the diff cannot show them.
fn resealed<'a, T: NounRules>(old: &Stored<T>, new: &'a Stored<T>) -> Vec<&'a str> {
    let (Some(before), Some(after)) = (old.spec.params(), new.spec.params()) else { return Vec::new() };
    let changed = after.iter().filter(|(param, value)| {
        secrets::is_sealed(value) && before.get(*param).is_some_and(|before| before != *value)
    });
    changed.map(|(param, _)| param.as_str()).collect()
}

/// A `deleted` event.
pub fn deleted<T: NounRules>(stored: &Stored<T>) -> EventBody {
    EventBody::Deleted(T::KIND, snapshot(stored))
}

/// The snapshot of an object for events.
pub fn snapshot<T: NounRules>(stored: &Stored<T>) -> ObjectSnapshot {
    let object = abridged(written(stored));
    ObjectSnapshot { name: T::label(stored), revision: stored.revision, object }
}

/// The writer's fields, and the status.
fn written<T: NounRules>(stored: &Stored<T>) -> Value {
    let mut view = plain(stored);
    cut(&mut view, DEPTH_MAX);
    if let Some(fields) = view.as_object_mut() {
        fields.retain(|field, _| field == "status" || !READ_ONLY_FIELDS.contains(&field.as_str()));
    }
    view
}

/// Replaces long texts by their digest and length.
fn abridged(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > EVENT_TEXT_BYTES_MAX => {
            json!({"sha256": sha256_hex(&text), "bytes": text.len()})
        }
        Value::Array(items) => items.into_iter().map(abridged).collect(),
        Value::Object(fields) => {
            let fields: Map<String, Value> =
                fields.into_iter().map(|(name, value)| (name, abridged(value))).collect();
            Value::Object(fields)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_carries_the_digest_of_a_long_text() {
        let data = abridged(json!({"body": "x".repeat(5000), "name": "a"}));
        assert_eq!(data["name"], "a");
        assert_eq!(data["body"]["bytes"], 5000);
        assert_eq!(data["body"]["sha256"].as_str().unwrap().len(), 64);
    }
}
