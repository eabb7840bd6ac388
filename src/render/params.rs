//! Resolves the value of a param: layers are searched in order, highest first.
//!
//! The caller loads the layers of a machine and opens its sealed secrets. This module only has values, their
//! order, and the names of secret params.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

pub use crate::model::{ParamLevel, ParamRead};

/// Param values by name.
pub type ParamValues = Map<String, Value>;

/// Levels of nested maps that a merge enters; deeper maps are taken whole from the higher layer.
const MERGE_DEPTH_MAX: usize = 64;

/// The values of one layer. Shared: a profile's map is not copied for each machine.
#[derive(Clone)]
pub struct ParamLayer {
    pub level: ParamLevel,
    pub values: Arc<ParamValues>,
}

impl ParamLayer {
    pub fn new(level: ParamLevel, values: impl Into<Arc<ParamValues>>) -> Self {
        ParamLayer { level, values: values.into() }
    }
}

/// Whether this render may read secret params.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretAccess {
    /// Reading a secret param is refused.
    Sealed,
    /// The machine was armed for this render, or the job is running; the layers contain opened values.
    Open,
}

/// The error for reading a secret param that cannot be read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableSecret {
    /// Secrets are sealed in this render.
    #[error(
        "param `{0}` is secret and stays sealed here: it is opened only for a machine that is armed for this \
         document, or for a job that is running"
    )]
    Sealed(String),
    /// It is kept outside of the server, and was not to be had.
    #[error("param `{name}` is kept outside of this server and cannot be read: {why}")]
    Outside { name: String, why: String },
}

/// A value and the level that it came from.
pub struct ResolvedParam<'a> {
    pub value: &'a Value,
    pub level: &'a ParamLevel,
    pub secret: bool,
}

/// A value merged over all levels that have one; the levels are listed highest first.
pub struct ComposedParam<'a> {
    pub value: Value,
    pub levels: Vec<&'a ParamLevel>,
    pub secret: bool,
}

/// The params of one machine. It has no `Debug`, because it may hold opened secrets.
#[derive(Clone)]
pub struct LayeredParams {
    pub(super) layers: Vec<ParamLayer>,
    pub(super) secrets: Arc<BTreeSet<String>>,
    pub(super) access: SecretAccess,
    /// Secret params that could not be read where they are kept, and why.
    pub(super) absent: Arc<BTreeMap<String, String>>,
}

impl LayeredParams {
    /// `layers`, highest first: machine, its profiles in order, stage, the stage's profiles, global,
    /// defaults. With [`SecretAccess::Open`] the layers contain secret values as plain text.
    pub fn new(
        layers: Vec<ParamLayer>,
        secrets: impl Into<Arc<BTreeSet<String>>>,
        access: SecretAccess,
    ) -> Self {
        LayeredParams { layers, secrets: secrets.into(), access, absent: Arc::default() }
    }

    /// A machine without params.
    pub fn empty() -> Self {
        LayeredParams::new(Vec::new(), BTreeSet::new(), SecretAccess::Sealed)
    }

    /// The value of the highest level that has one.
    ///
    /// # Errors
    /// The param has a value, is secret, and secrets are sealed here; or it is kept outside, and not to be
    /// had.
    pub fn get(&self, name: &str) -> Result<Option<ResolvedParam<'_>>, UnreadableSecret> {
        let Some((level, value)) = self.hits(name).next() else { return Ok(None) };
        let secret = self.open(name)?;
        Ok(Some(ResolvedParam { value, level, secret }))
    }

    /// The level whose value [`LayeredParams::get`] returns. It never opens a secret.
    pub fn level_of(&self, name: &str) -> Option<&ParamLevel> {
        self.hits(name).next().map(|(level, _)| level)
    }

    /// Whether the param is secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.secrets.contains(name)
    }

    /// The values of all levels that have one, highest first.
    pub fn values_of(&self, name: &str) -> impl Iterator<Item = (&ParamLevel, &Value)> {
        self.hits(name)
    }

    /// All levels that have a value, highest first. It never opens a secret.
    pub fn levels_of(&self, name: &str) -> impl Iterator<Item = &ParamLevel> {
        self.hits(name).map(|(level, _)| level)
    }

    /// Merges the values of all levels, lowest first: maps are merged recursively, lists are joined, and of
    /// other values the higher level's wins.
    ///
    /// # Errors
    /// Those of [`LayeredParams::get`].
    pub fn compose(&self, name: &str) -> Result<Option<ComposedParam<'_>>, UnreadableSecret> {
        let hits: Vec<_> = self.hits(name).collect();
        let Some((lowest, higher)) = hits.split_last() else { return Ok(None) };
        let secret = self.open(name)?;
        let mut value = lowest.1.clone();
        for (_, over) in higher.iter().rev() {
            merge(&mut value, over, MERGE_DEPTH_MAX);
        }
        Ok(Some(ComposedParam { value, levels: hits.iter().map(|(level, _)| *level).collect(), secret }))
    }

    /// Every param with a value, by name. Sealed values are shown as `{"sealed": true}`.
    pub fn aggregate(&self) -> BTreeMap<&str, ResolvedParam<'_>> {
        static SEALED: LazyLock<Value> = LazyLock::new(|| json!({"sealed": true}));
        let mut all = BTreeMap::new();
        for layer in &self.layers {
            for (name, value) in layer.values.iter() {
                let secret = self.secrets.contains(name);
                let is_shut = self.access == SecretAccess::Sealed || self.absent.contains_key(name);
                let value = if secret && is_shut { &*SEALED } else { value };
                all.entry(name.as_str()).or_insert(ResolvedParam { value, level: &layer.level, secret });
            }
        }
        all
    }

    /// The levels in the order in which they are searched.
    pub fn levels(&self) -> impl Iterator<Item = &ParamLevel> {
        self.layers.iter().map(|layer| &layer.level)
    }

    /// The names that have a value at some level, sorted.
    pub fn names(&self) -> BTreeSet<&str> {
        self.layers.iter().flat_map(|layer| layer.values.keys().map(String::as_str)).collect()
    }

    fn hits<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a ParamLevel, &'a Value)> {
        self.layers.iter().filter_map(move |layer| Some((&layer.level, layer.values.get(name)?)))
    }

    /// The secret params whose highest value is one of those that `is_one` knows.
    pub fn secrets_where(&self, is_one: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
        let highest = self.secrets.iter().filter_map(|name| Some((name, self.hits(name).next()?.1)));
        let found = highest.filter(|(_, value)| is_one(value));
        found.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Puts a value in the place of the highest one of a param. Lower values do not count any more. Without a
    /// value, reading the param is refused, and says why.
    pub fn replace(&mut self, name: &str, found: Result<Value, String>) {
        let value = found.unwrap_or_else(|why| {
            Arc::make_mut(&mut self.absent).insert(name.to_owned(), why);
            Value::Null
        });
        let mut value = Some(value);
        for layer in self.layers.iter_mut().filter(|layer| layer.values.contains_key(name)) {
            let values = Arc::make_mut(&mut layer.values);
            match value.take() {
                Some(value) => drop(values.insert(name.to_owned(), value)),
                None => drop(values.remove(name)),
            }
        }
    }

    fn open(&self, name: &str) -> Result<bool, UnreadableSecret> {
        if let Some(why) = self.absent.get(name) {
            return Err(UnreadableSecret::Outside { name: name.to_owned(), why: why.clone() });
        }
        match (self.secrets.contains(name), self.access) {
            (true, SecretAccess::Sealed) => Err(UnreadableSecret::Sealed(name.to_owned())),
            (secret, _) => Ok(secret),
        }
    }
}

fn merge(below: &mut Value, over: &Value, depth_left: usize) {
    match (below, over) {
        (Value::Object(below), Value::Object(over)) if depth_left > 0 => {
            for (key, value) in over {
                match below.get_mut(key) {
                    Some(lower) => merge(lower, value, depth_left - 1),
                    None => drop(below.insert(key.clone(), value.clone())),
                }
            }
        }
        (Value::Array(below), Value::Array(over)) => below.extend_from_slice(over),
        (below, over) => *below = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(level: ParamLevel, values: Value) -> ParamLayer {
        ParamLayer::new(level, values.as_object().unwrap().clone())
    }

    fn machine_in_two_profiles(access: SecretAccess) -> LayeredParams {
        let layers = vec![
            layer(ParamLevel::Machine, json!({"disk": "/dev/sda", "packages": ["vim"]})),
            layer(
                ParamLevel::Profile("web".into()),
                json!({"disk": "/dev/vda", "packages": ["nginx"], "net": {
                "dns": {"search": ["web.lan"]}, "mtu": 9000}, "password": "hunter2"}),
            ),
            layer(
                ParamLevel::Global,
                json!({"packages": ["curl"], "net": {
                "dns": {"search": ["lan"], "port": 53}, "mtu": 1500}}),
            ),
            layer(ParamLevel::Default, json!({"disk": "auto", "timezone": "UTC"})),
        ];
        LayeredParams::new(layers, BTreeSet::from(["password".to_owned()]), access)
    }

    #[test]
    fn the_highest_level_wins_and_is_named() {
        let params = machine_in_two_profiles(SecretAccess::Sealed);
        let disk = params.get("disk").unwrap().unwrap();
        assert_eq!((disk.value, disk.level), (&json!("/dev/sda"), &ParamLevel::Machine));
        let timezone = params.get("timezone").unwrap().unwrap();
        assert_eq!((timezone.value, timezone.level), (&json!("UTC"), &ParamLevel::Default));
        assert!(params.get("absent").unwrap().is_none());
    }

    #[test]
    fn compose_joins_lists_and_merges_maps_lowest_first() {
        let params = machine_in_two_profiles(SecretAccess::Sealed);
        let packages = params.compose("packages").unwrap().unwrap();
        assert_eq!(packages.value, json!(["curl", "nginx", "vim"]));
        assert_eq!(
            packages.levels,
            [&ParamLevel::Machine, &ParamLevel::Profile("web".into()), &ParamLevel::Global]
        );
        let net = params.compose("net").unwrap().unwrap();
        assert_eq!(net.value, json!({"dns": {"search": ["lan", "web.lan"], "port": 53}, "mtu": 9000}));
    }

    #[test]
    fn compose_of_unlike_kinds_takes_the_higher_level() {
        let params = LayeredParams::new(
            vec![
                layer(ParamLevel::Machine, json!({"x": "text"})),
                layer(ParamLevel::Global, json!({"x": [1]})),
            ],
            BTreeSet::new(),
            SecretAccess::Sealed,
        );
        assert_eq!(params.compose("x").unwrap().unwrap().value, json!("text"));
    }

    #[test]
    fn a_sealed_secret_is_refused_by_name_and_an_open_one_is_marked() {
        let sealed = machine_in_two_profiles(SecretAccess::Sealed);
        assert_eq!(sealed.get("password").err(), Some(UnreadableSecret::Sealed("password".into())));
        assert_eq!(sealed.compose("password").err(), Some(UnreadableSecret::Sealed("password".into())));
        assert_eq!(sealed.level_of("password"), Some(&ParamLevel::Profile("web".into())));
        let open = machine_in_two_profiles(SecretAccess::Open);
        let password = open.get("password").unwrap().unwrap();
        assert_eq!((password.value, password.secret), (&json!("hunter2"), true));
    }

    #[test]
    fn the_aggregate_has_every_name_once_and_hides_what_is_sealed() {
        let params = machine_in_two_profiles(SecretAccess::Sealed);
        let all = params.aggregate();
        let names: Vec<_> = all.keys().copied().collect();
        assert_eq!(names, ["disk", "net", "packages", "password", "timezone"]);
        assert_eq!(all["password"].value, &json!({"sealed": true}));
        assert_eq!(all["packages"].value, &json!(["vim"]));
        assert_eq!(
            machine_in_two_profiles(SecretAccess::Open).aggregate()["password"].value,
            &json!("hunter2")
        );
    }

    #[test]
    fn a_secret_that_was_not_to_be_had_is_read_by_nobody_and_holds_up_no_other_param() {
        let mut params = machine_in_two_profiles(SecretAccess::Open);
        let is_text = |value: &Value| value == "hunter2";
        assert_eq!(params.secrets_where(is_text), [("password".to_owned(), json!("hunter2"))]);
        params.replace("password", Ok(json!("from outside")));
        assert_eq!(params.get("password").unwrap().unwrap().value, "from outside");
        params.replace("password", Err("the store is away".to_owned()));
        let why = params.compose("password").err().unwrap().to_string();
        assert!(why.contains("`password`") && why.ends_with("the store is away"), "{why}");
        assert_eq!(params.aggregate()["password"].value, &json!({"sealed": true}));
        assert_eq!(params.get("disk").unwrap().unwrap().value, "/dev/sda");
    }
}
