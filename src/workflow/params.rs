//! The few param values that decide how a workflow goes: required ones, and `rehearse`.

use serde_json::Value;

use crate::model::{GLOBAL_PROFILE, Machine, Profile, Stage, World};

/// Most profiles that one lookup goes through.
const PROFILES_MAX: usize = 1024;

/// The value of a param for a machine in a stage. The first that has it wins: the machine, its
/// profiles in order (each followed by its nested ones), the stage, the stage's profiles, the profile
/// `global`, the param's default.
pub fn find_param<'a>(world: &'a World, at: At<'a>, name: &str) -> Option<&'a Value> {
    let stage = at.stage;
    let global = world.profiles.get(GLOBAL_PROFILE).map(|profile| &profile.spec);
    at.machine
        .params
        .get(name)
        .or_else(|| in_profiles(world, &at.machine.profiles, name))
        .or_else(|| stage.and_then(|stage| stage.params.get(name)))
        .or_else(|| stage.and_then(|stage| in_profiles(world, &stage.profiles, name)))
        .or_else(|| global.and_then(|global| in_profile(world, global, name)))
        .or_else(|| world.params.get(name)?.spec.default.as_ref())
}

/// Whose value is looked up.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    pub machine: &'a Machine,
    pub stage: Option<&'a Stage>,
}

fn in_profile<'a>(world: &'a World, profile: &'a Profile, name: &str) -> Option<&'a Value> {
    profile.params.get(name).or_else(|| in_profiles(world, &profile.profiles, name))
}

fn in_profiles<'a>(world: &'a World, names: &'a [String], name: &str) -> Option<&'a Value> {
    let mut open: Vec<&str> = names.iter().rev().map(String::as_str).collect();
    for _ in 0..PROFILES_MAX {
        let profile = world.profiles.get(open.pop()?);
        let Some(profile) = profile else { continue };
        if let Some(value) = profile.spec.params.get(name) {
            return Some(value);
        }
        open.extend(profile.spec.profiles.iter().rev().map(String::as_str));
    }
    None
}

/// The required params that have no value anywhere, in order, without repetition.
pub fn unset<'a>(world: &World, at: At<'_>, required: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let mut missing: Vec<&str> = Vec::new();
    for name in required {
        if find_param(world, at, name).is_none() && !missing.contains(&name.as_str()) {
            missing.push(name);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::model::{Noun, Param, Stored, parse_input};

    fn put<T: Noun>(world: &mut World, body: Value) {
        let spec = parse_input::<T>(body).unwrap().spec;
        let key = spec.key().unwrap();
        world.put(T::object(Arc::new(Stored::new(key, spec, jiff::Timestamp::UNIX_EPOCH))));
    }

    #[test]
    fn the_nearest_level_wins() {
        let mut world = World::default();
        put::<Param>(&mut world, json!({"name": "a", "default": 0}));
        put::<Profile>(&mut world, json!({"name": "inner", "params": {"a": 4, "b": 4}}));
        put::<Profile>(&mut world, json!({"name": "outer", "params": {"c": 3}, "profiles": ["inner"]}));
        put::<Profile>(&mut world, json!({"name": "global", "params": {"a": 1, "b": 1, "d": 1, "e": 1}}));
        put::<Profile>(&mut world, json!({"name": "last", "params": {"c": 2}}));
        let stage = json!({"name": "s", "params": {"b": 2, "d": 2}});
        let stage = parse_input::<Stage>(stage).unwrap().spec;
        let machine = json!({"name": "m", "profiles": ["outer", "last"], "params": {"x": 9}});
        let machine = parse_input::<Machine>(machine).unwrap().spec;
        let at = At { machine: &machine, stage: Some(&stage) };
        let value = |name: &str| find_param(&world, at, name).cloned();
        assert_eq!(value("x"), Some(json!(9)));
        assert_eq!(value("a"), Some(json!(4)), "nested profile before global");
        assert_eq!(value("b"), Some(json!(4)), "a machine's nested profile before the stage");
        assert_eq!(value("c"), Some(json!(3)));
        assert_eq!(value("d"), Some(json!(2)));
        assert_eq!(value("e"), Some(json!(1)));
        assert_eq!(value("f"), None);
        let required = ["x".to_owned(), "f".to_owned(), "g".to_owned(), "f".to_owned()];
        assert_eq!(unset(&world, at, &required), ["f", "g"]);
        let bare = parse_input::<Machine>(json!({"name": "m"})).unwrap().spec;
        let nothing = World::default();
        assert_eq!(find_param(&nothing, At { machine: &bare, stage: None }, "a"), None);
    }
}
