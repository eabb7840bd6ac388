//! Values that the server makes for a machine when a run begins: of each param that is declared with
//! `generate` and that no level sets. They are written with the run, stay with the machine over all later
//! runs, and are made anew only after somebody has removed them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::catalog::generated::generate;
use crate::catalog::params::level_values;
use crate::kernel::Error;
use crate::kernel::secrets::{SecretKey, SecretPlace, param_pointer};
use crate::model::{GeneratedSecret, Kind, Machine, RunStep, Stage, Stored, World, public_half};

/// Most params of one machine that are generated.
const GENERATED_MAX: usize = 64;

/// Params of a machine, as they are stored.
pub(super) type GeneratedParams = BTreeMap<String, Value>;

/// The values that were made for one request. A plan that is made twice has the same ones.
#[derive(Debug, Default)]
pub(super) struct ParamGenerator {
    made: Mutex<BTreeMap<String, GeneratedParams>>,
}

impl ParamGenerator {
    /// The params that a machine lacks for the steps of a run, sealed for it.
    ///
    /// # Errors
    /// The system gave no random numbers.
    pub(super) fn params(
        &self,
        content: &World,
        (machine, steps): (&Stored<Machine>, &[RunStep]),
        key: &SecretKey,
    ) -> Result<GeneratedParams, Error> {
        let mut params = GeneratedParams::new();
        for (name, what) in lacking(content, &machine.spec, steps) {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let known = match made.get(&name) {
                Some(known) => known.clone(),
                None => make((machine, key), &name, what)?,
            };
            params.extend(known.clone());
            made.insert(name, known);
        }
        Ok(params)
    }
}

/// The value, and its public half as a param that everybody may read.
fn make(
    (machine, key): (&Stored<Machine>, &SecretKey),
    name: &str,
    what: GeneratedSecret,
) -> Result<GeneratedParams, Error> {
    let value = generate(what).map_err(|error| failed(name, &error))?;
    let pointer = param_pointer(name);
    let place = SecretPlace { kind: Kind::Machine, key: &machine.key, pointer: &pointer };
    let sealed =
        key.seal(place, &Value::from(value.secret.as_str())).map_err(|error| failed(name, &error))?;
    let public = value.public.map(|public| (public_half(name), Value::from(public)));
    Ok(std::iter::once((name.to_owned(), sealed)).chain(public).collect())
}

fn failed(name: &str, error: &std::io::Error) -> Error {
    Error::Failed(format!("the param `{name}` cannot be made: {error}"))
}

/// The declared params that neither the machine nor its profiles, nor a stage of the run, set.
fn lacking(content: &World, machine: &Machine, steps: &[RunStep]) -> Vec<(String, GeneratedSecret)> {
    let declared = content.params.iter().filter_map(|row| Some((&row.spec.name, row.spec.generate?)));
    let declared: Vec<(&String, GeneratedSecret)> = declared.take(GENERATED_MAX).collect();
    if declared.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<&String> = steps.iter().map(|step| &step.stage).collect();
    names.sort_unstable();
    names.dedup();
    let stages = names.into_iter().filter_map(|name| content.stages.get(name)).map(|row| Some(&row.spec));
    let stages: Vec<Option<&Stage>> = std::iter::once(None).chain(stages).collect();
    let is_set = |name: &String| {
        let mut levels =
            stages.iter().flat_map(|stage| level_values(content.into(), (Some(machine), *stage)));
        levels.any(|values| values.contains_key(name))
    };
    let lacking = declared.into_iter().filter(|(name, _)| !is_set(name));
    lacking.map(|(name, what)| (name.clone(), what)).collect()
}
