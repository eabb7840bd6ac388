//! Artifacts as an operator sees them: fetched, unpacked, served, verified, pruned. The other side is a file
//! server on loopback that loses connections on request; `xorriso` makes the images.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use metalwright::model::sha256_hex;
use serde_json::{Value, json};

use crate::api::Api;
use crate::net;
use crate::wire::BootSide;
use crate::world::World;

const SOON: Duration = Duration::from_secs(90);
/// Room for the database and for the bytes that stay free, and little more.
const DISK_BYTES: u64 = 96 << 20;

/// A server of one file over HTTP, with ranges.
struct FileServer {
    url: String,
    /// The `Range` of each request, or `all` without one.
    asked: Arc<Mutex<Vec<String>>>,
}

impl FileServer {
    /// `cuts` are the numbers of bytes after which the next connections are cut; later ones are not.
    fn of(name: &str, content: Vec<u8>, cuts: &[usize]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/{name}", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, cuts) = (Arc::clone(&asked), cuts.to_vec());
        thread::spawn(move || {
            for (i, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let most = cuts.get(i).copied().unwrap_or(usize::MAX);
                answer(stream, (&content, most), &seen);
            }
        });
        FileServer { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the list").clone()
    }
}

fn answer(mut stream: TcpStream, (content, most): (&[u8], usize), asked: &Mutex<Vec<String>>) {
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    asked.lock().expect("the list").push(range.clone().unwrap_or_else(|| "all".to_owned()));
    let from = range.and_then(|range| range.trim_end_matches('-').parse::<usize>().ok()).unwrap_or(0);
    let (rest, all) = (content.get(from..).unwrap_or_default(), content.len());
    let status = match from {
        0 => "200 OK".to_owned(),
        _ => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{all}", all - 1),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: \"v1\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        rest.len()
    );
    let sent = rest.get(..most.min(rest.len())).unwrap_or_default();
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent)));
}

fn sum(content: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(content))
}

/// The artifact as soon as its state is one of these.
fn settled(api: &Api, name: &str, states: &[&str]) -> Value {
    let deadline = Instant::now() + SOON;
    let mut events = api.events_after(0);
    loop {
        let artifact = api.get(&format!("/artifacts/{name}")).expect(200);
        let status = &artifact["status"];
        let done = status.get("asked").is_none() && states.iter().any(|state| status["state"] == *state);
        if done {
            return artifact;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        events.wait_for(SOON, |event| event["subject"] == format!("artifact:{name}"));
    }
}

/// A medium like Debian's; none without `xorriso`.
fn debian_image(scratch: &Path) -> Option<PathBuf> {
    let root = scratch.join("medium");
    let long = format!("pool/main/{}.deb", "long-name-".repeat(20));
    for (path, text) in [
        ("install.amd/vmlinuz", "kernel"),
        ("install.amd/initrd.gz", "initrd"),
        ("dists/bookworm/Release", "Codename: bookworm"),
        ("dists/bookworm/main/binary-amd64/Packages.gz", "packages"),
        (long.as_str(), "a package"),
    ] {
        let place = root.join(path);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::write(place, text).expect("a file");
    }
    // Too much for the buffers of a connection that is cut.
    let noise: Vec<u8> = (0..4_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    fs::write(root.join("noise"), noise).expect("a file");
    std::os::unix::fs::symlink(".", root.join("debian")).expect("a link");
    std::os::unix::fs::symlink("bookworm", root.join("dists/stable")).expect("a link");
    image(&root, &scratch.join("debian.iso"), &["-R", "-J"])
}

/// The image of a folder; none without `xorriso`.
fn image(root: &Path, iso: &Path, options: &[&str]) -> Option<PathBuf> {
    let mut make = Command::new("xorriso");
    make.args(["-as", "mkisofs", "-quiet"]).args(options).arg("-o").arg(iso).arg(root);
    match make.output() {
        Ok(output) if output.status.success() => Some(iso.to_owned()),
        Ok(output) => panic!("xorriso: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            eprintln!("xorriso is not installed (scripts/deps): images are not tested");
            None
        }
    }
}

/// A medium like Rocky Linux's: variants with an index each, names too long for Joliet, links, and a boot
/// image. None without `xorriso`.
fn rocky_image(scratch: &Path) -> Option<PathBuf> {
    let root = scratch.join("medium");
    let long = format!("AppStream/Packages/{0}/{1}-1.0-1.module+el9.x86_64.rpm", "j", "java-".repeat(30));
    let treeinfo = "[general]\nfamily = Rocky Linux\nversion = 9.4\nvariants = AppStream,BaseOS\n\
                    [variant-BaseOS]\npackages = BaseOS/Packages\nrepository = BaseOS\n\
                    [variant-AppStream]\npackages = AppStream/Packages\nrepository = AppStream\n";
    for (path, text) in [
        ("images/pxeboot/vmlinuz", "kernel"),
        ("images/pxeboot/initrd.img", "initrd"),
        ("images/install.img", "the second stage"),
        (".treeinfo", treeinfo),
        (".discinfo", "1714500000.0\n9.4\nx86_64\n"),
        ("media.repo", "[InstallMedia]"),
        ("BaseOS/repodata/repomd.xml", "<repomd/>"),
        ("BaseOS/Packages/b/bash-5.1.8-9.el9.x86_64.rpm", "bash"),
        ("AppStream/repodata/repomd.xml", "<repomd/>"),
        (long.as_str(), "java"),
        ("isolinux/isolinux.bin", "a boot image"),
    ] {
        let place = root.join(path);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::write(place, text).expect("a file");
    }
    std::os::unix::fs::symlink("BaseOS/Packages", root.join("Packages")).expect("a link");
    std::os::unix::fs::symlink("../images/pxeboot/vmlinuz", root.join("isolinux/vmlinuz")).expect("a link");
    let label = ["-V", "Rocky-9-4-x86_64-dvd", "-R", "-joliet", "-joliet-long", "-iso-level", "3"];
    let boot = ["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot"];
    image(&root, &scratch.join("rocky.iso"), &[&label[..], &boot].concat())
}

fn tarball(scratch: &Path, files: &[(&str, &str)]) -> PathBuf {
    let root = scratch.join("tarball");
    for (path, text) in files {
        let place = root.join(path);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::write(place, text).expect("a file");
    }
    let tar = scratch.join("files.tar.gz");
    let made = Command::new("tar").arg("-czf").arg(&tar).arg("-C").arg(&root).arg(".").status();
    assert!(made.expect("tar").success());
    fs::remove_dir_all(root).expect("gone");
    tar
}

fn trees(world: &World) -> Vec<PathBuf> {
    let found = fs::read_dir(world.data().join("media/trees"));
    found.into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn an_image_is_fetched_through_lost_connections_unpacked_and_served() {
    let world = World::on_loopback();
    let Some(iso) = debian_image(world.scratch()) else { return };
    let content = fs::read(iso).expect("the image");
    let checksum = sum(&content);
    let server = FileServer::of("debian.iso", content, &[1_000_000, 500_000]);
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    let files =
        json!({"artifact": "debian", "kernel": "install.amd/vmlinuz", "initrds": ["install.amd/initrd.gz"]});
    let bootenv = json!({"name": "site-debian", "kind": "install", "arches": {"amd64": files}});
    let before = api.post("/bootenvs", bootenv).expect(201);
    assert!(before["problems"].to_string().contains("there is no artifact debian"), "{before:#}");

    let source = json!({"url": server.url, "checksum": checksum});
    api.post("/artifacts", json!({"name": "debian", "fetch": source})).expect(201);
    let ready = settled(&api, "debian", &["ready", "failed"]);
    assert_eq!(ready["status"]["state"], "ready", "{ready:#}");
    let asked = server.asked();
    assert_eq!((asked.len(), asked[0].as_str()), (3, "all"), "{asked:?}");
    assert!(asked[1..].iter().all(|range| range.ends_with('-') && range != "0-"), "{asked:?}");
    let repositories = &ready["status"]["repositories"];
    assert_eq!(
        (&repositories[0]["distribution"], &repositories[0]["components"]),
        (&json!("bookworm"), &json!(["main"]))
    );
    let package = format!("artifacts/debian/pool/main/{}.deb", "long-name-".repeat(20));
    let through_links = "artifacts/debian/debian/dists/stable/Release";
    for (path, text) in [(package.as_str(), "a package"), (through_links, "Codename: bookworm")] {
        assert_eq!(boot.read(path), Ok(text.as_bytes().to_vec()), "{path}");
    }
    assert_eq!(api.get("/bootenvs/site-debian").expect(200)["problems"], json!([]));
    assert!(fs::read_dir(world.data().join("media/fetched")).expect("a folder").next().is_none());
}

#[test]
fn the_medium_of_rocky_linux_is_the_tree_that_its_installer_installs_from() {
    let world = World::on_loopback();
    let Some(iso) = rocky_image(world.scratch()) else { return };
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    let added = world.cli(&["artifacts", "add", "rocky-9-amd64", "--iso", iso.to_str().expect("a path")]);
    // The catalogue of the boot image is a file too.
    assert!(added.starts_with("artifact rocky-9-amd64 is ready: 12 files"), "{added}");
    let java = format!("AppStream/Packages/j/{}-1.0-1.module+el9.x86_64.rpm", "java-".repeat(30));
    for (path, text) in [
        ("images/install.img", "the second stage"),
        ("isolinux/vmlinuz", "kernel"),
        ("Packages/b/bash-5.1.8-9.el9.x86_64.rpm", "bash"),
        (java.as_str(), "java"),
        ("AppStream/repodata/repomd.xml", "<repomd/>"),
    ] {
        assert_eq!(boot.get(&format!("/artifacts/rocky-9-amd64/{path}")), (200, text.to_owned()), "{path}");
    }
    let kernel = boot.get("/artifacts/rocky-9-amd64/images/pxeboot/vmlinuz");
    assert_eq!(kernel.0, 403, "what installs is for the machine that is to be installed: {}", kernel.1);
    let artifact = api.get("/artifacts/rocky-9-amd64").expect(200);
    let found = artifact["status"]["repositories"].as_array().expect("repositories").iter();
    let told: Vec<_> = found.map(|it| (it["path"].as_str(), it["install_source"].as_bool())).collect();
    let expected = [("", true), ("AppStream", false), ("BaseOS", false)];
    assert_eq!(told, expected.map(|(path, installs)| (Some(path), Some(installs))));
    assert_eq!(api.get("/bootenvs/rocky-9-install").expect(200)["problems"], json!([]));
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_fetch_goes_on_with_the_rest() {
    let mut world = World::on_loopback();
    let content = fs::read(tarball(world.scratch(), &[("linux", "kernel")])).expect("the tarball");
    // Three connections are cut at once, so the fetch pauses for seconds with half of the file.
    let half = content.len() / 2;
    let server = FileServer::of("files.tar.gz", content.clone(), &[half, 0, 0, 0, 0]);
    let source = json!({"url": server.url, "checksum": sum(&content)});
    world.api().post("/artifacts", json!({"name": "files", "fetch": source})).expect(201);
    let deadline = Instant::now() + SOON;
    while server.asked().len() < 2 {
        assert!(Instant::now() < deadline, "{:?}", server.asked());
        thread::yield_now();
    }
    world.kill();
    let before = server.asked().len();
    world.start();
    let ready = settled(&world.api(), "files", &["ready", "failed"]);
    assert_eq!(ready["status"]["state"], "ready", "{ready:#}");
    let asked = server.asked();
    assert!(asked[before..].iter().all(|range| *range == format!("{half}-")), "{asked:?}");
    assert_eq!(BootSide::of(world.ready()).read("artifacts/files/linux"), Ok(b"kernel".to_vec()));
}

#[test]
fn a_wrong_checksum_is_the_reason_on_the_artifact_and_on_the_bootenv() {
    let world = World::on_loopback();
    let api = world.api();
    let server = FileServer::of("linux.tar", b"not what it was".to_vec(), &[]);
    let checksum = sum(b"what it was");
    let source = json!({"url": server.url, "checksum": checksum});
    api.post("/artifacts", json!({"name": "a", "fetch": source})).expect(201);
    let failed = settled(&api, "a", &["ready", "failed"]);
    let reason = failed["status"]["reason"].as_str().expect("a reason");
    assert!(failed["status"]["state"] == "failed" && reason.contains(&checksum[7..]), "{reason}");
    let bootenv =
        json!({"name": "b", "kind": "live", "arches": {"amd64": {"artifact": "a", "kernel": "linux"}}});
    let bootenv = api.post("/bootenvs", bootenv).expect(201);
    assert!(bootenv["problems"].to_string().contains("artifact a is failed: "), "{bootenv:#}");
    api.post("/artifacts", json!({"name": "c", "fetch": {"url": server.url}})).expect(422);
}

#[test]
fn files_that_have_changed_are_found_and_fetched_again() {
    let world = World::on_loopback();
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    let tar = tarball(world.scratch(), &[("linux", "kernel"), ("initrd.gz", "initrd")]);
    let added = world.cli(&["artifacts", "add", "a", "--tar", tar.to_str().expect("a path")]);
    assert_eq!(added, "artifact a is ready: 2 files, 12 B\n");
    assert_eq!(world.cli(&["artifacts", "verify", "a"]), added);

    let [tree] = trees(&world).try_into().expect("one tree");
    fs::remove_file(tree.join("linux")).expect("removed");
    fs::write(tree.join("linux"), "other!").expect("changed");
    let said = String::from_utf8(world.try_cli(&["artifacts", "verify", "a"]).stderr).expect("text");
    assert!(said.contains("its files are not what they were: linux"), "{said}");
    let status = api.get("/artifacts/a").expect(200)["status"].take();
    assert_eq!((&status["state"], &status["damaged"]), (&json!("failed"), &json!(["linux"])));
    let (status, why) = boot.get("/artifacts/a/linux");
    assert!(
        status == 503 && why.contains("metalwright artifacts fetch a fetches it again"),
        "{status} {why}"
    );
    assert_eq!(boot.read("artifacts/a/initrd.gz"), Ok(b"initrd".to_vec()), "the others are whole");

    assert_eq!(world.cli(&["artifacts", "fetch", "a"]), added);
    assert_eq!(boot.read("artifacts/a/linux"), Ok(b"kernel".to_vec()));
}

#[test]
fn what_two_artifacts_share_is_there_once_and_goes_with_the_last_of_them() {
    let world = World::on_loopback();
    let api = world.api();
    let tar = tarball(world.scratch(), &[("linux", "kernel")]);
    let tar = tar.to_str().expect("a path");
    world.cli(&["artifacts", "add", "a", "--tar", tar]);
    world.cli(&["artifacts", "add", "b", "--tar", tar]);
    assert_eq!(trees(&world).len(), 1);
    assert_eq!(world.cli(&["artifacts", "prune", "--yes"]), "0 went, 0 B\n");
    api.delete("/artifacts/a").expect(204);
    assert_eq!(world.cli(&["artifacts", "prune", "--yes"]), "0 went, 0 B\n");
    api.delete("/artifacts/b").expect(204);
    let dry = world.cli(&["artifacts", "prune"]);
    assert!(dry.starts_with("tree ") && dry.contains("\nmanifest ") && dry.contains("2 would go"), "{dry}");
    assert_eq!(trees(&world).len(), 1, "a dry run deletes nothing");
    let told = api.post("/artifacts/actions/prune", json!({})).expect(200);
    assert_eq!((&told["dry_run"], trees(&world).len()), (&json!(true), 1), "an empty body deletes nothing");
    let report = api.post("/artifacts/actions/prune", json!({"dry_run": false})).expect(200);
    assert_eq!(report["items"].as_array().map(Vec::len), Some(2));
    assert!(trees(&world).is_empty());
}

#[test]
fn a_kernel_that_is_not_in_its_artifact_is_told_before_a_machine_is_powered_on() {
    let world = World::on_loopback();
    let api = world.api();
    let tar = tarball(world.scratch(), &[("linux", "kernel")]);
    let files = json!({"artifact": "a", "kernel": "linux", "initrds": ["initrd.gz"]});
    api.post("/bootenvs", json!({"name": "b", "kind": "live", "arches": {"amd64": files}})).expect(201);
    world.cli(&["artifacts", "add", "a", "--tar", tar.to_str().expect("a path")]);
    let mut events = api.events_after(0);
    events.wait_for(SOON, |event| event["data"]["absent"] == json!(["initrd.gz"]));
    let problems = api.get("/bootenvs/b").expect(200)["problems"].to_string();
    assert!(problems.contains("artifact a has no file initrd.gz"), "{problems}");
    api.post("/stages", json!({"name": "b", "bootenv": "b"})).expect(201);
    api.post("/workflows", json!({"name": "b", "stages": ["b"]})).expect(201);
    api.post("/machines", json!({"name": "web1"})).expect(201);
    let refused = api.post("/machines/name:web1/actions/start", json!({"workflow": "b"})).expect(409);
    assert!(refused.to_string().contains("artifact a has no file initrd.gz"), "{refused:#}");
}

#[test]
fn a_hostile_tarball_writes_nothing_outside_and_says_why() {
    let world = World::on_loopback();
    let folder = world.scratch().join("hostile");
    fs::create_dir(&folder).expect("a folder");
    std::os::unix::fs::symlink("/etc", folder.join("out")).expect("a link");
    let tar = world.scratch().join("hostile.tar");
    let made = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&folder).arg(".").status();
    assert!(made.expect("tar").success());
    let added = world.try_cli(&["artifacts", "add", "a", "--tar", tar.to_str().expect("a path")]);
    let said = String::from_utf8(added.stderr).expect("text");
    assert!(!added.status.success() && said.contains("the link out -> /etc leaves the tree"), "{said}");
    assert!(trees(&world).is_empty());
}

#[test]
fn what_does_not_fit_on_the_disk_is_refused_and_the_database_goes_on() {
    if !net::may_make_namespaces() {
        return;
    }
    let inside = || {
        let mut world = World::on_loopback();
        assert!(world.stop().success());
        world.on_a_small_disk(DISK_BYTES);
        world.start();
        let api = world.api();
        let server = FileServer::of("large.bin", vec![0; 40 << 20], &[]);
        let source = json!({"url": server.url, "unverified": true});
        api.post("/artifacts", json!({"name": "a", "kind": "file", "fetch": source})).expect(201);
        let failed = settled(&api, "a", &["ready", "failed"]);
        let reason = failed["status"]["reason"].as_str().expect("a reason");
        assert!(
            failed["status"]["state"] == "failed" && reason.contains("too full: 40 MiB are needed"),
            "{reason}"
        );
        api.post("/machines", json!({"name": "web1"})).expect(201);
    };
    let outcome = thread::scope(|scope| scope.spawn(inside).join());
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
