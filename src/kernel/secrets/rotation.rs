//! Replaces the key that seals secret values: all of them are sealed anew with another key, in one changeset.
//!
//! The new key is on the disk, as `secret.key.new`, before the changeset is committed, and takes the place
//! of `secret.key` after it. Whatever ends the program in between, [`settle`] finds out at the next start
//! which of the two opens what is stored, and removes the other. Values that runs have kept are sealed anew
//! in their pieces, which stay under the digest that they were made with: it names them, and nothing compares
//! it with what they hold.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    KEY_FILE, SealedValue, SecretKey, SecretPlace, is_sealed, param_pointer, read_key, sealed_values,
};
use crate::kernel::Changeset;
use crate::model::{
    Content, HasTable, Kind, Machine, MachineValues, Noun, Profile, Stage, Stored, World, with_noun,
};

/// Name of the file of a key that has not replaced the other yet.
const NEW_KEY_FILE: &str = "secret.key.new";

/// What became of a rotation that was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettledRotation {
    /// There was none.
    None,
    /// Its values were committed: the new key is in force.
    Finished,
    /// Nothing was committed: the new key is gone.
    Dropped,
}

/// All sealed values of a world, sealed anew.
#[derive(Debug, Default)]
pub struct KeyRotation {
    /// The objects, without events.
    pub changeset: Changeset,
    /// Number of values of objects.
    pub values: u64,
    /// Number of values that runs have kept.
    pub kept: u64,
    /// Number of values that do not open with the present key, and stay as they are.
    pub shut: u64,
}

impl KeyRotation {
    /// Seals everything that a world has anew. `now` is the time that the objects were written.
    ///
    /// # Errors
    /// The system gave no random numbers.
    pub fn of(world: &World, (old, new): (&SecretKey, &SecretKey), now: Timestamp) -> io::Result<Self> {
        let mut rotation = KeyRotation::default();
        let keys = KeyChange { old, new };
        rotation.params::<Machine>((world, keys), now, |spec| &mut spec.params)?;
        rotation.params::<Profile>((world, keys), now, |spec| &mut spec.params)?;
        rotation.params::<Stage>((world, keys), now, |spec| &mut spec.params)?;
        for kind in Kind::ALL {
            with_noun!(kind, N => rotation.fields::<N>((world, keys), now))?;
        }
        rotation.contents((world, keys), now)?;
        Ok(rotation)
    }

    fn params<T: Noun>(
        &mut self,
        (world, keys): (&World, KeyChange<'_>),
        now: Timestamp,
        params: impl Fn(&mut T) -> &mut BTreeMap<String, Value>,
    ) -> io::Result<()>
    where
        World: HasTable<T>,
    {
        for row in HasTable::<T>::table(world).iter() {
            let mut next = row.next(now);
            let done = keys.map((T::KIND, &row.key), params(&mut next.spec))?;
            self.values += done.sealed;
            self.shut += done.shut;
            if done.sealed > 0 {
                self.update(next);
            }
        }
        Ok(())
    }

    fn fields<T: Noun>(&mut self, (world, keys): (&World, KeyChange<'_>), now: Timestamp) -> io::Result<()>
    where
        World: HasTable<T>,
    {
        let rows: Vec<&Arc<Stored<T>>> = match T::SECRETS {
            [] => Vec::new(),
            _ => HasTable::<T>::table(world).iter().collect(),
        };
        for row in rows {
            let mut fields = serde_json::to_value(&row.spec).unwrap_or_default();
            let mut done = SealedCounts::default();
            for pointer in T::SECRETS {
                let place = SecretPlace { kind: T::KIND, key: &row.key, pointer };
                fields.pointer_mut(pointer).map(|value| keys.value(place, value, &mut done)).transpose()?;
            }
            self.values += done.sealed;
            self.shut += done.shut;
            if let (true, Ok(spec)) = (done.sealed > 0, serde_json::from_value(fields)) {
                self.update(Stored { spec, ..row.next(now) });
            }
        }
        Ok(())
    }

    fn contents(&mut self, (world, keys): (&World, KeyChange<'_>), now: Timestamp) -> io::Result<()> {
        let owners = owners_of_values(world);
        for row in world.contents.iter() {
            let mut next = row.next(now);
            let Some((place, params)) = params_of(&mut next, &owners) else { continue };
            let done = keys.map((place.0, &place.1), params)?;
            self.kept += done.sealed;
            self.shut += done.shut;
            if done.sealed > 0 {
                self.update(next);
            }
        }
        Ok(())
    }

    fn update<T: Noun>(&mut self, next: Stored<T>) {
        self.changeset = std::mem::take(&mut self.changeset).update(T::object(Arc::new(next)));
    }
}

/// The machines whose own values are kept, by the digest of the piece.
fn owners_of_values(world: &World) -> HashMap<&str, String> {
    let runs = world.runs.iter().map(|run| &run.spec);
    let named = runs.flat_map(|run| {
        run.values.iter().chain(&run.former_content).map(|digest| (digest.as_str(), run.machine.to_string()))
    });
    named.collect()
}

/// Params that may have sealed values, with the object that they were sealed for.
type SealedParams<'a> = ((Kind, String), &'a mut BTreeMap<String, Value>);

/// The params of a piece that may have sealed values.
fn params_of<'a>(piece: &'a mut Stored<Content>, owners: &HashMap<&str, String>) -> Option<SealedParams<'a>> {
    match &mut piece.spec {
        Content::Values(MachineValues { params, .. }) => {
            Some(((Kind::Machine, owners.get(piece.key.as_str())?.clone()), params))
        }
        Content::Profile(profile) => {
            let profile = Arc::make_mut(profile);
            Some(((Kind::Profile, profile.key.clone()), &mut profile.spec.params))
        }
        Content::Stage(stage) => {
            let stage = Arc::make_mut(stage);
            Some(((Kind::Stage, stage.key.clone()), &mut stage.spec.params))
        }
        _ => None,
    }
}

/// The sealed values that runs have kept.
fn kept_values(world: &World) -> Vec<SealedValue> {
    let owners = owners_of_values(world);
    let mut found = Vec::new();
    for row in world.contents.iter() {
        let mut piece = Stored::clone(row);
        let Some(((kind, key), params)) = params_of(&mut piece, &owners) else { continue };
        found.extend(params.iter().filter(|(_, value)| is_sealed(value)).map(|(param, value)| {
            let (pointer, value) = (param_pointer(param), value.clone());
            SealedValue { kind, key: key.clone(), pointer, value }
        }));
    }
    found
}

/// How many values were sealed anew, and how many did not open.
#[derive(Default)]
struct SealedCounts {
    sealed: u64,
    shut: u64,
}

#[derive(Clone, Copy)]
struct KeyChange<'k> {
    old: &'k SecretKey,
    new: &'k SecretKey,
}

impl KeyChange<'_> {
    fn map(
        &self,
        (kind, key): (Kind, &str),
        params: &mut BTreeMap<String, Value>,
    ) -> io::Result<SealedCounts> {
        let mut done = SealedCounts::default();
        for (param, value) in params.iter_mut().filter(|(_, value)| is_sealed(value)) {
            let pointer = param_pointer(param);
            self.value(SecretPlace { kind, key, pointer: &pointer }, value, &mut done)?;
        }
        Ok(done)
    }

    fn value(&self, place: SecretPlace<'_>, value: &mut Value, done: &mut SealedCounts) -> io::Result<()> {
        if !is_sealed(value) {
            return Ok(());
        }
        match self.old.open(place, value) {
            Ok(opened) => {
                *value = self.new.seal(place, &opened)?;
                done.sealed += 1;
            }
            Err(_) => done.shut += 1,
        }
        Ok(())
    }
}

/// Makes a new key and writes it beside the present one, durably.
///
/// # Errors
/// The disk refuses, or there is a new key already: [`settle`] comes first.
pub fn prepare(directory: &Path) -> io::Result<SecretKey> {
    let key = SecretKey::random()?;
    key.write(&directory.join(NEW_KEY_FILE))?;
    sync(directory)?;
    Ok(key)
}

/// Puts the new key in the place of the other, once everything is sealed with it. The old key is gone.
///
/// # Errors
/// The disk refuses.
pub fn finish(directory: &Path) -> io::Result<()> {
    fs::rename(directory.join(NEW_KEY_FILE), directory.join(KEY_FILE))?;
    sync(directory)
}

/// Ends a rotation that was interrupted, as far as it had come: if what `world` has opens with the new key,
/// it takes the place of the other.
///
/// # Errors
/// The disk refuses.
pub fn settle(directory: &Path, world: &World) -> io::Result<SettledRotation> {
    let path = directory.join(NEW_KEY_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SettledRotation::None),
        Err(error) => return Err(error),
    };
    // A file that is cut off was not used: the values are sealed after it is on the disk.
    let is_in_use = read_key(file).is_ok_and(|new| {
        let mut values = sealed_values(world).chain(kept_values(world));
        values.any(|sealed| new.open(sealed.place(), &sealed.value).is_ok())
    });
    if is_in_use {
        finish(directory)?;
        return Ok(SettledRotation::Finished);
    }
    fs::remove_file(&path)?;
    sync(directory)?;
    Ok(SettledRotation::Dropped)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Object;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn key_in(directory: &Path) -> SecretKey {
        SecretKey::read(directory, 1).unwrap()
    }

    /// A world with a sealed value in a profile, and the same in a piece that a run kept.
    fn world(key: &SecretKey) -> World {
        let place = SecretPlace { kind: Kind::Profile, key: "site", pointer: "/params/pw" };
        let sealed = key.seal(place, &json!("CANARY")).unwrap();
        let profile = json!({"name": "site", "params": {"pw": sealed, "other": 1}});
        let profile: Profile = serde_json::from_value(profile).unwrap();
        let stored = Arc::new(Stored::new("site".to_owned(), profile, NOW));
        let mut world = World::default();
        world.put(Content::object(Content::Profile(Arc::clone(&stored)).stored(NOW)));
        world.put(Profile::object(stored));
        world
    }

    fn committed(mut world: World, rotation: KeyRotation) -> World {
        for write in rotation.changeset.writes {
            let crate::kernel::ChangesetWrite::Update(object) = write else { panic!("only updates") };
            world.put(object);
        }
        world
    }

    fn opened(world: &World, key: &SecretKey) -> usize {
        let values = sealed_values(world).chain(kept_values(world));
        values.filter(|sealed| key.open(sealed.place(), &sealed.value) == Ok(json!("CANARY"))).count()
    }

    #[test]
    fn values_of_objects_and_of_runs_are_sealed_with_the_new_key_alone() {
        let (old, new) = (SecretKey::from_key([1; 32]), SecretKey::from_key([2; 32]));
        let before = world(&old);
        let digest = before.contents.iter().next().unwrap().key.clone();
        let rotation = KeyRotation::of(&before, (&old, &new), NOW).unwrap();
        assert_eq!((rotation.values, rotation.kept, rotation.shut), (1, 1, 0));
        let after = committed(before, rotation);
        assert_eq!((opened(&after, &new), opened(&after, &old)), (2, 0));
        assert!(after.contents.get(&digest).is_some(), "a piece keeps the name that runs know it by");
        let shut = KeyRotation::of(&after, (&old, &new), NOW).unwrap();
        assert_eq!((shut.values, shut.kept, shut.shut), (0, 0, 2));
        assert!(shut.changeset.writes.is_empty());
    }

    #[test]
    fn a_rotation_that_is_killed_is_ended_at_the_next_start_wherever_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let old = SecretKey::load(at, 0).unwrap();
        let before = world(&old);
        assert_eq!(settle(at, &before).unwrap(), SettledRotation::None);
        // Killed while the new key was written, and before anything was committed.
        fs::write(at.join(NEW_KEY_FILE), b"short").unwrap();
        assert_eq!(settle(at, &before).unwrap(), SettledRotation::Dropped);
        let new = prepare(at).unwrap();
        assert!(prepare(at).is_err(), "a key that may be in use is not written over");
        assert_eq!(settle(at, &before).unwrap(), SettledRotation::Dropped);
        assert_eq!(opened(&before, &key_in(at)), 2);
        // Killed after the commit, before and after the rename.
        drop(new);
        let new = prepare(at).unwrap();
        let after = committed(world(&old), KeyRotation::of(&before, (&old, &new), NOW).unwrap());
        assert_eq!(settle(at, &after).unwrap(), SettledRotation::Finished);
        assert_eq!(opened(&after, &key_in(at)), 2);
        assert_eq!(settle(at, &after).unwrap(), SettledRotation::None);
        let objects: Vec<Object> = after.objects(Kind::Profile).collect();
        assert_eq!(objects[0].revision(), 2);
    }
}
