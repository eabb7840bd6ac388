//! Reads have a caller: a call from the API into a house passes the caller first, and a reference in a
//! request becomes an object through `Caller::find` only.

use super::Fault;
use super::scan::line_of;
use super::source::Source;

/// Calls of the API that show no object, or whose object the caller was allowed to see before.
const WITHOUT_CALLER: &[(&str, &str)] = &[
    ("access.sign_in", "finds out who the caller is"),
    ("access.admit_login", "counts the logins of an address"),
    ("access.begin_session", "finds out who the caller is"),
    ("access.login_counts", "numbers, for the metrics page"),
    ("objects.show", "shows an object that the caller just wrote or had changed"),
    ("background.status", "names the server's own work, no objects"),
    ("kernel.last_event", "a number"),
    ("objects.list_records", "a page of records that were read for the caller"),
    ("objects.position", "a number, and which state of the database it is of"),
    ("kernel.commit_counts", "numbers, for the metrics page"),
    ("runs.tallies", "numbers, for the metrics page"),
    ("runs.machine_counts", "numbers, for the metrics page"),
    ("kernel.queued_events", "a number, for the metrics page"),
    ("kernel.commit_durations", "durations, for the metrics page"),
    ("dhcp.subnet_counts", "numbers, for the metrics page"),
    ("catalog.render_conditions", "how the render workers are"),
    ("records.known_log_bytes", "a number, for the metrics page"),
    ("kernel.events", "the page is filtered, or only asked whether the database reads"),
    ("kernel.feed", "the stream is filtered"),
    ("kernel.counts", "counts, for the metrics page"),
    ("kernel.store_status", "how the store is"),
    ("kernel.store_failures", "a count, for the metrics page"),
    ("artifacts.mirror_statuses", "counts, for the metrics page"),
    ("catalog.render_outage", "how the render workers are"),
    ("catalog.render_warnings", "how the render workers are"),
    ("kernel.data_warnings", "a page that anybody may read: counts"),
    ("access.admin_warning", "a page that anybody may read: no names of tokens"),
    ("maintenance.last_backup", "a time, for the metrics page"),
    ("dhcp.dhcp_warnings", "a page that anybody may read: no names of objects"),
];

/// Places that may look up a reference in the world itself.
const RESOLVERS: &[&str] = &["src/kernel/permissions.rs", "src/objects/rules/mod.rs"];

pub fn faults(source: &Source) -> Vec<Fault> {
    let code = source.shipped();
    let mut faults = Vec::new();
    for call in code.match_indices("houses.").filter_map(|(at, word)| Call::at(code, at + word.len())) {
        let named = WITHOUT_CALLER.iter().any(|(door, _)| *door == call.door);
        if source.path.starts_with("src/api/") && !call.gives_caller() && !named {
            let why = format!("line {}: give `{}` the caller first", line_of(code, call.at), call.door);
            faults.push(Fault::new("callers", format!("{} {}", source.path, call.door), why));
        }
    }
    for (at, _) in code.match_indices(".resolve(") {
        let start =
            code[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).map_or(0, |i| i + 1);
        let of_world = code[start..at].contains("world.");
        if of_world && !RESOLVERS.contains(&source.path.as_str()) {
            let why = format!("line {}: find it with `Caller::find`", line_of(code, at));
            faults.push(Fault::new("callers", format!("{} resolve", source.path), why));
        }
    }
    faults
}

/// A call of a house's method: `objects.get`, and where its arguments begin.
struct Call<'a> {
    at: usize,
    door: &'a str,
    arguments: &'a str,
}

impl<'a> Call<'a> {
    fn at(code: &'a str, start: usize) -> Option<Self> {
        let rest = &code[start..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))?;
        let door = &rest[..end];
        let behind = match rest[end..].strip_prefix("::<") {
            Some(generic) => &generic[generic.find('>')? + 1..],
            None => &rest[end..],
        };
        let arguments = behind.strip_prefix('(')?;
        (door.split('.').count() == 2).then_some(Call { at: start, door, arguments })
    }

    fn gives_caller(&self) -> bool {
        let first = self.arguments.trim_start().trim_start_matches('&');
        ["caller", "follow.caller"]
            .iter()
            .any(|name| first.strip_prefix(name).is_some_and(|rest| rest.starts_with([',', ')', '.'])))
    }
}

#[test]
fn a_door_that_is_not_given_the_caller_is_a_fault() {
    let body = "fn f() {\n    state.houses.objects.get::<T>(&caller, &reference);\n    \
                state.houses.objects.get::<T>(&reference);\n    state.houses.background.status();\n}\n";
    let found: Vec<String> =
        faults(&Source::of("src/api/x.rs", body)).into_iter().map(|fault| fault.why).collect();
    assert_eq!(found, ["line 3: give `objects.get` the caller first"]);
    assert!(faults(&Source::of("src/server/x.rs", body)).is_empty());
}

#[test]
fn a_reference_is_looked_up_in_one_place() {
    let body = "fn f() { world.machines.resolve(text); path.resolve(x); }\n";
    assert_eq!(faults(&Source::of("src/insight/x.rs", body)).len(), 1);
    assert!(faults(&Source::of("src/kernel/permissions.rs", body)).is_empty());
}
