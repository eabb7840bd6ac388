//! The kinds of stored objects and their words in URLs, tables and messages.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One kind of stored object. The same word everywhere: URL, table, CLI noun, event subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Machine,
    Bootenv,
    Template,
    Param,
    Profile,
    Stage,
    Task,
    Workflow,
    Job,
    Subnet,
    Reservation,
    Lease,
    Artifact,
    Setting,
    Token,
    ClientClass,
}

impl Kind {
    pub const ALL: [Kind; 16] = [
        Kind::Machine,
        Kind::Bootenv,
        Kind::Template,
        Kind::Param,
        Kind::Profile,
        Kind::Stage,
        Kind::Task,
        Kind::Workflow,
        Kind::Job,
        Kind::Subnet,
        Kind::Reservation,
        Kind::Lease,
        Kind::Artifact,
        Kind::Setting,
        Kind::Token,
        Kind::ClientClass,
    ];

    /// How events name an object of this kind: `machine:0192…`.
    pub fn subject(self, key: impl fmt::Display) -> String {
        format!("{self}:{key}")
    }

    /// `machine`: the table's name, the first word of its events and of their subject.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Machine => "machine",
            Kind::Bootenv => "bootenv",
            Kind::Template => "template",
            Kind::Param => "param",
            Kind::Profile => "profile",
            Kind::Stage => "stage",
            Kind::Task => "task",
            Kind::Workflow => "workflow",
            Kind::Job => "job",
            Kind::Subnet => "subnet",
            Kind::Reservation => "reservation",
            Kind::Lease => "lease",
            Kind::Artifact => "artifact",
            Kind::Setting => "setting",
            Kind::Token => "token",
            Kind::ClientClass => "client_class",
        }
    }

    /// The kind with this word: `machine`.
    pub fn of_word(word: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// `machines`: the URL segment and the CLI noun.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Machine => "machines",
            Kind::Bootenv => "bootenvs",
            Kind::Template => "templates",
            Kind::Param => "params",
            Kind::Profile => "profiles",
            Kind::Stage => "stages",
            Kind::Task => "tasks",
            Kind::Workflow => "workflows",
            Kind::Job => "jobs",
            Kind::Subnet => "subnets",
            Kind::Reservation => "reservations",
            Kind::Lease => "leases",
            Kind::Artifact => "artifacts",
            Kind::Setting => "settings",
            Kind::Token => "tokens",
            Kind::ClientClass => "client_classes",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
