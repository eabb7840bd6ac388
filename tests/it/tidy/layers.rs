//! Which modules may use which. Each module of the program has a row: the modules of ours that it may use,
//! and the words of other crates that it must not. The most specific row counts. A module without a row is a
//! fault: decide, then add it.

use super::Fault;
use super::scan::{inside_brackets, line_of, split_at_commas};
use super::source::Source;

struct Layer {
    module: &'static str,
    sees: &'static [&'static str],
    refuses: &'static [&'static [&'static str]],
}

const fn layer(
    module: &'static str,
    sees: &'static [&'static str],
    refuses: &'static [&'static [&'static str]],
) -> Layer {
    Layer { module, sees, refuses }
}

const ALL: &str = "*";
const RUNTIME: &[&str] = &["tokio::", "socket2::", "std::thread::sleep"];
const SOCKETS: &[&str] = &["tokio::net", "socket2::", "UdpSocket", "TcpListener", "TcpStream", "AsyncFd"];
const HTTP: &[&str] = &["axum::", "hyper::", "hyper_util::", "tower::", "tower_http::", "reqwest::"];
const SQL: &[&str] = &["sqlx::", "rusqlite::"];
const TEMPLATES: &[&str] = &["tera::"];
const FILES: &[&str] = &["std::fs", "tokio::fs", "File::open", "nix::fcntl"];
const WALL_CLOCK: &[&str] = &["SystemTime::now", "Timestamp::now", "Zoned::now"];
const CLOCK: &[&str] = &["SystemTime::now", "Timestamp::now", "Zoned::now", "Instant::now"];

const HOUSE: &[&[&str]] = &[HTTP, SOCKETS, SQL, TEMPLATES];
const PURE_BUT_STOPWATCH: &[&[&str]] = &[RUNTIME, SOCKETS, HTTP, SQL, TEMPLATES, FILES, WALL_CLOCK];
const PURE: &[&[&str]] = &[RUNTIME, SOCKETS, HTTP, SQL, TEMPLATES, FILES, CLOCK];

#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    // 1. Nouns use nothing; codecs use nouns. No runtime, no files, no clock.
    layer("model", &[], PURE),
    layer("proto", &["model"], PURE),
    // 2. Decisions see nouns and bytes and are told the time. Rendering has a stopwatch for runaway
    // templates.
    layer("netboot::decide", &["model", "proto"], PURE),
    layer("dhcp::decide", &["model", "proto", "netboot::decide"], PURE),
    layer("render", &["model", "proto", "durations", "rate_limit"],
        &[RUNTIME, SOCKETS, HTTP, SQL, FILES, WALL_CLOCK]),
    layer("runs::flow", &["model", "proto"], PURE),
    layer("agent::step", &["model", "proto"], PURE),
    // The file of a backup, which the server, its API and the command line write and read.
    layer("archive", &["model"], &[RUNTIME, SOCKETS, HTTP, SQL, TEMPLATES, CLOCK]),
    // The files of a pack: folders, archives, digests, signatures.
    layer("pack_files", &["model", "zstd_frames"], &[RUNTIME, SOCKETS, HTTP, SQL, TEMPLATES, CLOCK]),
    // 3. SQL is only here.
    layer("store", &["durations", "model"], &[HTTP, SOCKETS, TEMPLATES]),
    // HTTP to places that objects name, within `fetch.allow`.
    layer("outbound", &["model"], &[SQL, TEMPLATES, FILES, &["axum::"]]),
    // Fetches, unpacks and keeps files.
    layer("artifacts::media",
        &["artifacts::media::iso", "outbound", "model", "zstd_frames"],
        &[SQL, TEMPLATES, &["axum::"]]),
    layer("artifacts::media::iso", &["model", "artifacts::media"],
        &[RUNTIME, SOCKETS, HTTP, SQL, TEMPLATES, FILES, CLOCK]),
    // 4. The base of every house: the only caller of the store.
    layer("kernel", &["durations", "model", "store", "rate_limit"], &[HTTP, SOCKETS, SQL, TEMPLATES]),
    // The types of the store that other modules may use through the kernel: values that a pure module may
    // build.
    layer("kernel::changeset", &["store"], PURE),
    layer("catalog::content", &["model", "pack_files", "render"], &[RUNTIME, SOCKETS, HTTP, SQL, CLOCK]),
    // Which object of a name is in force.
    layer("catalog::layers", &["catalog::content", "model", "render"], PURE),
    // The houses, each with the houses that it may use. A house comes after those that it uses: no circle.
    // None uses the store: the types that they commit come from the kernel.
    layer("background", &["kernel", "model"], HOUSE),
    layer("catalog",
        &["durations", "kernel", "catalog::content", "catalog::layers", "outbound", "pack_files", "render",
            "netboot::decide", "model"],
        HOUSE),
    layer("artifacts",
        &["kernel", "background", "artifacts::media", "outbound", "model", "rate_limit"],
        HOUSE),
    layer("objects",
        &["kernel", "catalog", "catalog::layers", "artifacts", "render", "netboot::decide", "dhcp::decide",
            "runs::flow", "model", "proto"],
        HOUSE),
    layer("channels", &["kernel", "catalog", "catalog::content", "objects", "model"], HOUSE),
    layer("access", &["kernel", "objects", "model", "rate_limit"], HOUSE),
    layer("maintenance", &["kernel", "artifacts", "archive", "model"], HOUSE),
    layer("records", &["kernel", "background", "model", "rate_limit"], HOUSE),
    layer("runs", &["kernel", "catalog", "objects", "records", "runs::flow", "render", "model"], HOUSE),
    layer("netboot",
        &["durations", "kernel", "catalog", "records", "runs", "runs::flow", "artifacts", "access",
            "netboot::decide", "render", "model", "proto", "rate_limit"],
        HOUSE),
    layer("dhcp",
        &["kernel", "catalog", "netboot", "objects", "dhcp::decide", "dhcp::packet", "netboot::decide",
            "render", "model", "proto", "rate_limit"],
        HOUSE),
    // Everything that follows from a packet, as a value. It names what is written, and does nothing.
    layer("dhcp::packet",
        &["dhcp", "dhcp::decide", "netboot::decide", "kernel::changeset", "model", "proto"],
        PURE),
    // Uses all houses, and none uses it.
    layer("insight",
        &["kernel", "background", "catalog", "objects", "netboot", "records", "dhcp", "dhcp::decide",
            "netboot::decide", "pack_files", "render", "model", "proto", "rate_limit"],
        HOUSE),
    // Constructs the houses, for edges that use several.
    layer("houses",
        &["kernel", "background", "catalog", "channels", "objects", "access", "artifacts", "maintenance",
            "records", "runs", "netboot", "dhcp", "insight", "render"],
        HOUSE),
    // Everything that two simultaneous writers can do, for tests.
    layer("objects::rules::races",
        &["objects", "houses", "houses::testing", "kernel", "runs", "model", "catalog::content"],
        HOUSE),
    // The houses on a store of their own, for tests.
    layer("houses::testing",
        &["houses", "kernel", "artifacts", "catalog", "catalog::content", "dhcp::decide", "netboot", "model",
            "proto", "render"],
        HOUSE),
    // 5. The edges translate and call the use cases, never the store.
    layer("api",
        &["channels", "console", "durations", "houses", "kernel", "access", "archive", "artifacts", "catalog",
            "dhcp", "insight", "maintenance", "objects", "pack_files", "records", "render", "runs", "model",
            "rate_limit"],
        &[SOCKETS, SQL, TEMPLATES]),
    // Files for browsers, which know nothing of the server.
    layer("console", &[], &[RUNTIME, SOCKETS, SQL, TEMPLATES, FILES, CLOCK]),
    // Shows the boot decision unchanged.
    layer("api::boot_preview", &["houses", "kernel", "insight", "netboot::decide", "model"],
        &[SOCKETS, SQL, TEMPLATES]),
    layer("http_boot",
        &["kernel", "artifacts", "netboot", "netboot::decide", "model", "proto", "connections", "rate_limit"],
        &[SQL, TEMPLATES]),
    layer("tftp", &["artifacts", "model", "proto", "threads", "datagrams", "rate_limit"],
        &[HTTP, SQL, TEMPLATES]),
    layer("dhcp::server",
        &["dhcp::decide", "durations", "model", "proto", "port_owner", "addresses", "datagrams",
            "rate_limit"],
        &[HTTP, SQL, TEMPLATES]),
    // 6. Programs that use a server from outside know the client and the nouns.
    layer("client", &["archive", "model"], &[SQL, TEMPLATES, &["axum::"]]),
    layer("cli", &["archive", "cli::doctor", "client", "model", "pack_files", "agent", "simulate"],
        &[SQL, TEMPLATES, &["axum::"]]),
    // Examines the host and the wire, besides asking the server.
    layer("cli::doctor", &["cli", "client", "model", "proto", "port_owner", "addresses"],
        &[SQL, TEMPLATES, &["axum::"]]),
    layer("agent", &["agent::step", "client", "model"], &[SQL, TEMPLATES, &["axum::"]]),
    layer("simulate", &["client", "model", "proto", "agent"], &[SQL, TEMPLATES, &["axum::"]]),
    layer("discovery", &["client", "model"], &[SQL, TEMPLATES, &["axum::"]]),
    // 7. These construct everything, and nothing uses them.
    layer("addresses", &[], &[RUNTIME, HTTP, SQL, TEMPLATES]),
    layer("port_owner", &[], &[RUNTIME, SOCKETS, HTTP, SQL, TEMPLATES]),
    layer("datagrams", &["rate_limit"], &[RUNTIME, HTTP, SQL, TEMPLATES]),
    layer("rate_limit", &[], &[RUNTIME, SOCKETS, HTTP, SQL, TEMPLATES, FILES, WALL_CLOCK]),
    layer("durations", &[], PURE_BUT_STOPWATCH),
    layer("zstd_frames", &[], &[RUNTIME, SOCKETS, HTTP, SQL, TEMPLATES, FILES, CLOCK]),
    layer("threads", &[], &[SOCKETS, HTTP, SQL, TEMPLATES]),
    layer("connections", &["threads"], &[HTTP, SQL, TEMPLATES]),
    layer("config", &["model", "pack_files"], &[HTTP, SOCKETS, SQL, TEMPLATES]),
    layer("telemetry", &["model", "config"], &[HTTP, SQL, TEMPLATES]),
    // What can be typed. It has no work of its own.
    layer("arguments", &["agent", "cli", "config", "simulate"], &[SOCKETS, HTTP, SQL, TEMPLATES]),
    layer("server", &[ALL], &[]),
    layer("main", &[ALL], &[]),
    layer("lib", &[], PURE),
];

pub fn faults(source: &Source) -> Vec<Fault> {
    let module = source.module();
    let Some(layer) = layer_of(&module) else {
        let why = format!("give `{module}` a row in the table of layers");
        return vec![Fault::new("layers", source.path.as_str(), why)];
    };
    let mut faults = Vec::new();
    for (line, seen) in modules_named(source.shipped()) {
        if !may_see(layer, &module, &seen) {
            let why = format!("line {line}: `{}` may not see `{seen}`", layer.module);
            faults.push(Fault::new("layers", format!("{} -> {seen}", source.path), why));
        }
    }
    faults.extend(refused_words(layer, source));
    faults
}

fn layer_of(module: &str) -> Option<&'static Layer> {
    LAYERS.iter().filter(|layer| is_within(module, layer.module)).max_by_key(|layer| layer.module.len())
}

fn is_within(path: &str, module: &str) -> bool {
    path == module || path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

/// A module may always use its own layer; a row's word covers everything below it without a row of its own.
fn may_see(layer: &Layer, module: &str, seen: &str) -> bool {
    let own = is_within(seen, layer.module) && layer_of(seen).is_some_and(|row| row.module == layer.module);
    own || is_within(module, seen) && layer_of(seen).is_some_and(|row| row.module == layer.module)
        || layer.sees.iter().any(|allowed| {
            *allowed == ALL
                || is_within(seen, allowed) && layer_of(seen).is_some_and(|row| row.module == *allowed)
        })
}

/// Every module of ours that `code` names, with its line. Three names deep, like the table.
fn modules_named(code: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let line = line_of(code, at);
        for path in paths_after(&code[at + "crate::".len()..], 3) {
            named.push((line, path));
        }
    }
    named
}

fn paths_after(rest: &str, depth: usize) -> Vec<String> {
    if rest.starts_with('{') {
        return split_at_commas(inside_brackets(rest))
            .into_iter()
            .flat_map(|part| paths_after(part, depth))
            .collect();
    }
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return Vec::new();
    }
    match rest[name.len()..].strip_prefix("::") {
        Some(inner) if depth > 1 => {
            let deeper = paths_after(inner, depth - 1);
            let is_module = |inner: &String| inner.starts_with(|c: char| c.is_lowercase());
            let (modules, items): (Vec<_>, Vec<_>) = deeper.into_iter().partition(is_module);
            let mut paths: Vec<_> = modules.into_iter().map(|inner| format!("{name}::{inner}")).collect();
            if !items.is_empty() || paths.is_empty() {
                paths.push(name);
            }
            paths
        }
        _ => vec![name],
    }
}

fn refused_words(layer: &Layer, source: &Source) -> Vec<Fault> {
    let code = source.shipped();
    let mut faults = Vec::new();
    for word in layer.refuses.iter().flat_map(|words| words.iter()) {
        if let Some((at, _)) = code.match_indices(word).find(|(at, _)| starts_a_word(code, *at)) {
            let why = format!("line {}: `{}` may not say `{word}`", line_of(code, at), layer.module);
            faults.push(Fault::new("layers", format!("{} -> {word}", source.path), why));
        }
    }
    if !layer.sees.contains(&"store")
        && layer.module != "store"
        && !layer.sees.contains(&ALL)
        && code.contains("sqlx")
    {
        faults.push(Fault::new(
            "layers",
            format!("{} -> sqlx", source.path),
            "SQL is spoken in `store` only",
        ));
    }
    if code.contains("super::super::") {
        let why = "write a path from the root (`crate::…`), so that it can be read and checked";
        faults.push(Fault::new("layers", source.path.as_str(), why));
    }
    faults
}

fn starts_a_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

#[test]
fn a_layer_that_looks_up_is_a_fault() {
    let source = Source::of(
        "src/netboot/decide/loader.rs",
        "use crate::model::Mac;\nuse crate::{store, runs::jobs};\n",
    );
    let places: Vec<String> = faults(&source).into_iter().map(|fault| fault.place).collect();
    assert_eq!(
        places,
        ["src/netboot/decide/loader.rs -> store", "src/netboot/decide/loader.rs -> runs::jobs"]
    );
}

#[test]
fn a_service_is_not_part_of_the_pure_module_around_it() {
    let source =
        Source::of("src/dhcp/leases.rs", "use crate::dhcp::server::run;\nuse crate::dhcp::decide::pick;\n");
    let places: Vec<String> = faults(&source).into_iter().map(|fault| fault.place).collect();
    assert_eq!(places, ["src/dhcp/leases.rs -> dhcp::server::run"]);
    let service = Source::of(
        "src/dhcp/server.rs",
        "use crate::dhcp::decide::answer;\nuse crate::port_owner::owner;\nuse tokio::net;\n",
    );
    assert!(faults(&service).is_empty());
}

#[test]
fn a_pure_module_may_not_read_the_clock_and_its_tests_may() {
    let body = "fn f() { jiff::Timestamp::now(); }\n";
    assert_eq!(faults(&Source::of("src/runs/flow/step.rs", body)).len(), 1);
    let tests = format!("fn g() {{}}\n#[cfg(test)]\nmod tests {{\n{body}}}\n");
    assert!(faults(&Source::of("src/runs/flow/step.rs", &tests)).is_empty());
}
