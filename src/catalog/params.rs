//! The values of params for a machine: the levels and their order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::kernel::secrets::{SecretKey, SecretPlace, covered, is_sealed, param_pointer};
use crate::model::{
    ContentView, GLOBAL_PROFILE, Kind, Machine, Profile, SecretReference, Stage, Stored, hex, public_half,
    sha256_hex,
};
use crate::render::{LayeredParams, ParamLayer, ParamLevel, ParamValues, SecretAccess};

/// Most profiles that are read for one machine.
const PROFILES_MAX: usize = 1024;

/// The layers of a machine, highest first: the machine, its profiles in order (each followed by its nested
/// profiles), its stage, the stage's profiles, the profile `global`, the declared defaults.
pub fn layers(content: ContentView<'_>, machine: Option<&Machine>, stage: Option<&Stage>) -> Vec<ParamLayer> {
    let set = levels(content, (machine, stage)).map(|(level, values)| layer(level, values));
    let mut layers: Vec<ParamLayer> = set.collect();
    let defaults = content.defaults().into_iter().map(|(name, default)| (name.to_owned(), default.clone()));
    layers.push(ParamLayer::new(ParamLevel::Default, defaults.collect::<ParamValues>()));
    layers
}

/// The layers with these params alone: other values are not copied.
pub fn layers_of(
    content: ContentView<'_>,
    (machine, stage): (Option<&Machine>, Option<&Stage>),
    names: &[&str],
) -> Vec<ParamLayer> {
    let mut layers = Vec::new();
    for (level, values) in levels(content, (machine, stage)) {
        let named = names.iter().filter_map(|name| values.get_key_value(*name));
        let named: ParamValues = named.map(|(name, value)| (name.clone(), value.clone())).collect();
        layers.extend((!named.is_empty()).then(|| ParamLayer::new(level, named)));
    }
    let defaults = content.defaults().into_iter().filter(|(name, _)| names.contains(name));
    let defaults = defaults.map(|(name, default)| (name.to_owned(), default.clone()));
    layers.push(ParamLayer::new(ParamLevel::Default, defaults.collect::<ParamValues>()));
    layers
}

/// The values of each level, highest first. The declared defaults do not count.
pub fn level_values<'a>(
    content: ContentView<'a>,
    subject: (Option<&'a Machine>, Option<&'a Stage>),
) -> Vec<&'a BTreeMap<String, Value>> {
    levels(content, subject).map(|(_, values)| values).collect()
}

/// The values of each level, highest first, without the declared defaults.
fn levels<'a>(
    content: ContentView<'a>,
    (machine, stage): (Option<&'a Machine>, Option<&'a Stage>),
) -> impl Iterator<Item = (ParamLevel, &'a BTreeMap<String, Value>)> {
    let profiles = move |names: &[String], level: fn(String) -> ParamLevel| {
        let expanded = expand(content, names).into_iter();
        expanded.map(move |profile| (level(profile.name.clone()), &profile.params))
    };
    let of_machine = machine.into_iter().flat_map(move |machine| {
        let (params, own_profiles) = content.values_of(machine);
        let of_profiles = profiles(own_profiles, ParamLevel::Profile);
        std::iter::once((ParamLevel::Machine, params)).chain(of_profiles)
    });
    let of_stage = stage.into_iter().flat_map(move |stage| {
        let of_profiles = profiles(&stage.profiles, ParamLevel::StageProfile);
        std::iter::once((ParamLevel::Stage(stage.name.clone()), &stage.params)).chain(of_profiles)
    });
    of_machine.chain(of_stage).chain(profiles(&[GLOBAL_PROFILE.to_owned()], |_| ParamLevel::Global))
}

/// The value that is set for a param, found without building [`layers`], because a boot asks for it with
/// every packet. The declared default does not count.
pub fn set_value<'a>(
    content: ContentView<'a>,
    (machine, stage): (Option<&'a Machine>, Option<&'a Stage>),
    name: &str,
) -> Option<&'a Value> {
    levels(content, (machine, stage)).find_map(|(_, values)| values.get(name))
}

/// The treatment of sealed values of secret params.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretMode {
    /// They are opened: the machine is armed for the document, or the job is running. References to secrets
    /// outside stay as they are, until [`Catalog::input`](crate::catalog::Catalog::input) has them read.
    Revealed,
    /// Those that are stored here are opened, for a check whose texts nobody sees. `(sealed)` stands for the
    /// others, which are not asked for.
    Rehearsed,
    /// They stay sealed; reading one is refused.
    Withheld,
    /// Each is replaced by `(sealed)`, for previews.
    Redacted,
}

/// The params of a machine, with sealed values opened or not.
///
/// # Errors
/// A value cannot be opened; the error names its level and param.
pub fn resolve(
    content: ContentView<'_>,
    of: ParamSubject<'_>,
    secrets: &SecretKey,
    mode: SecretMode,
) -> Result<LayeredParams, String> {
    let mut layers = layers(content, of.machine.map(|machine| &machine.spec), of.stage);
    let secret_names = self::secrets(content);
    let is_outside = |name: &str, value: &Value| {
        mode != SecretMode::Revealed && SecretReference::is_one(value) && secret_names.contains(name)
    };
    for layer in &mut layers {
        if layer.values.iter().any(|(name, value)| is_sealed(value) || is_outside(name, value)) {
            let values = layer.values.iter().map(|(name, value)| {
                let value = match mode {
                    _ if is_outside(name, value) => COVER.into(),
                    _ if !is_sealed(value) => value.clone(),
                    SecretMode::Revealed | SecretMode::Rehearsed => {
                        open(&layer.level, (name, value), (of, secrets))?
                    }
                    SecretMode::Withheld | SecretMode::Redacted => covered(value, COVER),
                };
                Ok((name.clone(), value))
            });
            let values: ParamValues = values.collect::<Result<_, String>>()?;
            *layer = ParamLayer::new(layer.level.clone(), values);
        }
    }
    let access = if mode == SecretMode::Withheld { SecretAccess::Sealed } else { SecretAccess::Open };
    if mode != SecretMode::Revealed {
        add_ungenerated(content, &mut layers);
    }
    Ok(LayeredParams::new(layers, secret_names, access))
}

/// What stands for a secret where it is not shown.
const COVER: &str = "(sealed)";

/// Adds the params that are generated and have no value yet: they have one when the machine's run begins.
fn add_ungenerated(content: ContentView<'_>, layers: &mut [ParamLayer]) {
    let names = content.generated().flat_map(|(name, generate)| {
        let public = generate.has_public_half().then(|| public_half(name));
        std::iter::once(name.to_owned()).chain(public)
    });
    let names: Vec<String> =
        names.filter(|name| !layers.iter().any(|layer| layer.values.contains_key(name))).collect();
    if let (Some(defaults), false) = (layers.last_mut(), names.is_empty()) {
        let values = Arc::make_mut(&mut defaults.values);
        values.extend(names.into_iter().map(|name| (name, COVER.into())));
    }
}

/// The machine and stage whose params are resolved.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParamSubject<'a> {
    pub machine: Option<&'a Stored<Machine>>,
    pub stage: Option<&'a Stage>,
}

fn open(
    level: &ParamLevel,
    (param, value): (&str, &Value),
    (of, secrets): (ParamSubject<'_>, &SecretKey),
) -> Result<Value, String> {
    let (kind, key) = match level {
        ParamLevel::Machine => (Kind::Machine, of.machine.map_or("", |machine| machine.key.as_str())),
        ParamLevel::Profile(name) | ParamLevel::StageProfile(name) => (Kind::Profile, name.as_str()),
        ParamLevel::Stage(name) => (Kind::Stage, name.as_str()),
        ParamLevel::Global => (Kind::Profile, GLOBAL_PROFILE),
        ParamLevel::Default => (Kind::Param, param),
    };
    let pointer = &param_pointer(param);
    let opened = secrets.open(SecretPlace { kind, key, pointer }, value);
    opened.map_err(|why| format!("the param `{param}` of {level} cannot be read: {why}"))
}

/// The values of secret params on all levels, opened.
///
/// # Errors
/// A value cannot be opened; the error names its level and param.
pub fn secret_values(
    content: ContentView<'_>,
    of: ParamSubject<'_>,
    secrets: &SecretKey,
) -> Result<Vec<Value>, String> {
    let names = self::secrets(content);
    let set = levels(content, (of.machine.map(|machine| &machine.spec), of.stage));
    let values = set.flat_map(|(level, values)| values.iter().map(move |value| (level.clone(), value)));
    let secret = values.filter(|(_, (name, value))| is_sealed(value) || names.contains(*name));
    secret
        .map(|(level, (name, value))| match is_sealed(value) {
            true => open(&level, (name, value), (of, secrets)),
            false => Ok(value.clone()),
        })
        .collect()
}

/// The names of all params that are secret.
pub fn secrets(content: ContentView<'_>) -> BTreeSet<String> {
    content.secrets().map(str::to_owned).collect()
}

/// SHA-256 of the values of all params. Secret values enter as hashes with the server's key: the digest does
/// not reveal them, and two machines with the same secrets have the same digest.
///
/// # Errors
/// Those of [`resolve`].
/// As [`resolve`].
pub fn digest(content: ContentView<'_>, of: ParamSubject<'_>, secrets: &SecretKey) -> Result<String, String> {
    let params = resolve(content, of, secrets, SecretMode::Revealed)?;
    let aggregate = params.aggregate();
    let mut lines = String::new();
    for (name, resolved) in aggregate {
        let value = resolved.value.to_string();
        let value = if resolved.secret { hex(&secrets.keyed_hash(value.as_bytes())) } else { value };
        lines.push_str(&format!("{name}={value}\n"));
    }
    Ok(sha256_hex(lines))
}

fn layer(level: ParamLevel, values: &BTreeMap<String, Value>) -> ParamLayer {
    ParamLayer::new(
        level,
        values.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<ParamValues>(),
    )
}

/// Profiles, each followed by its nested ones, without repetition. A cycle cannot be saved; the bound holds
/// anyway.
pub fn expand<'a>(content: ContentView<'a>, names: &[String]) -> Vec<&'a Profile> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut open: Vec<&str> = names.iter().rev().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        let Some(profile) = content.profile(name) else { continue };
        if found.len() >= PROFILES_MAX || !seen.insert(&profile.name) {
            continue;
        }
        found.push(profile);
        open.extend(profile.profiles.iter().rev().map(String::as_str));
    }
    found
}
