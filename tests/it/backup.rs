//! Backups: made while machines boot, restored, and refused where they are damaged, by the very commands of
//! `docs/operating/backup.md`; and the check of what is stored. Start reading at [`BackupPage`].

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::api::Api;
use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::{PROGRAM, World};

const PAGE: &str = include_str!("../../docs/operating/backup.md");
/// The data directory of the page.
const DATA: &str = "/var/lib/metalwright";
/// The folder of its backups.
const BACKUPS: &str = "/srv/backups";
const SECRET: &str = "correct horse battery";

/// The commands of the page that begin with a word, with paths of the test in the place of those of the page.
struct BackupPage {
    data: PathBuf,
    folder: PathBuf,
}

impl BackupPage {
    fn of(world: &World) -> BackupPage {
        let folder = world.scratch().join("backups");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("passphrase"), "correct horse\n").expect("a passphrase");
        BackupPage { data: world.data(), folder }
    }

    /// Runs the command of the page that has these words.
    fn run(&self, words: &str) -> Output {
        let line =
            PAGE.lines().filter_map(|line| line.strip_prefix("    ")).find(|line| line.contains(words));
        let line = line.unwrap_or_else(|| panic!("the page has no command with {words:?}"));
        let line = line.replace(DATA, self.data.to_str().expect("a path in UTF-8"));
        let line = line.replace(BACKUPS, self.folder.to_str().expect("a path in UTF-8"));
        let program = Path::new(PROGRAM).parent().expect("a folder").to_str().expect("a path in UTF-8");
        let path = format!("{program}:{}", std::env::var("PATH").expect("a PATH"));
        Command::new("sh").args(["-c", &line]).env("PATH", path).output().expect("a shell")
    }

    fn done(&self, words: &str) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}: {said}");
        said + &String::from_utf8_lossy(&output.stdout)
    }

    fn refused(&self, words: &str) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// `web1` in the middle of its installation, a secret, and an artifact that the server keeps itself.
fn site(world: &World) -> (Api, String) {
    let api = world.api();
    api.post("/params", json!({"name": "canary", "secret": true, "schema": {"type": "string"}})).expect(201);
    api.post("/profiles", json!({"name": "site", "params": {"canary": SECRET}})).expect(201);
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    scene::start_web1(&api);
    let boot = BootSide::of(world.ready());
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let capability = scene::capability(&script).to_owned();
    assert_eq!(boot.get(&format!("/m/{capability}/linux")), (200, "a kernel".to_owned()));
    (api, capability)
}

/// Everything below a folder: names, sizes and digests.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").display().to_string();
                found.push((name, fs::read(&path).unwrap_or_default()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_backup_that_is_made_while_machines_boot_is_restored_and_the_runs_go_on() {
    let mut world = World::on_loopback();
    let page = BackupPage::of(&world);
    let (api, capability) = site(&world);
    // Machines go on booting, and writing, while the backup is made.
    let (boot, base) =
        (BootSide::of(world.ready()), world.ready()["api"].as_str().expect("an API").to_owned());
    let token = fs::read_to_string(world.data().join("admin.token")).expect("the token");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let load = std::thread::spawn(move || {
        let api = Api::new(&base, token.trim());
        let mut made = 0;
        while let Err(std::sync::mpsc::TryRecvError::Empty) = stopped.try_recv() {
            api.post("/machines", json!({"name": format!("load{made}")})).expect(201);
            assert_eq!(boot.get("/boot.ipxe?mac=52:54:00:aa:00:99").0, 200);
            made += 1;
        }
        made
    });
    page.done("metalwright backup");
    drop(stop);
    assert!(load.join().expect("the load goes on to its end") > 0);
    let backup = page.file("metalwright.backup");
    let mode = fs::metadata(&backup).expect("a backup").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!page.file("metalwright.backup.partial").exists() && !world.data().join("backup.db").exists());
    let event =
        api.events_after(0).wait_for(scene::EVENT_WITHIN, |event| event["kind"] == "server.backed_up");
    assert_eq!((&event["actor"], &event["data"]["artifacts"]), (&json!("token:admin"), &json!(false)));
    assert!(page.refused("metalwright backup").contains("is there already"));
    assert!(page.refused("metalwright restore").contains("a server runs on"));

    assert!(world.stop().success());
    assert!(page.refused("metalwright restore").contains("is not empty"));
    fs::remove_dir_all(world.data()).expect("the data are lost");
    let said = page.done("metalwright restore");
    assert!(said.contains("debian-12-amd64: its files are not in the backup"), "{said}");
    assert_eq!(fs::metadata(world.data()).expect("a folder").permissions().mode() & 0o777, 0o700);
    page.done("metalwright check");

    world.start();
    let api = world.api();
    let boot = BootSide::of(world.ready());
    let (status, answers) = boot.get(&format!("/m/{capability}/preseed.cfg"));
    assert_eq!(status, 200, "the capability is that of the key in the backup: {answers}");
    assert_eq!(boot.post(&format!("/m/{capability}/done"), ""), (200, "web1: noted\n".to_owned()));
    api.events_after(0).wait_for(scene::EVENT_WITHIN, |event| event["kind"] == "run.completed");
    let restored =
        api.events_after(0).wait_for(scene::EVENT_WITHIN, |event| event["kind"] == "server.restored");
    assert_eq!(restored["actor"], "server");
    assert_eq!(api.get("/profiles/site").expect(200)["problems"], json!([]), "its secret opens");
}

#[test]
fn a_backup_that_is_damaged_or_of_a_later_version_is_refused_and_changes_nothing() {
    let mut world = World::on_loopback();
    let page = BackupPage::of(&world);
    site(&world);
    page.done("metalwright backup");
    assert!(world.stop().success());
    let backup = page.file("metalwright.backup");
    let whole = fs::read(&backup).expect("a backup");
    let before = contents(&world.data());
    let refused = |bytes: &[u8]| {
        fs::write(&backup, bytes).expect("a backup");
        let output = world.try_cli(&["restore", backup.to_str().expect("a path"), "--force"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(contents(&world.data()) == before, "nothing was changed");
        let beside =
            fs::read_dir(world.scratch()).expect("a folder").map(|entry| entry.expect("it").file_name());
        let left: Vec<_> = beside.filter(|name| name.to_string_lossy().starts_with("data.")).collect();
        assert!(left.is_empty(), "{left:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for end in [0, 20, whole.len() / 2, whole.len() - 1] {
        let said = refused(&whole[..end]);
        assert!(said.contains("backup"), "{end}: {said}");
    }
    for at in [whole.len() / 3, whole.len() / 2] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        let said = refused(&flipped);
        assert!(said.contains("not a whole backup"), "{at}: {said}");
    }
    let said = refused(&later(&whole));
    assert!(said.contains("a later version made it"), "{said}");

    // The whole one takes the place, and what was there is beside.
    fs::write(&backup, &whole).expect("the backup");
    world.cli(&["restore", backup.to_str().expect("a path"), "--force"]);
    let beside = fs::read_dir(world.scratch()).expect("a folder").map(|entry| entry.expect("it").path());
    let kept: Vec<_> = beside.filter(|path| path.display().to_string().contains("data.before-")).collect();
    assert!(kept.len() == 1 && contents(&kept[0]) == before, "{kept:?}");
    world.start();
}

/// The same backup, as of a program with one more migration.
fn later(backup: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    GzDecoder::new(backup).read_to_end(&mut tar).expect("a gzip'd tar");
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut made = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for entry in archive.entries().expect("members") {
        let mut entry = entry.expect("a member");
        let path = entry.path().expect("a name").into_owned();
        let (mut header, mut content) = (entry.header().clone(), Vec::new());
        entry.read_to_end(&mut content).expect("content");
        if path == Path::new("backup.json") {
            let mut facts: Value = serde_json::from_slice(&content).expect("facts");
            facts["schema"] = (facts["schema"].as_u64().expect("a number") + 1).into();
            content = facts.to_string().into_bytes();
            header.set_size(content.len() as u64);
            header.set_cksum();
        }
        made.append_data(&mut header, path, content.as_slice()).expect("a member");
    }
    made.into_inner().and_then(flate2::write::GzEncoder::finish).expect("a backup")
}

#[test]
fn an_encrypted_backup_of_a_server_that_is_stopped_has_the_files_of_artifacts_if_asked() {
    let mut world = World::on_loopback();
    let page = BackupPage::of(&world);
    site(&world);
    let tar = world.scratch().join("tree.tar");
    crate::world::run("tar", &["-cf", tar.to_str().expect("a path"), "-C", "/etc", "hostname"]);
    world.cli(&["artifacts", "add", "kept", "--tar", tar.to_str().expect("a path")]);
    assert!(world.stop().success());
    let before = contents(&world.data().join("media/trees"));
    page.done("--artifacts");
    let text = fs::read(page.file("metalwright.sealed")).expect("a backup");
    assert!(text.starts_with(b"metalwright sealed backup 1\n"));
    let sealed = page.file("metalwright.sealed");
    let locked = world.try_cli(&["restore", sealed.to_str().expect("a path"), "--force"]);
    assert!(String::from_utf8_lossy(&locked.stderr).contains("--passphrase-file"), "{locked:?}");
    fs::remove_dir_all(world.data()).expect("the data are lost");
    page.done("restore /srv/backups/metalwright.sealed");
    assert!(contents(&world.data().join("media/trees")) == before, "the files are there again");
    let report: Value = serde_json::from_str(&world.cli(&["check", "-o", "json"])).expect("a report");
    assert_eq!(report["artifacts"], 2, "{report:#}");
    world.start();
    assert_eq!(world.api().get("/artifacts/kept").expect(200)["status"]["state"], "ready");
}

#[test]
fn a_row_that_cannot_be_read_is_told_and_moved_out_and_its_name_is_free() {
    let mut world = World::on_loopback();
    let page = BackupPage::of(&world);
    let made = world.api().post("/machines", json!({"name": "web1", "macs": [MAC]})).expect(201);
    let key = made["id"].as_str().expect("an id").to_owned();
    assert!(world.stop().success());
    let database = rusqlite::Connection::open(world.data().join("metalwright.db")).expect("the database");
    database.execute("UPDATE machine SET document = '{\"spec\": 7' WHERE key = ?1", [&key]).expect("a row");
    drop(database);

    world.start();
    let ready = world.api().get("//readyz").expect(200);
    assert_eq!(ready["status"], "degraded");
    let warnings = ready["warnings"].to_string();
    assert!(warnings.contains("1 rows of the database") && !warnings.contains(&key), "{ready:#}");
    world.api().post("/machines", json!({"name": "web1"})).expect(409);
    let found = world.api().get("/server/check").expect(200);
    assert_eq!(found["findings"][0]["subject"], format!("machine:{key}"), "{found:#}");
    let asked = page.refused("metalwright check");
    assert!(asked.contains("1 errors"), "{asked}");
    assert!(world.stop().success());

    let before = contents(&world.data());
    let said = page.refused("check --data /var/lib/metalwright --repair");
    assert!(said.contains("1 rows would be moved"), "{said}");
    let database = |contents: &[(String, Vec<u8>)]| {
        contents.iter().find(|(name, _)| name == "metalwright.db").map(|(_, bytes)| bytes.clone())
    };
    assert!(database(&before) == database(&contents(&world.data())), "without --yes nothing is changed");
    let said = page.done("--repair --yes");
    assert!(said.contains("1 rows were moved to"), "{said}");
    page.done("metalwright check");
    let kept = contents(&world.data());
    let kept = kept.iter().find(|(name, _)| name.starts_with("damaged-")).expect("a file with the row");
    let row: Value = serde_json::from_slice(&kept.1).expect("one line of JSON");
    assert_eq!((&row["row"]["key"], &row["row"]["document"]), (&json!(key), &json!("{\"spec\": 7")));

    world.start();
    let api = world.api();
    assert_eq!(api.get("//readyz").expect(200)["status"], "ok");
    api.post("/machines", json!({"name": "web1", "macs": [MAC]})).expect(201);
    api.events_after(0).wait_for(scene::EVENT_WITHIN, |event| event["kind"] == "server.rows_set_aside");
}

#[test]
fn a_certificate_that_is_missing_is_no_start_and_another_key_is_told_everywhere() {
    let mut world = World::on_loopback();
    let (_, _) = site(&world);
    assert!(world.stop().success());
    let (tls, away) = (world.data().join("tls"), world.scratch().join("tls"));
    fs::rename(&tls, &away).expect("it is lost");
    let said = world.refused_start();
    assert!(said.contains("tls is missing") && said.contains("mkdir -m 700"), "{said}");
    assert!(!tls.exists(), "none was made");
    fs::rename(&away, &tls).expect("it is found");

    let key = world.data().join("secret.key");
    let kept = fs::read(&key).expect("the key");
    fs::write(&key, [7; 32]).expect("another key");
    world.start();
    let api = world.api();
    let ready = api.get("//readyz").expect(200);
    assert!(ready["warnings"].to_string().contains("1 secret values do not open"), "{ready:#}");
    assert_eq!(ready["status"], "degraded");
    let problems = api.get("/profiles/site").expect(200)["problems"].to_string();
    assert!(problems.contains("/params/canary") && problems.contains("secret.key"), "{problems}");
    let found = api.get("/server/check").expect(200).to_string();
    assert!(found.contains("profile:site") && !found.contains(SECRET), "{found}");
    api.patch("/profiles/site", json!({"params": {"canary": "x"}})).expect(200);
    assert_eq!(api.get("//readyz").expect(200)["status"], "ok", "it was set anew");
    assert!(world.stop().success());
    fs::write(&key, kept).expect("the key");
}

#[test]
fn only_who_may_do_everything_has_a_backup() {
    let world = World::on_loopback();
    let api = world.api();
    let scopes = json!(["*:read", "*:write", "server:write"]);
    let made = api.post("/tokens", json!({"name": "most", "scopes": scopes})).expect(201);
    let other = api.with_token(made["token"].as_str().expect("a token"));
    let refused = other.post("/server/backup", json!({})).expect(403);
    assert!(refused["detail"].to_string().contains("`*`"), "{refused}");
    other.get("/server/check").expect(403);
}
