//! The examples in the help of each command. `parse` adds them; a test parses each.

use crate::model::Kind;

/// What an object of a noun looks like in examples: a reference, a field that a list is filtered by, and a
/// field that is set.
struct NounExample {
    reference: &'static str,
    filter: &'static str,
    set: &'static str,
}

const fn example(reference: &'static str, filter: &'static str, set: &'static str) -> NounExample {
    NounExample { reference, filter, set }
}

fn noun_example(kind: Kind) -> NounExample {
    match kind {
        Kind::Machine => example("web1", "status.state=failed", "labels.rack=r1"),
        Kind::Bootenv => example("debian-12-install", "os.family=debian", "destructive=true"),
        Kind::Template => example("site/motd", "name=site/*", "description='the greeting'"),
        Kind::Param => example("rack", "secret=true", "description='where it stands'"),
        Kind::Profile => example("db", "name=db*", "params.rack=r1"),
        Kind::Stage => example("burn-in", "bootenv=debian-12-live", "tasks='[\"memtest\"]'"),
        Kind::Task => example("motd", "name=motd*", "timeout_seconds=600"),
        Kind::Workflow => example("install-debian-12", "name=install-*", "stages='[\"install\"]'"),
        Kind::Job => example(ID, "machine=web1", ""),
        Kind::Subnet => example("lan", "enabled=true", "lease_seconds=3600"),
        Kind::Reservation => example("10.0.0.5", "machine=web1", "machine=web1"),
        Kind::Lease => example("10.0.0.101", "machine=web1", ""),
        Kind::Artifact => example("debian-12-amd64", "status.state=ready", "path=/srv/debian-12"),
        Kind::Setting => example("unknown_machine", "name=retention*", ""),
        Kind::Token => example("ci", "scopes=machines:*", ""),
        Kind::ClientClass => example("onie", "order[lt]=100", "order=50"),
        Kind::Run => example(ID, "machine=web1", ""),
        Kind::Content => example("1f0c", "kind=workflow", ""),
        Kind::Channel => example("dev", "packs.core=0.1.0", "description='for the lab'"),
        Kind::Pack => example("site@1.2.0", "pack=site", ""),
        Kind::Session => example(ID, "token=admin", ""),
        Kind::Override => example(
            "longer-burn-in",
            "target.kind=stage",
            "target.kind=stage target.name=finish-install fields.timeout_seconds=7200",
        ),
        Kind::View => example("rack-r7", "kind=machines", "kind=machines query='label.rack=r7&sort=name'"),
    }
}

const ID: &str = "0192d4a0-0000-7000-8000-000000000001";

/// The examples of the verb of a noun, one a line; none for one that has none.
pub fn of_noun(kind: Kind, verb: &str) -> Option<String> {
    let (nouns, NounExample { reference, filter, set }) = (kind.plural(), noun_example(kind));
    let special = OF_NOUNS.iter().find(|(noun, of, _)| *noun == kind && *of == verb);
    if let Some((_, _, lines)) = special {
        return Some(lines.iter().map(|line| written(&[nouns, verb], line)).collect());
    }
    let lines: Vec<String> = match verb {
        "list" => {
            vec![format!("--filter '{filter}' -o wide"), "--filter 'updated_at[gt]=-1h' -o json".to_owned()]
        }
        "show" => vec![reference.to_owned(), format!("{reference} -o json")],
        "wait" => vec![format!("{reference} --for problems= --timeout 5m")],
        "watch" => vec![String::new(), reference.to_owned()],
        "create" => vec!["-f FILE.yaml".to_owned(), format!("name=x {set}").trim_end().to_owned()],
        "set" => vec![format!("{reference} {set}")],
        "edit" | "delete" => vec![reference.to_owned()],
        "apply" => vec![format!("-f {nouns}.yaml --dry-run")],
        _ => return None,
    };
    Some(lines.iter().map(|line| written(&[nouns, verb], line)).collect())
}

/// A command on a line of its own.
fn written(command: &[&str], rest: &str) -> String {
    format!("metalwright {} {rest}", command.join(" ")).trim_end().to_owned() + "\n"
}

/// The verbs of a noun that have examples of their own.
const OF_NOUNS: &[(Kind, &str, &[&str])] = &[
    (
        Kind::Machine,
        "list",
        &[
            "--filter status.state=failed",
            "--filter label.rack=r1 --fields name,status.address,label.rack",
            "--filter 'status.armed_until[exists]=true' -o wide",
        ],
    ),
    (Kind::Machine, "watch", &["", "web1", "web1 --events -o json"]),
    (
        Kind::Machine,
        "wait",
        &["web1 --for status.state=complete --timeout 30m", "web1 --for status.state!=running"],
    ),
    (
        Kind::Machine,
        "create",
        &["name=web1 macs='[\"52:54:00:aa:00:01\"]' labels.rack=r1", "-f machines.yaml"],
    ),
    (Kind::Machine, "set", &["web1 labels.rack=r1 serial=null", "web1 profiles='[\"db\"]'"]),
    (Kind::Machine, "describe", &["web1", "52:54:00:aa:00:01"]),
    (
        Kind::Machine,
        "start",
        &[
            "web1 install-debian-12",
            "web1 --check",
            "--filter label.rack=r1 --workflow install-debian-12 --dry-run",
            "web1 --stop-before 2 --reason 'look first'",
        ],
    ),
    (Kind::Machine, "restart", &["web1 --from finish-install"]),
    (Kind::Machine, "pause", &["web1 --before 4 --reason 'the fan is replaced'"]),
    (Kind::Machine, "resume", &["web1"]),
    (Kind::Machine, "retry", &["web1", "web1 --refresh"]),
    (Kind::Machine, "skip", &["web1 --reason 'no fan in this model'"]),
    (Kind::Machine, "mark-done", &["web1 --reason 'installed by hand'"]),
    (Kind::Machine, "cancel", &["web1"]),
    (Kind::Machine, "arm", &["web1"]),
    (Kind::Machine, "disarm", &["web1"]),
    (Kind::Machine, "runs", &["web1 -o wide"]),
    (Kind::Machine, "params", &["web1", "web1 --explain"]),
    (Kind::Artifact, "wait", &["debian-12-amd64 --for status.state=ready --timeout 1h"]),
    (
        Kind::Artifact,
        "add",
        &[
            "debian-12-amd64 --dir /usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64",
            "rocky-9 --iso /srv/rocky-9.iso",
        ],
    ),
    (Kind::Artifact, "fetch", &["debian-12-amd64"]),
    (Kind::Artifact, "verify", &["debian-12-amd64 --timeout 1h"]),
    (Kind::Artifact, "prune", &["--dry-run", "--yes"]),
    (Kind::Lease, "release", &["10.0.0.101"]),
    (Kind::Lease, "expire", &["10.0.0.101"]),
    (Kind::Lease, "history", &["10.0.0.101", "52:54:00:aa:00:01"]),
    (Kind::Lease, "import", &["--format kea kea-leases4.csv --dry-run"]),
    (Kind::Channel, "create", &["name=dev packs.core=0.1.0", "-f channels.yaml"]),
    (Kind::Channel, "promote", &["prod core 0.2.0"]),
    (Kind::Channel, "withdraw", &["dev site-web"]),
    (Kind::Channel, "rollback", &["prod", "prod --pack core"]),
    (Kind::Param, "migrate", &["", "--yes"]),
    (Kind::Pack, "push", &["site/", "site-1.2.0.tar.zst"]),
    (Kind::Pack, "export", &["site@1.2.0", "core@0.1.0 core/"]),
    (Kind::Pack, "diff", &["site@1.1.0 site@1.2.0", "site@1.2.0 site/ -o json"]),
    (Kind::Pack, "upgrade", &["core --check", "core --check --to 0.2.0 --sample 50", "core --to 0.2.0"]),
    (Kind::Pack, "test", &["site/", "site/ --bless"]),
    (Kind::Pack, "lint", &["site/ --strict", "site/ --with base/ -o json"]),
    (Kind::Pack, "files", &["site/"]),
    (
        Kind::Override,
        "create",
        &[
            "name=slow-lab target.kind=stage target.name=finish-install fields.timeout_seconds=7200",
            "-f overrides.yaml",
        ],
    ),
    (Kind::Override, "set", &["slow-lab fields.timeout_seconds=9000"]),
    (
        Kind::Override,
        "adopt",
        &["stage our-finish-install --of finish-install", "template site/preseed --of debian/preseed --yes"],
    ),
    (Kind::Override, "hidden", &["", "-o json"]),
    (Kind::Run, "show", &[ID, "0192d4a0-0000-7000-8000-000000000001 --document preseed.cfg"]),
    (Kind::Run, "documents", &[ID]),
    (Kind::Job, "wait", &["0192d4a0-0000-7000-8000-000000000001 --for state=finished"]),
    (Kind::Reservation, "create", &["address=10.0.0.5 machine=web1", "-f reservations.yaml"]),
    (Kind::Token, "list", &["", "--all"]),
    (Kind::Token, "create", &["name=ci scopes='[\"machines:read\"]' expires_at=+30d"]),
    (Kind::Token, "recover", &["--data /var/lib/metalwright"]),
    (Kind::Setting, "set", &["unknown_machine=local"]),
    (Kind::Run, "wait", &["0192d4a0-0000-7000-8000-000000000001 --for 'result!='"]),
];

/// The examples of a command that is not a verb of a noun.
pub fn of_command(path: &str) -> Option<String> {
    let (_, lines) = OTHERS.iter().find(|(known, _)| *known == path)?;
    Some(lines.iter().map(|line| written(&[path], line)).collect())
}

const OTHERS: &[(&str, &[&str])] = &[
    ("timeline", &["web1", "web1 --since -1h", "web1 --follow"]),
    ("explain", &["web1", "mac 52:54:00:aa:00:01", "web1 --vendor-class HTTPClient:Arch:00016", "packet -"]),
    (
        "render",
        &[
            "web1 preseed.cfg",
            "web1 preseed.cfg --bootenv debian-12-install",
            "web1 preseed.cfg --blame",
            "web1 preseed.cfg --with site/",
        ],
    ),
    ("diff", &["web1", "--fleet"]),
    ("vars", &["web1"]),
    ("files", &["web1"]),
    ("logs", &["web1 --follow"]),
    ("events list", &["--since -1h", "--machine web1 --kind 'run.*'", "--subject subnet:lan -o wide"]),
    ("events watch", &["--kind 'dhcp.*'", "--machine web1 -o json"]),
    ("events kinds", &[""]),
    ("errors", &[""]),
    ("unknown list", &["", "--filter 'last_seen[gt]=-1h'"]),
    ("unknown register", &["52:54:00:aa:00:09 --name web9 labels.rack=r1"]),
    ("changes list", &["--after 1024 --kind machine"]),
    ("changes watch", &["--kind machine --kind lease"]),
    ("agents reissue", &["web1"]),
    ("status", &["", "-o json"]),
    ("server background", &[""]),
    ("server prune", &["", "--yes"]),
    ("server rotate-key", &["--data /var/lib/metalwright", "--data /var/lib/metalwright --yes"]),
    ("apply", &["-f site/ --dry-run", "-f site/"]),
    ("backup", &["-o metalwright.tar"]),
    ("restore", &["metalwright.tar --data /var/lib/metalwright"]),
    ("check", &["", "--repair --yes"]),
    ("doctor dhcp", &["", "eth1 --probe", "eth1 --snippet kea"]),
    ("doctor artifacts", &[""]),
    ("doctor catalog", &[""]),
    ("doctor machines", &[""]),
    ("context list", &[""]),
    ("context use", &["lab"]),
    ("context delete", &["lab"]),
    ("context set", &["lab --server https://boot.example.org:8443 --token TOKEN"]),
];
