//! What an artifact may reach of the host's files and network, as tried by somebody who may write artifacts.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::unistd::Uid;
use serde_json::{Value, json};

use crate::api::Api;
use crate::wire::BootSide;
use crate::world::World;

const SOON: Duration = Duration::from_secs(90);
const LOOPBACK: [&str; 6] =
    ["--api-listen", "127.0.0.1:0", "--boot-http", "127.0.0.1:0", "--tftp-listen", "127.0.0.1:0"];

/// A server that serves no file of the host, and fetches from 127.0.0.2.
fn world() -> World {
    let rules = ["--artifacts-root", "/nonexistent", "--fetch-allow", "127.0.0.2"];
    World::with(&[&LOOPBACK[..], &rules].concat())
}

/// A caller who may only write artifacts.
fn clerk(world: &World) -> Api {
    let api = world.api();
    let made = api.post("/tokens", json!({"name": "clerk", "scopes": ["artifacts:write"]})).expect(201);
    api.with_token(made["token"].as_str().expect("a token"))
}

/// The state and reason of an artifact once it is over.
pub fn settled(api: &Api, name: &str) -> (String, String) {
    let mut events = api.events_after(0);
    events.wait_for(SOON, |event| {
        let state = &event["data"]["state"];
        event["subject"] == format!("artifact:{name}") && (state == "failed" || state == "ready")
    });
    let status = api.get(&format!("/artifacts/{name}")).expect(200)["status"].take();
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

#[test]
fn who_may_write_artifacts_gets_no_key_of_the_server_and_no_file_of_the_host() {
    let world = World::with(&[&LOOPBACK[..], &["--artifacts-root", "/"]].concat());
    let clerk = clerk(&world);
    let data = world.data();
    let link = world.scratch().join("link");
    symlink(&data, &link).expect("a link");
    for (n, path) in
        [data.clone(), data.join("tls"), link.clone(), link.join("tls"), "/".into()].iter().enumerate()
    {
        let refused = clerk.post("/artifacts", json!({"name": format!("a{n}"), "path": path})).expect(422);
        assert!(refused.to_string().contains("data directory"), "{}: {refused:#}", path.display());
    }
    let key = json!({"name": "key", "kind": "file", "path": data.join("secret.key")});
    clerk.post("/artifacts", key).expect(422);
    let copy = json!({"name": "copy", "kind": "file", "fetch": {"path": data.join("admin.token")}});
    clerk.post("/artifacts", copy).expect(422);
    let url = json!({"name": "url", "kind": "file", "fetch": {"url": "file:///etc/shadow"}});
    let refused = clerk.post("/artifacts", url).expect(422).to_string();
    assert!(refused.contains("is not a scheme") && refused.contains("fetch.path"), "{refused}");

    // A link that replaces a served folder.
    let tree = world.scratch().join("tree");
    fs::create_dir(&tree).expect("a folder");
    fs::write(tree.join("linux"), "kernel").expect("a file");
    world.cli(&["artifacts", "add", "tree", "--dir", tree.to_str().expect("a path")]);
    let boot = BootSide::of(world.ready());
    assert_eq!(boot.get("/artifacts/tree/linux").0, 200);
    fs::rename(&tree, world.scratch().join("before")).expect("a rename");
    symlink(&data, &tree).expect("a link");
    let (status, why) = boot.get("/artifacts/tree/admin.token");
    assert!(status == 403 && why.contains("data directory"), "{status} {why}");
}

#[test]
fn files_of_the_host_are_served_from_below_the_roots_and_the_import_folder() {
    let world = world();
    let clerk = clerk(&world);
    for path in ["/etc", "/srv", "/usr/lib/debian-installer"] {
        let refused = clerk.post("/artifacts", json!({"name": "a", "path": path})).expect(422);
        assert!(refused.to_string().contains("artifacts.roots"), "{refused:#}");
    }
    let cli = world.try_cli(&["artifacts", "add", "a", "--dir", "/etc"]);
    assert!(String::from_utf8_lossy(&cli.stderr).contains("artifacts.roots"), "{cli:?}");

    let world = World::with(&LOOPBACK);
    let import = world.data().join("import");
    fs::create_dir(&import).expect("a folder");
    let mut world = world;
    world.listen(&[&LOOPBACK[..], &["--artifacts-root", import.to_str().expect("a path")]].concat());
    assert!(world.stop().success());
    world.start();
    fs::write(import.join("linux"), "kernel").expect("a file");
    let dir = import.to_str().expect("a path");
    assert_eq!(world.cli(&["artifacts", "add", "a", "--dir", dir]), "artifact a is ready: 1 files, 6 B\n");
    let boot = BootSide::of(world.ready());
    assert_eq!(boot.get("/artifacts/a/linux"), (200, "kernel".to_owned()));
    assert_ne!(boot.get("/artifacts/a/../secret.key").0, 200);
}

/// A service of the host that answers with a secret, or sends elsewhere; it notes who came.
pub fn service(address: &str, redirect: Option<&str>) -> (String, Receiver<()>) {
    let listener = TcpListener::bind((address, 0)).expect("a port");
    let url = format!("http://{}/secret", listener.local_addr().expect("an address"));
    let answer = match redirect {
        None => "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret".to_owned(),
        Some(to) => {
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
    };
    let (sender, came) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if sender.send(()).is_err() {
                return;
            }
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    (url, came)
}

#[test]
fn services_of_the_host_are_not_read_by_a_fetch_a_redirect_or_a_mirror() {
    let world = world();
    let clerk = clerk(&world);
    let (inner, came) = service("127.0.0.9", None);
    let fetch = |name: &str, source: Value| {
        let mut source = source;
        source["unverified"] = json!(true);
        json!({"name": name, "kind": "file", "fetch": source})
    };
    let refused = clerk.post("/artifacts", fetch("direct", json!({"url": inner}))).expect(422).to_string();
    assert!(refused.contains("loopback") && refused.contains("`fetch.allow`"), "{refused}");
    // A name, and an odd spelling, are found out when they are resolved.
    let port = inner.rsplit(':').next().expect("a port").to_owned();
    for (name, url) in
        [("odd", format!("http://2130706441:{port}")), ("redirect", service("127.0.0.2", Some(&inner)).0)]
    {
        clerk.post("/artifacts", fetch(name, json!({"url": url}))).expect(201);
        let (state, reason) = settled(&world.api(), name);
        assert_eq!(state, "failed", "{reason}");
        assert!(reason.contains("`fetch.allow`"), "{name}: {reason}");
    }
    let mirror =
        json!({"name": "mirror", "fetch": {"url": format!("http://2130706441:{port}/"), "mirror": {}}});
    clerk.post("/artifacts", mirror).expect(201);
    let (state, reason) = settled(&world.api(), "mirror");
    assert!(state == "failed" && reason.contains("`fetch.allow`"), "{state}: {reason}");
    assert_ne!(BootSide::of(world.ready()).get("/artifacts/mirror/secret").0, 200);
    assert!(came.try_recv().is_err(), "nobody came to the service");

    // A listed address is fetched from.
    let (listed, _came) = service("127.0.0.2", None);
    clerk.post("/artifacts", fetch("listed", json!({"url": listed}))).expect(201);
    assert_eq!(settled(&world.api(), "listed").0, "ready");
}

#[test]
fn a_start_as_root_gives_no_file_away_that_a_link_leads_to() {
    if !Uid::effective().is_root() {
        eprintln!("only root can start a server that changes its user: not tested");
        return;
    }
    let mut world = World::on_loopback();
    assert!(world.stop().success());
    let victim = world.scratch().join("shadow");
    fs::write(&victim, "secret").expect("a file");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).expect("a mode");
    // The user needs access to the data directory.
    fs::set_permissions(world.scratch(), fs::Permissions::from_mode(0o755)).expect("a mode");
    symlink(&victim, world.data().join("loaders-x")).expect("a link");
    symlink(&victim, world.data().join("admin.partial")).expect("a link");
    world.listen(&[&LOOPBACK[..], &["--user", "nobody"]].concat());
    world.start();
    let owner = |path: &Path| fs::metadata(path).expect("a file").uid();
    assert_eq!(owner(&victim), 0);
    assert_eq!(owner(&world.data().join("metalwright.db")), 65_534);
    assert_eq!(fs::read_to_string(&victim).expect("a file"), "secret");

    // A server that stays root does not write through that user's link either.
    assert!(world.stop().success());
    world.listen(&LOOPBACK);
    fs::remove_dir_all(world.data().join("tls")).expect("a folder");
    symlink(world.scratch(), world.data().join("tls")).expect("a link");
    let said = world.refused_start();
    assert!(said.contains("tls is a link") && said.contains("`user`"), "{said}");
}
