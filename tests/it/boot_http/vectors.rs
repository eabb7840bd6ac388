//! The HTTP vectors by number.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::raw::Raw;
use super::{Files, small};
use crate::scene::{self, MAC};
use crate::wire::BootSide;
use crate::world::World;

const EFI: &str = "/artifacts/files/x.efi";

/// Runs `curl` and returns its output.
fn curl(words: &[&str]) -> String {
    let output = Command::new("curl").args(["-sS", "--max-time", "60"]).args(words).output().expect("curl");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn vector_90_head_says_what_get_does_and_the_connection_goes_on() {
    let files = Files::new(&[]);
    let mut raw = Raw::connect(files.boot.http);
    raw.say(format!("HEAD {EFI} HTTP/1.1\r\nHost: x\r\nUser-Agent: UefiHttpBoot/1.0\r\nAccept: */*\r\n\r\n"));
    let head = raw.reply_to_head();
    assert_eq!((head.status, head.header("content-length")), (200, "4096"));
    assert_eq!(head.header("content-type"), "application/efi");
    // shim 15.8 needs the length before any header that resembles it.
    assert!(head.headers()[0].starts_with("Content-Length"), "{}", head.head);
    let get = raw.get(EFI, "");
    assert_eq!(get.body, small());
    assert_eq!(get.headers(), head.headers());
    // Missing and invalid paths are answered without a body too.
    for (path, status) in [("/artifacts/files/none", 404), ("/%2e%2e/x", 400)] {
        raw.say(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(raw.reply_to_head().status, status, "{path}");
        assert_eq!(raw.get(path, "").status, status, "{path}");
    }
    let url = format!("http://{}{EFI}", files.boot.http);
    let said = curl(&["-I", &url, "--next", "-sS", "-o", "/dev/null", "-w", "%{num_connects}", &url]);
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with('0'), "one connection for both: {said}");
}

#[test]
fn vector_91_odd_paths_are_served_where_they_are_and_never_redirected() {
    let files = Files::new(&[]);
    let mut raw = Raw::connect(files.boot.http);
    let host = files.boot.http;
    for path in [
        "//artifacts/files/x.efi".to_owned(),
        "/artifacts//files///x.efi".to_owned(),
        "\\artifacts\\files\\x.efi".to_owned(),
        "/artifacts%5Cfiles%5cx.efi".to_owned(),
        "/artifacts/./files/x.efi?with=query".to_owned(),
        "/%61rtifacts/files/x%2Eefi".to_owned(),
        "artifacts/files/x.efi".to_owned(),
        format!("http://{host}//artifacts/files/x.efi"),
    ] {
        let reply = raw.get(&path, "");
        assert_eq!((reply.status, reply.body), (200, small()), "{path}");
    }
    assert_eq!(raw.get("/artifacts/files/a%3Ab", "").body, b"colon");
    assert_eq!(raw.get("/artifacts/files/a:b", "").body, b"colon");
    let code = curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{redirect_url}",
        &format!("http://{host}//artifacts/files/x.efi"),
    ]);
    assert_eq!(code, "200 ");
}

#[test]
fn vector_92_parts_are_cut_from_the_version_that_was_begun() {
    let files = Files::new(&[]);
    let mut raw = Raw::connect(files.boot.http);
    let whole = raw.get(EFI, "");
    let (tag, modified) = (whole.header("etag").to_owned(), whole.header("last-modified").to_owned());
    assert!(tag.starts_with('"') && whole.header("accept-ranges") == "bytes", "{}", whole.head);
    let part = raw.get(EFI, "Range: bytes=0-511\r\n");
    assert_eq!((part.status, part.header("content-range")), (206, "bytes 0-511/4096"));
    assert_eq!(part.body, small()[..512]);
    let last = raw.get(EFI, "Range: bytes=-1\r\n");
    assert_eq!((last.status, last.body), (206, small()[4095..].to_vec()));
    let beyond = raw.get(EFI, "Range: bytes=4096-\r\n");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */4096"));
    assert_eq!(raw.get("/artifacts/files/empty", "Range: bytes=0-\r\n").status, 416);
    assert_eq!(raw.get(EFI, "Range: bytes=0-1,4-5\r\n").status, 200);
    for (held, status) in [(tag.as_str(), 206), (modified.as_str(), 206), ("\"stale\"", 200)] {
        let reply = raw.get(EFI, &format!("Range: bytes=0-9\r\nIf-Range: {held}\r\n"));
        assert_eq!(reply.status, status, "{held}");
    }
    assert_eq!(raw.get(EFI, &format!("If-None-Match: {tag}\r\n")).status, 304);
    assert_eq!(raw.get(EFI, &format!("If-Modified-Since: {modified}\r\n")).status, 304);
    assert_eq!(raw.get(EFI, "If-Match: \"stale\"\r\n").status, 412);
    raw.say(format!("HEAD {EFI} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n\r\n"));
    assert_eq!(raw.reply_to_head().header("content-length"), "4096", "ranges are of GET alone");

    // The file changes: a client that began with the old one gets the whole new file.
    fs::write(files.folder.join("x.efi"), vec![7; 4096]).expect("another version");
    let other = raw.get(EFI, &format!("Range: bytes=0-9\r\nIf-Range: {tag}\r\n"));
    assert_eq!((other.status, other.body.len()), (200, 4096));
    assert_eq!(raw.get(EFI, &format!("If-Match: {tag}\r\n")).status, 412);
}

#[test]
fn vector_92_curl_goes_on_with_a_download() {
    let files = Files::new(&[]);
    let begun = files.world.scratch().join("begun");
    fs::write(&begun, &small()[..1000]).expect("the beginning");
    let url = format!("http://{}{EFI}", files.boot.http);
    let to = begun.to_str().expect("a path in UTF-8");
    assert_eq!(curl(&["-C", "-", "-o", to, "-w", "%{http_code} %{size_download}", &url]), "206 3096");
    assert_eq!(fs::read(&begun).expect("the file"), small());
}

#[test]
fn vector_93_nothing_is_compressed() {
    let files = Files::new(&[]);
    let reply = Raw::connect(files.boot.http).get(EFI, "Accept-Encoding: gzip, br, zstd\r\n");
    assert_eq!((reply.header("content-encoding"), &reply.body), ("", &small()));
}

#[test]
fn vector_94_clients_of_http_1_0_are_served_and_hear_the_end() {
    let files = Files::new(&[]);
    let mut raw = Raw::connect(files.boot.http);
    raw.say(format!("GET {EFI} HTTP/1.0\r\n\r\n"));
    let reply = raw.reply();
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    assert_eq!(reply.body, small());
    assert!(raw.is_over());

    let mut raw = Raw::connect(files.boot.http);
    for _ in 0..2 {
        raw.say(format!("GET {EFI} HTTP/1.0\nConnection: Keep-Alive\n\n"));
        let reply = raw.reply();
        assert_eq!((reply.status, reply.header("connection")), (200, "keep-alive"));
    }
    let url = format!("http://{}{EFI}", files.boot.http);
    let said = curl(&["--http1.0", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", &url]);
    assert_eq!(said, "200 4096");
}

#[test]
fn vector_95_a_script_for_a_stranger_is_a_script_or_not_found_in_every_spelling() {
    let files = Files::new(&[]);
    let mut raw = Raw::connect(files.boot.http);
    let spelled = ["02:00:00:00:00:99", "02-00-00-00-00-99", "02%3A00%3a00%3A00%3A00%3A99", "0200.0000.0099"];
    for mac in spelled.iter().chain(&["02:00:00:00:00:9F", "nonsense", "%00", "", "%ff"]) {
        for path in [format!("/boot.ipxe?mac={mac}"), format!("/grub/grub.cfg-01-{}", mac.replace(':', "-"))]
        {
            let reply = raw.get(&path, "");
            let text = String::from_utf8_lossy(&reply.body);
            match reply.status {
                200 => assert!(text.starts_with("#!ipxe") || path.starts_with("/grub"), "{path}: {text}"),
                400 | 404 => assert_eq!(reply.header("content-type"), "text/plain", "{path}: {text}"),
                status => panic!("{status} for {path}: {text}"),
            }
        }
    }
}

/// A machine at a step with one rendered file.
fn installing() -> (World, BootSide, String) {
    installing_with(&json!({}))
}

/// Sets the params that the machine has when its run begins.
fn installing_with(params: &Value) -> (World, BootSide, String) {
    let world = World::on_loopback();
    let (api, boot) = (world.api(), BootSide::of(world.ready()));
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
    let inline = "rack={{ param(name='rack', default='none') }} {% include 'site/motd' %}";
    let templates = json!([{"name": "answers", "path": "answers.cfg", "inline": inline}]);
    api.post("/templates", json!({"name": "site/motd", "body": "first"})).expect(201);
    let bootenv = json!({"name": "site", "kind": "live", "arches": {"amd64": files}, "templates": templates,
        "boot_params": "ds=nocloud;s=http://x/ uuid=${uuid}"});
    api.post("/bootenvs", bootenv).expect(201);
    api.post("/stages", json!({"name": "site", "bootenv": "site"})).expect(201);
    api.post("/workflows", json!({"name": "site", "stages": ["site"]})).expect(201);
    api.post("/params", json!({"name": "rack"})).expect(201);
    api.post("/profiles", json!({"name": "row"})).expect(201);
    let web1 = json!({"name": "web1", "macs": [MAC], "profiles": ["row"], "params": params});
    api.post("/machines", web1).expect(201);
    api.post("/machines/name:web1/actions/start", json!({"workflow": "site"})).expect(200);
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let folder = format!("/m/{}", scene::capability(&script));
    (world, boot, folder)
}

#[test]
fn vector_96_an_answer_file_has_a_length_and_is_not_to_be_kept() {
    let (_world, boot, folder) = installing();
    let mut raw = Raw::connect(boot.http);
    let reply = raw.get(&format!("{folder}/answers.cfg"), "Range: bytes=0-3\r\n");
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"rack=none first"[..]));
    assert_eq!((reply.header("cache-control"), reply.header("etag")), ("no-store", ""));
    assert_eq!(reply.header("content-length"), "15");
    // Without the capability there is no such file for anybody.
    assert_eq!(raw.get("/m/0a-0b/answers.cfg", "").status, 404);
    raw.say(format!("POST {folder}/done HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(raw.reply().status, 200);
    assert_eq!(raw.get(&format!("{folder}/answers.cfg"), "").status, 403);
}

#[test]
fn vector_96_a_machine_with_a_lease_is_served_at_its_own_address() {
    let (world, boot, folder) = installing();
    let api = world.api();
    let pools = json!([{"start": "127.9.0.1", "end": "127.9.0.9"}]);
    api.post("/subnets", json!({"name": "lan", "cidr": "127.9.0.0/24", "pools": pools})).expect(201);
    let lease = |last: u8, mac: &str| {
        let text = format!(
            "lease 127.9.0.{last} {{ starts epoch 1700000000; ends never; binding state active; \
             hardware ethernet {mac}; }}"
        );
        let files = json!([{"name": "x", "text": text}]);
        let report = api.post("/leases/import", json!({"format": "isc", "files": files})).expect(200);
        assert_eq!(report["taken"], 1, "{report:#}");
    };
    let status = |last: u8, path: &str| {
        let url = format!("http://{}{path}", boot.http);
        let from = format!("127.9.0.{last}");
        curl(&["--interface", &from, "-o", "/dev/null", "-w", "%{http_code}", &url])
    };
    let (answers, kernel) = (format!("{folder}/answers.cfg"), format!("{folder}/linux"));
    // Before there is a lease, nothing can be compared.
    assert_eq!([status(1, &answers), status(2, &answers)], ["200", "200"]);
    lease(1, MAC);
    assert_eq!([status(1, &answers), status(1, &kernel)], ["200", "200"]);
    assert_eq!([status(2, &answers), status(2, &kernel)], ["403", "403"], "nobody's address");
    lease(3, "52:54:00:00:00:99");
    api.post("/machines", json!({"name": "web9", "macs": ["52:54:00:00:00:99"]})).expect(201);
    assert_eq!(status(3, &answers), "403", "another machine's address");
    let denied = api.get("/events?kind=boot.denied&limit=100").expect(200);
    assert_eq!(denied["items"][0]["data"]["path"], "/m/…/answers.cfg", "{denied:#}");
    // If addresses are translated on the way, there is a setting.
    api.patch("/settings/own_address_only", json!({"value": false})).expect(200);
    assert_eq!([status(2, &answers), status(3, &answers)], ["200", "200"]);
}

#[test]
fn vector_99_a_report_from_an_address_that_is_not_the_machines_is_refused() {
    // An installer may switch to the static address of the installed system.
    let network = json!({"mode": "static", "address": "127.9.0.4", "prefix_length": 24});
    let (world, boot, folder) = installing_with(&json!({"network": network}));
    let api = world.api();
    let pools = json!([{"start": "127.9.0.1", "end": "127.9.0.9"}]);
    api.post("/subnets", json!({"name": "lan", "cidr": "127.9.0.0/24", "pools": pools})).expect(201);
    api.post("/machines", json!({"name": "web9", "macs": ["52:54:00:00:00:99"]})).expect(201);
    let lease = |last: u8, mac: &str| {
        format!(
            "lease 127.9.0.{last} {{ starts epoch 1700000000; ends never; binding state active; \
             hardware ethernet {mac}; }}"
        )
    };
    let text = [lease(1, MAC), lease(3, "52:54:00:00:00:99")].join("\n");
    let files = json!([{"name": "x", "text": text}]);
    api.post("/leases/import", json!({"format": "isc", "files": files})).expect(200);
    let report = |last: u8, what: &str| {
        let (url, from) = (format!("http://{}{folder}/{what}", boot.http), format!("127.9.0.{last}"));
        let words = ["--interface", &from, "-d", "forged", "-o", "/dev/null", "-w", "%{http_code}", &url];
        curl(&words)
    };
    let before = api.get("/machines/name:web1").expect(200)["status"].take();
    for (last, what) in [(2, "failed"), (3, "failed"), (3, "done"), (3, "log")] {
        assert_eq!(report(last, what), "403", "{what} from {last}");
    }
    assert_eq!(api.get("/machines/name:web1").expect(200)["status"], before);
    let denied = api.get("/events?kind=boot.denied&limit=100").expect(200);
    assert_eq!(denied["items"][0]["data"]["path"], "/m/…/failed", "{denied:#}");
    assert_eq!([report(4, "log"), report(1, "done")], ["200", "200"]);
}

#[test]
fn vector_99_a_report_that_comes_twice_is_taken_once() {
    let (world, boot, folder) = installing();
    let said = [boot.post(&format!("{folder}/done"), ""), boot.post(&format!("{folder}/done"), "")];
    assert_eq!(said, [(200, "web1: noted\n".to_owned()), (200, "web1: already reported\n".to_owned())]);
    assert_eq!(boot.post("/m/0a-0b/done", "").0, 401);
    let events = world.api().get("/events?kind=boot.done&limit=100").expect(200);
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events:#}");
}

#[test]
fn vector_100_a_command_line_is_quoted_as_each_loader_needs_it() {
    let (_world, boot, folder) = installing();
    let script = |name: &str| boot.get(&format!("{folder}/{name}")).1;
    let grub = script("grub.cfg");
    assert!(grub.contains("'ds=nocloud;s=http://x/'") || grub.contains("ds=nocloud\\;s="), "{grub}");
    let pxelinux = script("pxelinux.cfg/default");
    assert!(pxelinux.contains(" ds=nocloud;s=http://x/ uuid=${uuid}"), "{pxelinux}");
    let ipxe = script("boot.ipxe");
    assert!(ipxe.contains("ds=nocloud;s=http://x/"), "{ipxe}");
    // iPXE cannot write `${` without expanding it, so it is broken up there.
    let kernel = ipxe.lines().find(|line| line.starts_with("kernel ")).expect("a kernel");
    assert!(kernel.contains(" uuid=$ {uuid}"), "{kernel}");
}

#[test]
fn a_document_changes_with_everything_it_is_made_from() {
    let (world, boot, folder) = installing();
    let api = world.api();
    let fetched = |folder: &str| boot.get(&format!("{folder}/answers.cfg"));
    // The second response may come from the cache; it is the same.
    assert_eq!([fetched(&folder), fetched(&folder)].map(|(_, text)| text), ["rack=none first"; 2]);
    api.patch("/templates/site%2Fmotd", json!({"body": "second"})).expect(200);
    assert_eq!(fetched(&folder).1, "rack=none first", "a run goes on with the content it was started with");
    let expect = |text: &str| {
        api.post("/machines/name:web1/actions/cancel", json!({})).expect(200);
        api.post("/machines/name:web1/actions/start", json!({"workflow": "site"})).expect(200);
        let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
        let folder = format!("/m/{}", scene::capability(&script));
        assert_eq!([fetched(&folder), fetched(&folder)], [(200, text.to_owned()), (200, text.to_owned())]);
    };
    expect("rack=none second");
    api.patch("/params/rack", json!({"default": "default"})).expect(200);
    expect("rack=default second");
    api.post("/profiles", json!({"name": "global", "params": {"rack": "global"}})).expect(201);
    expect("rack=global second");
    api.patch("/profiles/row", json!({"params": {"rack": "row"}})).expect(200);
    expect("rack=row second");
    api.patch("/machines/name:web1", json!({"params": {"rack": "own"}})).expect(200);
    expect("rack=own second");
    api.patch("/machines/name:web1", json!({"params": {"rack": null}})).expect(200);
    expect("rack=row second");
    let inline = json!([{"name": "answers", "path": "answers.cfg", "inline": "other {{ machine.name }}"}]);
    api.patch("/bootenvs/site", json!({"templates": inline})).expect(200);
    expect("other web1");
    // A secret is opened for each fetch, and a machine's file may change to one with a secret.
    let inline = json!([{"name": "answers", "path": "answers.cfg", "inline": "{{ param(name='pass') }}"}]);
    api.post("/params", json!({"name": "pass", "secret": true})).expect(201);
    api.patch("/machines/name:web1", json!({"params": {"pass": "hush"}})).expect(200);
    api.patch("/bootenvs/site", json!({"templates": inline})).expect(200);
    expect("hush");
    api.patch("/machines/name:web1", json!({"params": {"pass": "still"}})).expect(200);
    expect("still");
}
