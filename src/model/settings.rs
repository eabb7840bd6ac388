//! The server preferences there are, with what each may be.

use serde_json::{Value, json};

use super::{Problem, Setting, nearest};

/// Whether a machine with a lease of ours is served from that address alone.
pub const OWN_ADDRESS_ONLY: &str = "own_address_only";

/// What an unknown machine's boot gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownMachine {
    /// An address, and a script that leaves to the disk.
    #[default]
    Local,
    /// The discovery image.
    Discover,
    /// An address at most.
    Ignore,
    /// A menu on its console, of what can be booted without harm.
    Menu,
}

/// Name, default and JSON Schema of every setting.
/// A setting that the server knows.
pub struct KnownSetting {
    pub name: &'static str,
    pub default: Value,
    /// JSON Schema of its values.
    pub schema: Value,
}

impl KnownSetting {
    fn new(name: &'static str, schema: Value) -> KnownSetting {
        KnownSetting { name, default: default(name), schema }
    }
}

/// Every setting.
pub fn known() -> [KnownSetting; 6] {
    [
        KnownSetting::new("unknown_machine", json!({"enum": ["local", "discover", "ignore", "menu"]})),
        KnownSetting::new("default_workflow", json!({"type": ["string", "null"]})),
        KnownSetting::new("default_bootenv", json!({"type": "string"})),
        KnownSetting::new(
            "artifact_proxy",
            json!({"type": ["string", "null"], "pattern": "^https?://[^\\s/@]+/?$"}),
        ),
        KnownSetting::new("secure_boot", json!({"type": "boolean"})),
        KnownSetting::new(OWN_ADDRESS_ONLY, json!({"type": "boolean"})),
    ]
}

/// What a setting is where the site has not set it; null for one that there is not.
pub fn default(name: &str) -> Value {
    match name {
        "unknown_machine" | "default_bootenv" => json!("local"),
        "secure_boot" => json!(false),
        OWN_ADDRESS_ONLY => json!(true),
        _ => Value::Null,
    }
}

/// An unknown name or a value of the wrong type.
pub fn check(setting: &Setting) -> Vec<Problem> {
    let known = known();
    let Some(row) = known.iter().find(|row| row.name == setting.name) else {
        let names: Vec<&str> = known.iter().map(|row| row.name).collect();
        let hint = nearest(&setting.name, names.iter().copied()).map_or_else(
            || format!("there are: {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        return vec![Problem::new("/name", format!("there is no setting `{}`; {hint}", setting.name))];
    };
    super::check_schema(&row.schema, &setting.value, "/value")
}

impl UnknownMachine {
    pub fn from_value(value: &Value) -> Self {
        match value.as_str() {
            Some("discover") => UnknownMachine::Discover,
            Some("ignore") => UnknownMachine::Ignore,
            Some("menu") => UnknownMachine::Menu,
            _ => UnknownMachine::Local,
        }
    }
}
