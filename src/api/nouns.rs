//! One row a noun: what can be done with it. Plain data, shared by the routes and the OpenAPI document.

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
}

impl NounRow {
    /// The plural as it stands in URLs and scopes.
    pub fn plural(&self) -> &'static str {
        self.kind.plural()
    }

    pub fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }
}

/// Every noun, in the order of `Kind`.
pub const NOUNS: [NounRow; 18] = [
    NounRow { kind: Kind::Machine, about: "One computer, metal or virtual.", verbs: ALL },
    NounRow {
        kind: Kind::Bootenv,
        about: "A way to boot: kernel, initrds, command line, files to render.",
        verbs: ALL,
    },
    NounRow { kind: Kind::Template, about: "One Tera snippet or document.", verbs: ALL },
    NounRow { kind: Kind::Param, about: "The declaration of a value.", verbs: ALL },
    NounRow { kind: Kind::Profile, about: "A named set of param values.", verbs: ALL },
    NounRow {
        kind: Kind::Stage,
        about: "A step of a workflow: a bootenv to be in, and tasks to run there.",
        verbs: ALL,
    },
    NounRow { kind: Kind::Task, about: "Scripts and files that run on a machine.", verbs: ALL },
    NounRow { kind: Kind::Workflow, about: "An ordered list of stages.", verbs: ALL },
    NounRow {
        kind: Kind::Job,
        about: "One run of one task on one machine. Written by the workflow and the agent.",
        verbs: &[List, Get],
    },
    NounRow { kind: Kind::Subnet, about: "An IPv4 network that is served.", verbs: ALL },
    NounRow { kind: Kind::Reservation, about: "A fixed address for one client.", verbs: ALL },
    NounRow {
        kind: Kind::Lease,
        about: "An address in use, or last used. Deleting one frees the address.",
        verbs: &[List, Get, Delete],
    },
    NounRow {
        kind: Kind::Artifact,
        about: "Files of the server that machines may fetch, at `artifacts/<name>/…` over TFTP and HTTP.",
        verbs: ALL,
    },
    NounRow { kind: Kind::Setting, about: "One server preference.", verbs: &[List, Get, Replace, Patch] },
    NounRow {
        kind: Kind::Token,
        about: "A bearer token. Its text is in the answer to its creation and nowhere else.",
        verbs: &[List, Create, Get, Delete],
    },
    NounRow {
        kind: Kind::ClientClass,
        about: "A kind of DHCP client, and what it gets that others do not.",
        verbs: ALL,
    },
    NounRow {
        kind: Kind::Run,
        about: "One start of a workflow on one machine, with its steps and its record.",
        verbs: &[List, Get],
    },
    NounRow {
        kind: Kind::Content,
        about: "Content that runs keep, by digest: what they were started with. Secrets are sealed.",
        verbs: &[List, Get],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row() {
        let kinds: Vec<Kind> = NOUNS.iter().map(|row| row.kind).collect();
        assert_eq!(kinds, Kind::ALL);
    }
}
