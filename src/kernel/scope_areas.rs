//! What each scope really gives, one row an area. `docs/operating/scopes.md` has the same table, and a test
//! holds it against this one.

use schemars::JsonSchema;
use serde::Serialize;

/// A part of the API that scopes can be about: a noun, or one of the areas that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScopeArea {
    /// `machines`, of `machines:read` and `machines:write`.
    pub name: &'static str,
    /// What `:read` gives.
    pub read: &'static str,
    /// What `:write` gives besides; empty where no operation needs it.
    pub write: &'static str,
    /// Whether who writes it writes templates, which are programs: they run on the server, within bounds, and
    /// read every param of the machine that they are rendered for.
    pub is_programs: bool,
}

/// All areas.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct ScopeList {
    pub items: &'static [ScopeArea],
}

const fn area(name: &'static str, read: &'static str, write: &'static str) -> ScopeArea {
    ScopeArea { name, read, write, is_programs: false }
}

const fn programs(name: &'static str, read: &'static str, write: &'static str) -> ScopeArea {
    ScopeArea { name, read, write, is_programs: true }
}

/// Every area.
pub const SCOPE_AREAS: [ScopeArea; 27] = [
    programs(
        "machines",
        "all machines with their params, secrets sealed; their timelines, files and explanations; previews \
         of what they would be served",
        "register, change and delete machines; start and steer runs, and arm them: this erases disks",
    ),
    programs(
        "bootenvs",
        "what machines boot",
        "kernels, command lines and files of machines that boot: root on each of them",
    ),
    programs(
        "templates",
        "all templates",
        "whatever is made of templates, so root on machines that install; previews of any text (`inline`)",
    ),
    area(
        "params",
        "declarations of params, with their defaults",
        "schemas and defaults of params, and which are secret",
    ),
    area(
        "profiles",
        "param values of many machines, secrets sealed",
        "param values of all machines that have the profile",
    ),
    area("stages", "stages", "the bootenv and the tasks that each workflow with the stage goes through"),
    programs("tasks", "scripts that run on machines", "scripts that run on machines: root on each of them"),
    area("workflows", "workflows", "which stages machines go through"),
    area(
        "jobs",
        "jobs and their logs",
        "act as the agent of every machine: read the scripts of its jobs with their secrets, report results; \
         make a new token for an agent, which ends those that it has",
    ),
    programs("subnets", "subnets", "which networks DHCP serves, and what their clients are sent"),
    programs("reservations", "reservations", "which client has which address, and the options it is sent"),
    area("leases", "who has and had which address", "free addresses that are in use, import leases"),
    area(
        "artifacts",
        "what can be fetched, and how it stands",
        "files that every machine and everybody in its network fetches, kernels among them; fetches by the \
         server from public addresses and from networks that `fetch.allow` lists; files below \
         `artifacts.roots`",
    ),
    area("settings", "settings", "what unknown machines boot, and how long history is kept"),
    area(
        "tokens",
        "names and scopes of all tokens, not their text",
        "make tokens with scopes that one has oneself, delete any but the last with `*`",
    ),
    area(
        "sessions",
        "who has logged in to the console: token, address, browser, when",
        "end the sessions of others; a session ends itself without it",
    ),
    programs("client_classes", "client classes", "what kinds of DHCP clients boot and are sent"),
    area(
        "channels",
        "which version of each pack machines get",
        "which loaded versions of packs machines get: root on machines whose runs begin afterwards",
    ),
    area("runs", "runs, and the documents that machines were served, without secrets", ""),
    area("contents", "the content that runs kept, secrets sealed; which files packs have", ""),
    programs(
        "packs",
        "all packs, with their files",
        "load and delete packs. What a pack has is root on machines that use it",
    ),
    programs(
        "overrides",
        "what the site changes of objects of packs, and what it hides; how a copy differs from a pack",
        "parts of templates, tasks, bootenvs, stages, workflows and params of packs: root on machines that \
         install",
    ),
    area("views", "saved views of lists", "save, change and delete views that all see"),
    area(
        "dhcp",
        "the status of DHCP: names and counts of every subnet, clients that are not served; clients that are \
         not registered",
        "",
    ),
    area("events", "events about the server, and about objects that the token may read", ""),
    area("metrics", "metrics", ""),
    area("server", "work in the background", "delete history before its time (`prune`)"),
];

/// The table of the page, in Markdown.
pub fn scope_table() -> String {
    let mut table = "| area | `:read` | `:write` besides | programs |\n|---|---|---|---|\n".to_owned();
    for area in SCOPE_AREAS {
        let write = if area.write.is_empty() { "no operation needs it" } else { area.write };
        let programs = if area.is_programs { "yes" } else { "" };
        table.push_str(&format!("| `{}` | {} | {write} | {programs} |\n", area.name, area.read));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::resources::operations;
    use crate::model::{Kind, with_noun};

    #[test]
    fn the_page_about_scopes_has_the_table_that_the_code_has() {
        let page = include_str!("../../docs/operating/scopes.md");
        assert!(page.contains(&scope_table()), "docs/operating/scopes.md needs:\n{}", scope_table());
    }

    #[test]
    fn every_scope_that_an_operation_needs_has_a_row_and_a_row_says_so_where_none_does() {
        let needs: BTreeSet<String> =
            operations().iter().filter_map(|row| row.need.scope()).filter(|need| need != "*").collect();
        for area in SCOPE_AREAS {
            let needs = |verb: &str| needs.contains(&format!("{}:{verb}", area.name));
            assert!(needs("read"), "{}", area.name);
            assert_eq!(needs("write"), !area.write.is_empty(), "{}", area.name);
        }
        let known: BTreeSet<&str> = SCOPE_AREAS.iter().map(|area| area.name).collect();
        let unknown = needs.iter().find(|need| !known.contains(need.split(':').next().unwrap()));
        assert_eq!((unknown, known.len()), (None, SCOPE_AREAS.len()));
    }

    #[test]
    fn who_writes_a_field_that_is_a_template_writes_programs() {
        for kind in Kind::ALL {
            let schema = with_noun!(kind, T => schemars::schema_for!(T)).to_value().to_string();
            let fields = ["\"blocks\":", "\"inline\":", "\"boot_params\":", "\"options\":", "\"body\":"];
            let has_template = fields.iter().any(|field| schema.contains(field));
            let row = SCOPE_AREAS.iter().find(|area| area.name == kind.plural()).unwrap();
            // What runs keep is written by nobody; the files of a pack are no fields of it.
            let is_other = matches!(kind, Kind::Content | Kind::Pack);
            assert!(row.is_programs == has_template || is_other, "{kind}: {has_template}");
        }
    }
}
