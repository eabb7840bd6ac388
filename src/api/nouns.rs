//! One row a noun: what can be done with it, and how a person sees it in a table.
//!
//! Plain data, shared by the routes, the OpenAPI document and the command line.

use crate::model::Kind;

/// What clients may do with the objects of a noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    List,
    Create,
    Get,
    Replace,
    Patch,
    Delete,
}

use Verb::{Create, Delete, Get, List, Patch, Replace};

const ALL: &[Verb] = &[List, Create, Get, Replace, Patch, Delete];

/// A noun of the API.
#[derive(Debug, Clone, Copy)]
pub struct NounRow {
    pub kind: Kind,
    /// For the documentation: what it is.
    pub about: &'static str,
    pub verbs: &'static [Verb],
    /// Columns of the table: heading and field.
    pub columns: &'static [(&'static str, &'static str)],
}

impl NounRow {
    /// The plural as it stands in URLs and scopes.
    pub fn plural(&self) -> &'static str {
        plural(self.kind)
    }

    pub fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }
}

/// `machines`, as text that lasts.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
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
    }
}

/// Every noun, in the order of `Kind`.
pub const NOUNS: [NounRow; 15] = [
    NounRow {
        kind: Kind::Machine,
        about: "One computer, metal or virtual.",
        verbs: ALL,
        columns: &[
            ("NAME", "name"),
            ("STATE", "status.state"),
            ("STAGE", "status.stage"),
            ("ADDRESS", "status.address"),
            ("MACS", "macs"),
            ("WORKFLOW", "workflow"),
        ],
    },
    NounRow {
        kind: Kind::Bootenv,
        about: "A way to boot: kernel, initrds, command line, files to render.",
        verbs: ALL,
        columns: &[("NAME", "name"), ("KIND", "kind"), ("OS", "os.family"), ("SOURCE", "source")],
    },
    NounRow {
        kind: Kind::Template,
        about: "One Tera snippet or document.",
        verbs: ALL,
        columns: &[("NAME", "name"), ("DESCRIPTION", "description"), ("SOURCE", "source")],
    },
    NounRow {
        kind: Kind::Param,
        about: "The declaration of a value.",
        verbs: ALL,
        columns: &[
            ("NAME", "name"),
            ("SECRET", "secret"),
            ("DESCRIPTION", "description"),
            ("SOURCE", "source"),
        ],
    },
    NounRow {
        kind: Kind::Profile,
        about: "A named set of param values.",
        verbs: ALL,
        columns: &[("NAME", "name"), ("PROFILES", "profiles"), ("DESCRIPTION", "description")],
    },
    NounRow {
        kind: Kind::Stage,
        about: "A step of a workflow: a bootenv to be in, and tasks to run there.",
        verbs: ALL,
        columns: &[("NAME", "name"), ("BOOTENV", "bootenv"), ("TASKS", "tasks"), ("SOURCE", "source")],
    },
    NounRow {
        kind: Kind::Task,
        about: "Scripts and files that run on a machine.",
        verbs: ALL,
        columns: &[("NAME", "name"), ("INTERPRETER", "interpreter"), ("DESCRIPTION", "description")],
    },
    NounRow {
        kind: Kind::Workflow,
        about: "An ordered list of stages.",
        verbs: ALL,
        columns: &[("NAME", "name"), ("STAGES", "stages"), ("DESCRIPTION", "description")],
    },
    NounRow {
        kind: Kind::Job,
        about: "One run of one task on one machine. Written by the workflow and the agent.",
        verbs: &[List, Get],
        columns: &[
            ("ID", "id"),
            ("MACHINE", "machine"),
            ("TASK", "task"),
            ("STATE", "state"),
            ("EXIT", "exit"),
            ("STARTED", "started_at"),
        ],
    },
    NounRow {
        kind: Kind::Subnet,
        about: "An IPv4 network that is served.",
        verbs: ALL,
        columns: &[("NAME", "name"), ("CIDR", "cidr"), ("MODE", "mode"), ("ENABLED", "enabled")],
    },
    NounRow {
        kind: Kind::Reservation,
        about: "A fixed address for one client.",
        verbs: ALL,
        columns: &[("ADDRESS", "address"), ("MAC", "mac"), ("MACHINE", "machine"), ("SUBNET", "subnet")],
    },
    NounRow {
        kind: Kind::Lease,
        about: "An address in use, or last used. Deleting one frees the address.",
        verbs: &[List, Get, Delete],
        columns: &[
            ("ADDRESS", "address"),
            ("MAC", "mac"),
            ("STATE", "state"),
            ("EXPIRES", "expires_at"),
            ("MACHINE", "machine"),
            ("HOSTNAME", "hostname"),
        ],
    },
    NounRow {
        kind: Kind::Artifact,
        about: "Files of the server that machines may fetch, at `artifacts/<name>/…` over TFTP and HTTP.",
        verbs: ALL,
        columns: &[
            ("NAME", "name"),
            ("STATE", "status.state"),
            ("SIZE", "status.size"),
            ("PATH", "path"),
            ("REASON", "status.reason"),
        ],
    },
    NounRow {
        kind: Kind::Setting,
        about: "One server preference.",
        verbs: &[List, Get, Replace, Patch],
        columns: &[("NAME", "name"), ("VALUE", "value")],
    },
    NounRow {
        kind: Kind::Token,
        about: "A bearer token. Its text is in the answer to its creation and nowhere else.",
        verbs: &[List, Create, Get, Delete],
        columns: &[("NAME", "name"), ("SCOPES", "scopes"), ("EXPIRES", "expires_at")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row_and_its_plural() {
        let kinds: Vec<Kind> = NOUNS.iter().map(|row| row.kind).collect();
        assert_eq!(kinds, Kind::ALL);
        assert!(Kind::ALL.iter().all(|kind| plural(*kind) == kind.plural()));
    }
}
