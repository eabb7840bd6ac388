//! Finds the sealed values of a world, each with its place.

use serde_json::Value;

use super::{SecretPlace, is_sealed, param_pointer};
use crate::model::{HasTable, Kind, Noun, Stored, World, with_noun};

/// A sealed value of a stored object, copied out of the world.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedValue {
    pub kind: Kind,
    pub key: String,
    /// JSON pointer to the value in the object.
    pub pointer: String,
    pub value: Value,
}

impl SealedValue {
    pub fn place(&self) -> SecretPlace<'_> {
        SecretPlace { kind: self.kind, key: &self.key, pointer: &self.pointer }
    }
}

/// All sealed values of the objects of a world: those of params, then those of [`Noun::SECRETS`]. What runs
/// have kept is not among them.
pub fn sealed_values(world: &World) -> impl Iterator<Item = SealedValue> {
    let machines = world.machines.iter().map(|row| (Kind::Machine, &row.key, &row.spec.params));
    let profiles = world.profiles.iter().map(|row| (Kind::Profile, &row.key, &row.spec.params));
    let stages = world.stages.iter().map(|row| (Kind::Stage, &row.key, &row.spec.params));
    let of_params = machines.chain(profiles).chain(stages).flat_map(|(kind, key, params)| {
        let sealed = params.iter().filter(|(_, value)| is_sealed(value));
        sealed.map(move |(param, value)| SealedValue {
            kind,
            key: key.clone(),
            pointer: param_pointer(param),
            value: value.clone(),
        })
    });
    of_params.chain(Kind::ALL.into_iter().flat_map(|kind| with_noun!(kind, N => sealed_fields::<N>(world))))
}

/// Whether the world still has this value in its place.
pub fn is_there(world: &World, sealed: &SealedValue) -> bool {
    let params = match sealed.kind {
        Kind::Machine => world.machines.get(&sealed.key).map(|row| &row.spec.params),
        Kind::Profile => world.profiles.get(&sealed.key).map(|row| &row.spec.params),
        Kind::Stage => world.stages.get(&sealed.key).map(|row| &row.spec.params),
        kind => return with_noun!(kind, N => sealed_fields::<N>(world)).contains(sealed),
    };
    let mut values = params.into_iter().flatten();
    values.any(|(param, value)| *value == sealed.value && param_pointer(param) == sealed.pointer)
}

fn sealed_fields<T: Noun>(world: &World) -> Vec<SealedValue>
where
    World: HasTable<T>,
{
    if T::SECRETS.is_empty() {
        return Vec::new();
    }
    let rows = HasTable::<T>::table(world).iter();
    rows.flat_map(|row| of_object(row)).collect()
}

fn of_object<T: Noun>(row: &Stored<T>) -> Vec<SealedValue> {
    let fields = serde_json::to_value(&row.spec).unwrap_or_default();
    let values = T::SECRETS.iter().filter_map(|pointer| Some((pointer, fields.pointer(pointer)?)));
    values
        .filter(|(_, value)| is_sealed(value))
        .map(|(pointer, value)| SealedValue {
            kind: T::KIND,
            key: row.key.clone(),
            pointer: (*pointer).to_owned(),
            value: value.clone(),
        })
        .collect()
}
