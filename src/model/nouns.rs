//! One row per noun: its names, what clients may do with it, and what the command line shows.
//!
//! These rows define [`Kind`], the tables of the `World`, the variants of `Object`, the operations of the
//! API, the commands and their columns, and the tables of the database. `docs/adding-a-noun.md` says how to
//! add a noun. The commands' help lists the nouns in the order of the rows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What clients may do with the objects of a noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NounVerb {
    List,
    Create,
    Get,
    Replace,
    Patch,
    Delete,
}

/// How a cell of a table shows a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellFormat {
    Text,
    /// How long ago a time is, or how far ahead.
    Age,
    /// The number of items of a list; nothing for an empty list.
    Count,
    Bytes,
    /// The column's heading if the value is true.
    Flag,
}

/// One column of a table: its heading, the pointer to its value, its format.
pub type Column = (&'static str, &'static str, CellFormat);

/// The description of a noun.
#[derive(Debug, Clone, Copy)]
pub struct NounRow {
    pub kind: Kind,
    /// `machine`: the name of the noun's table, and the first word of its events and subjects.
    pub word: &'static str,
    /// `machines`: the URL segment, the scope and the command.
    pub plural: &'static str,
    /// A description of the objects for the command's help and the OpenAPI document, without a full stop.
    pub about: &'static str,
    /// Whether the key is an id from the server; otherwise the key is the field `name_field`.
    pub has_id: bool,
    /// The field by which people name an object.
    pub name_field: &'static str,
    pub verbs: &'static [NounVerb],
    /// The noun's place when objects are written together from files: nouns that others refer to come first.
    pub apply_order: u8,
    /// The columns of the command's table.
    pub columns: &'static [Column],
    /// The columns that `-o wide` adds.
    pub wide: &'static [Column],
}

impl NounRow {
    pub fn allows(&self, verb: NounVerb) -> bool {
        self.verbs.contains(&verb)
    }
}

use CellFormat::{Age, Bytes, Count, Flag, Text};
use NounVerb::{Create, Delete, Get, List, Patch, Replace};

const ALL: &[NounVerb] = &[List, Create, Get, Replace, Patch, Delete];
/// The `apply_order` of nouns that are not written from files, or that no noun refers to.
const LAST: u8 = u8::MAX;

const NAME: Column = ("NAME", "name", Text);
const UPDATED: Column = ("UPDATED", "updated_at", Age);
const PROBLEMS: Column = ("PROBLEMS", "problems", Count);
const DESCRIPTION: Column = ("DESCRIPTION", "description", Text);

/// Passes the rows to the macro `$then`, after the arguments in brackets. A row is the noun's type, its table
/// in the world (the plural), and the fields of its [`NounRow`].
macro_rules! nouns {
    ($then:ident $($arguments:tt)*) => {
        $then! { [$($arguments)*]
            Machine machines {
                word: "machine",
                about: "Computers, metal or virtual",
                has_id: true,
                name_field: "name",
                verbs: ALL,
                apply_order: 110,
                columns: &[
                    NAME,
                    ("STATE", "status.state", Text),
                    ("STAGE", "status.stage", Text),
                    ("ARMED", "status.armed_until", Age),
                    ("SEEN", "status.last_seen", Age),
                    ("REASON", "status.reason", Text),
                    PROBLEMS,
                ],
                wide: &[
                    ("ADDRESS", "status.address", Text),
                    ("MAC", "macs.0", Text),
                    ("ARCH", "arch", Text),
                    ("WORKFLOW", "workflow", Text),
                    ("PROFILES", "profiles", Text),
                    ("ID", "id", Text),
                ],
            }
            Bootenv bootenvs {
                word: "bootenv",
                about: "Ways to boot: kernel, initrds, command line, files to render",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 50,
                columns: &[
                    NAME,
                    ("KIND", "kind", Text),
                    ("DESTRUCTIVE", "destructive", Flag),
                    ("OS", "os.family", Text),
                    ("VERSION", "os.version", Text),
                    ("SOURCE", "source", Text),
                    PROBLEMS,
                ],
                wide: &[UPDATED],
            }
            Template templates {
                word: "template",
                about: "Tera snippets and documents",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 10,
                columns: &[NAME, ("SOURCE", "source", Text), UPDATED, PROBLEMS, DESCRIPTION],
                wide: &[],
            }
            Param params {
                word: "param",
                about: "Declarations of values",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 20,
                columns: &[
                    NAME,
                    ("TYPE", "schema.type", Text),
                    ("DEFAULT", "default", Text),
                    ("SECRET", "secret", Flag),
                    DESCRIPTION,
                ],
                wide: &[UPDATED, ("SOURCE", "source", Text)],
            }
            Profile profiles {
                word: "profile",
                about: "Named sets of param values",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 60,
                columns: &[
                    NAME,
                    ("PARAMS", "params", Count),
                    ("PROFILES", "profiles", Text),
                    PROBLEMS,
                    DESCRIPTION,
                ],
                wide: &[UPDATED, ("SOURCE", "source", Text)],
            }
            Stage stages {
                word: "stage",
                about: "Steps of workflows: a bootenv to be in, and tasks to run there",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 70,
                columns: &[
                    NAME,
                    ("BOOTENV", "bootenv", Text),
                    ("TASKS", "tasks", Text),
                    PROBLEMS,
                    DESCRIPTION,
                ],
                wide: &[UPDATED, ("SOURCE", "source", Text)],
            }
            Task tasks {
                word: "task",
                about: "Scripts and files that run on machines",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 30,
                columns: &[
                    NAME,
                    ("INTERPRETER", "interpreter", Text),
                    ("TIMEOUT", "timeout_seconds", Text),
                    ("RETRIES", "retries", Text),
                    PROBLEMS,
                    DESCRIPTION,
                ],
                wide: &[UPDATED, ("SOURCE", "source", Text)],
            }
            Workflow workflows {
                word: "workflow",
                about: "Ordered lists of stages",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 80,
                columns: &[NAME, ("STAGES", "stages", Text), PROBLEMS, DESCRIPTION],
                wide: &[UPDATED, ("SOURCE", "source", Text)],
            }
            Job jobs {
                word: "job",
                about: "Runs of one task on one machine, written by the workflow and the agent",
                has_id: true,
                name_field: "id",
                verbs: &[List, Get],
                apply_order: LAST,
                columns: &[
                    ("MACHINE", "machine", Text),
                    ("STAGE", "stage", Text),
                    ("TASK", "task", Text),
                    ("STATE", "state", Text),
                    ("EXIT", "exit", Text),
                    ("STARTED", "started_at", Age),
                    ("REASON", "reason", Text),
                ],
                wide: &[("ATTEMPT", "attempt", Text), ("ENDED", "ended_at", Age), ("ID", "id", Text)],
            }
            Subnet subnets {
                word: "subnet",
                about: "IPv4 networks that the server serves",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 90,
                columns: &[
                    NAME,
                    ("CIDR", "cidr", Text),
                    ("MODE", "mode", Text),
                    ("POOLS", "pools", Count),
                    ("LEASE", "lease_seconds", Text),
                    ("ENABLED", "enabled", Flag),
                    PROBLEMS,
                ],
                wide: &[UPDATED],
            }
            Reservation reservations {
                word: "reservation",
                about: "Fixed addresses, each for one client",
                has_id: false,
                name_field: "address",
                verbs: ALL,
                apply_order: 120,
                columns: &[
                    ("ADDRESS", "address", Text),
                    ("MAC", "mac", Text),
                    ("MACHINE", "machine", Text),
                    ("CLIENT ID", "client_id", Text),
                    ("CIRCUIT ID", "circuit_id", Text),
                    ("REMOTE ID", "remote_id", Text),
                    ("SUBNET", "subnet", Text),
                    PROBLEMS,
                ],
                wide: &[UPDATED],
            }
            Lease leases {
                word: "lease",
                about: "Addresses that clients have or had; deleting a lease frees its address",
                has_id: false,
                name_field: "address",
                verbs: &[List, Get, Delete],
                apply_order: LAST,
                columns: &[
                    ("ADDRESS", "address", Text),
                    ("MAC", "mac", Text),
                    ("STATE", "state", Text),
                    ("EXPIRES", "expires_at", Age),
                    ("MACHINE", "machine", Text),
                    ("HOSTNAME", "hostname", Text),
                    ("SUBNET", "subnet", Text),
                ],
                wide: &[("CLIENT", "client", Text), ("BOUND", "bound_at", Age)],
            }
            Artifact artifacts {
                word: "artifact",
                about: "Files that machines fetch at `artifacts/<name>/…` over TFTP and HTTP",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 40,
                columns: &[
                    NAME,
                    ("STATE", "status.state", Text),
                    ("%", "status.percent", Text),
                    ("FILES", "status.files", Text),
                    ("SIZE", "status.size", Bytes),
                    ("REASON", "status.reason", Text),
                    ("FROM", "status.origin", Text),
                ],
                wide: &[UPDATED],
            }
            Setting settings {
                word: "setting",
                about: "Preferences of the server",
                has_id: false,
                name_field: "name",
                verbs: &[List, Get, Replace, Patch],
                apply_order: LAST,
                columns: &[NAME, ("VALUE", "value", Text), UPDATED],
                wide: &[],
            }
            Token tokens {
                word: "token",
                about: "Bearer tokens, and what their holders may do",
                has_id: false,
                name_field: "name",
                verbs: &[List, Create, Get, Delete],
                apply_order: LAST,
                columns: &[NAME, ("SCOPES", "scopes", Text), ("EXPIRES", "expires_at", Age), UPDATED],
                wide: &[("CREATED", "created_at", Age)],
            }
            ClientClass client_classes {
                word: "client_class",
                about: "Kinds of DHCP clients that get other answers than the rest",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 100,
                columns: &[
                    NAME,
                    ("ORDER", "order", Text),
                    ("OPTIONS", "options", Count),
                    ("BOOT FILE", "boot_file", Text),
                    PROBLEMS,
                    DESCRIPTION,
                ],
                wide: &[UPDATED, ("SOURCE", "source", Text)],
            }
            Run runs {
                word: "run",
                about: "Starts of workflows, with their steps and their record",
                has_id: true,
                name_field: "id",
                verbs: &[List, Get],
                apply_order: LAST,
                columns: &[
                    ("MACHINE", "machine_name", Text),
                    ("WORKFLOW", "workflow", Text),
                    ("STARTED", "started_at", Age),
                    ("RESULT", "result", Text),
                    ("SECONDS", "seconds", Text),
                    ("BY", "started_by", Text),
                    ("REASON", "reason", Text),
                ],
                wide: &[("ENDED", "ended_at", Age), ("ID", "id", Text)],
            }
            Content contents {
                word: "content",
                about: "Content that runs keep, by digest; secrets are sealed",
                has_id: true,
                name_field: "id",
                verbs: &[List, Get],
                apply_order: LAST,
                columns: &[
                    ("ID", "id", Text),
                    ("KIND", "kind", Text),
                    ("NAME", "value.name", Text),
                    UPDATED,
                ],
                wide: &[],
            }
            Pack packs {
                word: "pack",
                about: "Bundles of content, each in several versions",
                has_id: false,
                name_field: "name",
                verbs: &[List, Get, Delete],
                apply_order: 5,
                columns: &[
                    NAME,
                    ("PRIORITY", "priority", Text),
                    ("SIGNED BY", "signed_by", Text),
                    ("FILES", "file_count", Text),
                    ("SIZE", "bytes", Bytes),
                    ("LOADED", "created_at", Age),
                    DESCRIPTION,
                ],
                wide: &[("LICENCE", "licence", Text), ("DIGEST", "digest", Text)],
            }
            Channel channels {
                word: "channel",
                about: "Which version of each pack machines get",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 55,
                columns: &[NAME, ("PACKS", "packs", Text), UPDATED, PROBLEMS, DESCRIPTION],
                wide: &[],
            }
            Override overrides {
                word: "override",
                about: "What the site changes of objects that packs bring",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 85,
                columns: &[
                    NAME,
                    ("KIND", "target.kind", Text),
                    ("TARGET", "target.name", Text),
                    ("FIELDS", "fields", Count), ("BLOCKS", "blocks", Count),
                    PROBLEMS,
                    DESCRIPTION,
                ],
                wide: &[UPDATED],
            }
            View views {
                word: "view",
                about: "Saved views of lists: a filter, an order and columns",
                has_id: false,
                name_field: "name",
                verbs: ALL,
                apply_order: 130,
                columns: &[NAME, ("KIND", "kind", Text), ("QUERY", "query", Text), DESCRIPTION],
                wide: &[("COLUMNS", "columns", Text), UPDATED],
            }
            Session sessions {
                word: "session",
                about: "Logins of browsers; deleting a session logs its browser out",
                has_id: true,
                name_field: "id",
                verbs: &[List, Get, Delete],
                apply_order: LAST,
                columns: &[
                    ("ID", "id", Text),
                    ("TOKEN", "token", Text),
                    ("BEGAN", "created_at", Age),
                    ("USED", "status.last_used_at", Age),
                    ("ENDS", "expires_at", Age),
                    ("FROM", "peer", Text),
                ],
                wide: &[("BROWSER", "browser", Text)],
            }
        }
    };
}

/// Calls an expression with the type of a kind: `with_noun!(kind, T => f::<T>())`.
macro_rules! with_noun {
    ($kind:expr, $noun:ident => $body:expr) => {{
        use $crate::model::dispatch_noun;
        $crate::model::nouns!(dispatch_noun $kind, $noun => $body)
    }};
}

/// The expansion of [`with_noun`].
macro_rules! dispatch_noun {
    ([$kind:expr, $noun:ident => $body:expr] $($type:ident $table:ident { $($row:tt)* })*) => {
        match $kind {
            $($crate::model::Kind::$type => {
                type $noun = $crate::model::$type;
                $body
            })*
        }
    };
}

macro_rules! define_kinds {
    ([] $($noun:ident $table:ident { $($row:tt)* })*) => {
        /// One kind of stored object. URL, table, CLI noun and event subject all use the same word.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Kind {
            $($noun,)*
        }

        impl Kind {
            /// Every kind, in the order of the rows.
            pub const ALL: [Kind; [$(Kind::$noun),*].len()] = [$(Kind::$noun),*];

            /// The description of the noun.
            pub const fn row(self) -> &'static NounRow {
                match self {
                    $(Kind::$noun => {
                        &NounRow { kind: Kind::$noun, plural: stringify!($table), $($row)* }
                    })*
                }
            }
        }
    };
}

nouns!(define_kinds);

pub(crate) use {dispatch_noun, nouns, with_noun};
