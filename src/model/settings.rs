//! The server's settings, and the values that each may have.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Kind, NoStatus, Noun, Object, Problem, RefusalCode, Stored, nearest};

/// Whether a machine with a lease from this server is served only at that address.
pub const OWN_ADDRESS_ONLY: &str = "own_address_only";

/// Whether a known UEFI machine that is to boot its disk gets a loader that leaves for the disk at once.
pub const LEAVE_BY_LOADER: &str = "leave_by_loader";

/// Whether the channel `prod` gets the `core` of a new program by itself; null until an operator has promoted
/// `core`, or made another channel.
pub const CORE_FOLLOWS_PROGRAM: &str = "core_follows_program";

/// How many days the first token of an agent may stay unused.
pub const AGENT_FIRST_USE_DAYS: &str = "agent_first_use_days";

/// How many days runs, and their details, are kept after the end of the run; null is no bound.
pub const RUNS_KEPT_DAYS: &str = "runs_kept_days";
pub const JOBS_KEPT_DAYS: &str = "jobs_kept_days";
pub const LOGS_KEPT_DAYS: &str = "logs_kept_days";
pub const DOCUMENTS_KEPT_DAYS: &str = "documents_kept_days";
pub const EVENTS_KEPT_DAYS: &str = "events_kept_days";
/// The same for audit events, once the other events of their time were pruned.
pub const AUDIT_KEPT_DAYS: &str = "audit_kept_days";
/// How many runs, jobs or events are kept.
pub const RUNS_KEPT_MAX: &str = "runs_kept_max";
pub const JOBS_KEPT_MAX: &str = "jobs_kept_max";
pub const EVENTS_KEPT_MAX: &str = "events_kept_max";
pub const AUDIT_KEPT_MAX: &str = "audit_kept_max";
/// How many bytes all events, and the logs of all jobs, may have.
pub const EVENTS_KEPT_BYTES: &str = "events_kept_bytes";
pub const LOGS_KEPT_BYTES: &str = "logs_kept_bytes";
/// How many bytes the texts of all served documents may take on disk, and how long one text may be.
pub const DOCUMENTS_KEPT_BYTES: &str = "documents_kept_bytes";
pub const DOCUMENT_BYTES_MAX: &str = "document_bytes_max";

/// One server preference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub name: String,
    pub value: Value,
}

impl Noun for Setting {
    const KIND: Kind = Kind::Setting;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn check(&self) -> Vec<Problem> {
        check(self)
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Setting(stored)
    }
}

/// What an unknown machine gets when it boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownMachine {
    /// An address, and a script that boots the local disk.
    #[default]
    Local,
    /// The discovery image.
    Discover,
    /// An address at most.
    Ignore,
    /// A menu on the machine's console, with everything that can be booted without harm.
    Menu,
}

/// A setting that the server knows.
pub struct KnownSetting {
    pub name: &'static str,
    /// What it decides.
    pub about: &'static str,
    pub default: Value,
    /// JSON Schema of the setting's values.
    pub schema: Value,
}

impl KnownSetting {
    fn new(name: &'static str, schema: Value) -> KnownSetting {
        KnownSetting { name, about: about(name), default: default(name), schema }
    }
}

/// Every setting.
pub fn known() -> [KnownSetting; 23] {
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
        KnownSetting::new(LEAVE_BY_LOADER, json!({"type": "boolean"})),
        KnownSetting::new(CORE_FOLLOWS_PROGRAM, json!({"type": ["boolean", "null"]})),
        KnownSetting::new(AGENT_FIRST_USE_DAYS, number(1, 3_650)),
        KnownSetting::new(RUNS_KEPT_DAYS, days()),
        KnownSetting::new(JOBS_KEPT_DAYS, days()),
        KnownSetting::new(LOGS_KEPT_DAYS, days()),
        KnownSetting::new(DOCUMENTS_KEPT_DAYS, days()),
        KnownSetting::new(EVENTS_KEPT_DAYS, days()),
        KnownSetting::new(AUDIT_KEPT_DAYS, days()),
        KnownSetting::new(RUNS_KEPT_MAX, number(1, 1_000_000)),
        KnownSetting::new(JOBS_KEPT_MAX, number(1, 1_000_000)),
        KnownSetting::new(EVENTS_KEPT_MAX, number(1000, 1_000_000_000)),
        KnownSetting::new(AUDIT_KEPT_MAX, number(1000, 1_000_000_000)),
        KnownSetting::new(EVENTS_KEPT_BYTES, number(1 << 20, 1 << 40)),
        KnownSetting::new(LOGS_KEPT_BYTES, number(1 << 20, 1 << 40)),
        KnownSetting::new(DOCUMENTS_KEPT_BYTES, number(0, 1 << 40)),
        KnownSetting::new(DOCUMENT_BYTES_MAX, number(0, 4 << 20)),
    ]
}

fn number(least: u64, most: u64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

/// The schema of a number of days, or null for no bound.
fn days() -> Value {
    json!({"type": ["integer", "null"], "minimum": 1, "maximum": 36_500})
}

/// The value of a setting that the site has not set; null for an unknown setting.
pub fn default(name: &str) -> Value {
    match name {
        "unknown_machine" | "default_bootenv" => json!("local"),
        "secure_boot" => json!(false),
        OWN_ADDRESS_ONLY | LEAVE_BY_LOADER => json!(true),
        AGENT_FIRST_USE_DAYS => json!(90),
        RUNS_KEPT_MAX => json!(20_000),
        JOBS_KEPT_MAX => json!(50_000),
        EVENTS_KEPT_MAX => json!(2_000_000),
        AUDIT_KEPT_MAX => json!(200_000),
        EVENTS_KEPT_BYTES => json!(2_u64 << 30),
        LOGS_KEPT_BYTES => json!(4_u64 << 30),
        DOCUMENTS_KEPT_BYTES => json!(1 << 30),
        DOCUMENT_BYTES_MAX => json!(1 << 20),
        _ => Value::Null,
    }
}

/// What a setting decides, for operators.
fn about(name: &str) -> &'static str {
    match name {
        "unknown_machine" => {
            "What a machine gets that nobody registered: its disk, nothing, a menu, or the discovery image."
        }
        "default_workflow" => "The workflow of a start for a machine without one of its own.",
        "default_bootenv" => "The bootenv of a machine that is in no workflow.",
        "artifact_proxy" => "The HTTP proxy that the server fetches artifacts through.",
        "secure_boot" => {
            "Whether signed loaders are preferred where the param `secure_boot` of a machine says nothing."
        }
        OWN_ADDRESS_ONLY => "Whether a machine with a lease is served at that address alone.",
        LEAVE_BY_LOADER => {
            "Whether a known UEFI machine that is to boot its disk gets a loader that leaves for it at once."
        }
        CORE_FOLLOWS_PROGRAM => "Whether the channel `prod` gets the `core` of a new program by itself.",
        AGENT_FIRST_USE_DAYS => "How many days the first token of an agent may lie unused.",
        RUNS_KEPT_DAYS => "How many days runs are kept after their end.",
        JOBS_KEPT_DAYS => "How many days jobs are kept after their end.",
        LOGS_KEPT_DAYS => "How many days the logs of jobs are kept.",
        DOCUMENTS_KEPT_DAYS => "How many days the texts of served documents are kept.",
        EVENTS_KEPT_DAYS => "How many days events are kept.",
        AUDIT_KEPT_DAYS => {
            "How many days audit events are kept, after the other events of their time are gone."
        }
        RUNS_KEPT_MAX => "How many runs are kept.",
        JOBS_KEPT_MAX => "How many jobs are kept.",
        EVENTS_KEPT_MAX => "How many events are kept.",
        AUDIT_KEPT_MAX => "How many audit events are kept, after the other events of their time are gone.",
        EVENTS_KEPT_BYTES => "How many bytes all events may take.",
        LOGS_KEPT_BYTES => "How many bytes the logs of all jobs may take.",
        DOCUMENTS_KEPT_BYTES => "How many bytes the texts of served documents may take, compressed.",
        DOCUMENT_BYTES_MAX => "How many bytes the text of one document may have.",
        _ => "",
    }
}

/// A setting as operators see it: what it decides, the values that it may have, and its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingDescription {
    pub name: String,
    /// What it decides.
    pub about: String,
    /// The JSON Schema of its values.
    pub schema: Value,
    pub default: Value,
    pub value: Value,
    /// Whether its value is another than the default.
    pub is_changed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// All settings, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingDescriptions {
    pub items: Vec<SettingDescription>,
}

impl SettingDescription {
    /// The description of a setting that is stored, or has its default.
    pub fn of(known: KnownSetting, stored: Option<&Stored<Setting>>) -> Self {
        let KnownSetting { name, about, default, schema } = known;
        let value = stored.map_or_else(|| default.clone(), |stored| stored.spec.value.clone());
        SettingDescription {
            name: name.to_owned(),
            about: about.to_owned(),
            schema,
            is_changed: value != default,
            default,
            value,
            updated_at: stored.map(|stored| stored.updated_at),
        }
    }
}

/// The faults of a setting: an unknown name, or a value of the wrong type.
pub fn check(setting: &Setting) -> Vec<Problem> {
    let known = known();
    let Some(row) = known.iter().find(|row| row.name == setting.name) else {
        let names: Vec<&str> = known.iter().map(|row| row.name).collect();
        let hint = nearest(&setting.name, names.iter().copied()).map_or_else(
            || format!("there are: {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        return vec![
            Problem::new("/name", format!("there is no setting `{}`; {hint}", setting.name))
                .coded(RefusalCode::NotFound),
        ];
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
