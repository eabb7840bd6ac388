//! Rules for values of params, on machines, in profiles and in stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::kernel::TrackedWorld;
use crate::kernel::secrets::{self, SecretKey, SecretPlace};
use crate::model::bounds::escape;
use crate::model::disk_rule::{DISK, DiskRule, INSTALL_DISK};
use crate::model::{
    Bootenv, DeclaredSchema, GeneratedSecret, Machine, PUBLIC_HALF, Param, Problem, Profile, RefusalCode,
    SITE, SecretReference, SecretSources, Stage, Stored, Table, Task, World, nearest,
};
use crate::objects::rules::{DependentObject, NounRules, RuleCheck, WriteCheck};

type ParamMap = BTreeMap<String, Value>;
type DeclaredParams = BTreeMap<String, Arc<Stored<Param>>>;

/// Most undeclared params for which a similar name is searched: the work grows with the number of params.
const HINTS_MAX: usize = 8;
/// Most params among which a similar name is searched.
const KNOWN_MAX: usize = 4096;
/// Most problems of values that are listed for one object.
const PROBLEMS_MAX: usize = 64;

/// Finds values that their declared schema does not allow, and `{"sealed": true}` without a stored value.
pub fn write_check<T: NounRules>(
    next: &Arc<Stored<T>>,
    old: Option<&Arc<Stored<T>>>,
    world: &TrackedWorld<'_>,
) -> Option<WriteCheck> {
    let declared = declared(next.spec.params()?, world);
    let (next, old) = (Arc::clone(next), old.cloned());
    Some(Box::new(move |_| {
        let old = old.as_ref().and_then(|old| old.spec.params());
        let values = next.spec.params().into_iter().flatten();
        values
            .flat_map(|(name, value)| refused(old.and_then(|old| old.get(name)), (name, value), &declared))
            .take(PROBLEMS_MAX)
            .collect()
    }))
}

/// Refuses a value that cannot be validated, because its schema or the work breaks a bound, unless the same
/// value is stored already. No unchecked value is accepted, and stored values do not prevent other changes.
fn refused(old: Option<&Value>, (name, value): (&String, &Value), declared: &DeclaredParams) -> Vec<Problem> {
    let pointer = pointer(name);
    if secrets::looks_sealed(value) {
        let keeps = secrets::means_stored(value) && old.is_some_and(secrets::is_sealed);
        return if keeps {
            Vec::new()
        } else {
            vec![Problem::new(pointer, NOT_KEPT).coded(RefusalCode::Missing)]
        };
    }
    let Some(declared) = declared.get(name) else { return Vec::new() };
    if declared.spec.secret && secrets::keeps_members(value) {
        return vec![Problem::new(pointer, MEMBER_NOT_KEPT).coded(RefusalCode::Missing)];
    }
    match validate(&declared.spec, value, &pointer) {
        Ok(problems) => problems,
        Err(_) if old == Some(value) => Vec::new(),
        Err(not_validated) => vec![not_validated],
    }
}

/// The faults of a value under the declaration; those of a secret one do not quote it. What a reference to a
/// secret outside names is validated when it is read.
fn validate(declared: &Param, value: &Value, pointer: &str) -> Result<Vec<Problem>, Problem> {
    if let (true, Some(reference)) = (declared.secret, SecretReference::of(value)) {
        let malformed = reference.err().map(|why| Problem::new(pointer, why).coded(RefusalCode::Malformed));
        return Ok(malformed.into_iter().collect());
    }
    let schema = DeclaredSchema::of(&declared.schema);
    if declared.secret { schema.validate_secret(value, pointer) } else { schema.validate(value, pointer) }
}

/// The declarations of those values that have one.
fn declared(values: &ParamMap, world: &TrackedWorld<'_>) -> DeclaredParams {
    values
        .keys()
        .filter_map(|name: &String| Some((name.clone(), Arc::clone(world.get::<Param>(name)?))))
        .collect()
}

const NOT_KEPT: &str =
    "`{\"sealed\": true}` keeps the stored value, but there is none: give the value itself";

const MEMBER_NOT_KEPT: &str =
    "`{\"sealed\": true}` keeps the stored member of a secret map, but there is none: give the value itself";

/// References to secrets outside that the configuration of this server does not allow.
pub fn outside_faults<T: NounRules>(
    spec: &T,
    world: &TrackedWorld<'_>,
    sources: &SecretSources,
) -> Vec<Problem> {
    let named = spec.params().into_iter().flatten().filter(|(_, value)| SecretReference::is_one(value));
    named
        .filter(|(name, _)| world.get::<Param>(name).is_some_and(|param| param.spec.secret))
        .filter_map(|(name, value)| {
            let why = sources.admit(&SecretReference::of(value)?.ok()?).err()?;
            Some(Problem::new(pointer(name), why).coded(RefusalCode::NotAdmitted))
        })
        .take(PROBLEMS_MAX)
        .collect()
}

/// Finds values that their declaration no longer allows.
pub fn read_check<T: NounRules>(stored: &Arc<Stored<T>>, world: &World) -> Option<RuleCheck> {
    let declared = declared(stored.spec.params()?, &TrackedWorld::untracked(world));
    let stored = Arc::clone(stored);
    (!declared.is_empty()).then(|| -> RuleCheck {
        Box::new(move || {
            let values = stored.spec.params().into_iter().flatten();
            values
                .flat_map(|(name, value): (&String, &Value)| match declared.get(name) {
                    Some(declared) if !secrets::is_sealed(value) => {
                        validate(&declared.spec, value, &pointer(name))
                            .unwrap_or_else(|not_validated| vec![not_validated])
                    }
                    _ => Vec::new(),
                })
                .take(PROBLEMS_MAX)
                .collect()
        })
    })
}

/// Finds sealed values that do not open: they were sealed with another key than the server has now.
pub fn shut_check<T: NounRules>(stored: &Arc<Stored<T>>, key: &SecretKey) -> Option<RuleCheck> {
    stored.spec.params()?.values().any(secrets::is_sealed).then_some(())?;
    let (stored, key) = (Arc::clone(stored), key.clone());
    Some(Box::new(move || {
        let values = stored.spec.params().into_iter().flatten();
        let shut = values.filter(|(param, value): &(&String, &Value)| {
            let place = SecretPlace { kind: T::KIND, key: &stored.key, pointer: &pointer(param) };
            secrets::is_sealed(value) && key.open(place, value).is_err()
        });
        shut.take(PROBLEMS_MAX).map(|(param, _)| Problem::new(pointer(param), SHUT)).collect()
    }))
}

const SHUT: &str = "this secret value does not open with the server's secret.key: restore the key that it \
                    was sealed with, or set the value anew";

/// Finds params that an object sets or requires and that are not declared. The search for the nearest
/// declared name runs without the lock of the world, because it takes long if there are many long names.
pub fn undeclared<T: NounRules>(stored: &Stored<T>, world: &World) -> Option<RuleCheck> {
    let set = stored.spec.params().into_iter().flat_map(BTreeMap::keys).map(|name| (pointer(name), name));
    let required = stored.spec.required_params().iter().enumerate();
    let required = required.map(|(i, name)| (format!("/required_params/{i}"), name));
    let unknown = set
        .chain(required)
        .filter(|(_, name)| world.params.get(name).is_none() && !is_public_half(name, &world.params));
    let unknown: Vec<(String, String)> =
        unknown.take(PROBLEMS_MAX).map(|(pointer, name)| (pointer, name.clone())).collect();
    if unknown.is_empty() {
        return None;
    }
    let known: Vec<Arc<Stored<Param>>> = world.params.iter().take(KNOWN_MAX).map(Arc::clone).collect();
    Some(Box::new(move || {
        unknown
            .into_iter()
            .enumerate()
            .map(move |(n, (pointer, name)): (usize, (String, String))| {
                let known = known.iter().map(|param| param.key.as_str());
                let near = nearest(&name, known.take(if n < HINTS_MAX { KNOWN_MAX } else { 0 }));
                let meant = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                Problem::new(pointer, format!("there is no param `{name}`{meant}"))
                    .coded(RefusalCode::NotFound)
            })
            .collect()
    }))
}

/// Whether the server makes the param together with a secret one.
fn is_public_half(name: &str, declared: &Table<Param>) -> bool {
    let pair = name.strip_suffix(PUBLIC_HALF).and_then(|pair| declared.get(pair)?.spec.generate);
    pair.is_some_and(GeneratedSecret::has_public_half)
}

/// Finds params with an older name, and a rule for disks that cannot be carried out. Params that the site has
/// declared itself may mean something else.
pub fn disk_check<T: NounRules>(stored: &Stored<T>, world: &World) -> Option<RuleCheck> {
    let params = stored.spec.params()?;
    let [path, rule] = [INSTALL_DISK, DISK].map(|name| {
        let declared = world.params.get(name).filter(|param| param.source != SITE);
        declared.and_then(|_| params.get(name)).cloned()
    });
    (path.is_some() || rule.is_some()).then(|| -> RuleCheck { Box::new(move || disk_problems(path, rule)) })
}

fn disk_problems(path: Option<Value>, rule: Option<Value>) -> Vec<Problem> {
    let older = path.map(|path| match &rule {
        Some(_) => {
            let what = format!("`{DISK}` is set as well, so neither counts: unset `{INSTALL_DISK}`");
            Problem::new(pointer(INSTALL_DISK), what).coded(RefusalCode::Exclusive)
        }
        None => Problem::new(pointer(INSTALL_DISK), renamed(&path)).coded(RefusalCode::Renamed),
    });
    let fault = rule.and_then(|rule| DiskRule::deserialize(rule).ok()?.fault());
    older.into_iter().chain(fault.map(|what| Problem::new(pointer(DISK), what))).collect()
}

fn renamed(path: &Value) -> String {
    let path = path.as_str().unwrap_or_default();
    format!("write it as `{DISK}: {{path: {path}}}`; `metalwright params migrate` does so. It still counts")
}

fn pointer(name: &str) -> String {
    format!("/params/{}", escape(name))
}

/// Machines, profiles and stages that have a value for a param.
pub fn holders(world: &TrackedWorld<'_>, param: &str) -> Vec<DependentObject> {
    let machines = world.specs::<Machine>().filter(|row| row.spec.params.contains_key(param));
    let profiles = world.specs::<Profile>().filter(|row| row.spec.params.contains_key(param));
    let stages = world.specs::<Stage>().filter(|row| row.spec.params.contains_key(param));
    let machines = machines
        .map(|row| DependentObject::of(row.as_ref()))
        .chain(profiles.map(|row| DependentObject::of(row.as_ref())));
    machines.chain(stages.map(|row| DependentObject::of(row.as_ref()))).collect()
}

/// Bootenvs, stages and tasks that require a param.
pub fn requirers(world: &TrackedWorld<'_>, param: &str) -> Vec<DependentObject> {
    let bootenvs = world.specs::<Bootenv>().filter(|row| is_required(param, &row.spec.required_params));
    let stages = world.specs::<Stage>().filter(|row| is_required(param, &row.spec.required_params));
    let tasks = world.specs::<Task>().filter(|row| is_required(param, &row.spec.required_params));
    let bootenvs = bootenvs
        .map(|row| DependentObject::of(row.as_ref()))
        .chain(stages.map(|row| DependentObject::of(row.as_ref())));
    bootenvs.chain(tasks.map(|row| DependentObject::of(row.as_ref()))).collect()
}

fn is_required(param: &str, required: &[String]) -> bool {
    required.iter().any(|name| name == param)
}
