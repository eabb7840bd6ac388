//! The boot side over TLS, with the certificate that firmware gets.

use std::fs;
use std::process::Command;

use metalwright::proto::dhcp4::{MessageType, codes};
use serde_json::json;

use super::{Files, LARGE, of_firmware, small};
use crate::relay::{self, Relay, message};
use crate::scene;
use crate::world::World;

#[test]
fn boot_files_are_served_over_tls_with_the_certificate_that_is_exported() {
    let files = Files::new(&["--boot-https", "127.0.0.1:0"]);
    let base = files.world.ready()["boot_https"].as_str().expect("its address").to_owned();
    let folder = files.world.scratch();
    let (pem, esl) = (folder.join("boot.pem"), folder.join("boot.esl"));
    for (form, to) in [("pem", &pem), ("esl", &esl)] {
        let to = to.to_str().expect("a path in UTF-8");
        files.world.cli(&["boot-certificate", "--form", form, "-o", to]);
    }
    assert!(fs::read(&esl).expect("the list").starts_with(&[0xa1, 0x59, 0xc0, 0xa5]));
    let fetched = folder.join("fetched");
    let fetch = |path: &str, trusted: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "60", "--cacert", trusted, "-o"]).arg(&fetched);
        curl.arg(format!("{base}/artifacts/files/{path}")).output().expect("curl").status.success()
    };
    let trusted = pem.to_str().expect("a path in UTF-8");
    assert!(fetch("x.efi", trusted));
    assert_eq!(fs::read(&fetched).expect("the file"), small());
    assert!(fetch("large.img", trusted));
    assert_eq!(fs::metadata(&fetched).expect("the file").len(), LARGE);
    // The API has another certificate.
    let other = files.world.data().join("tls/ca.pem");
    assert!(!fetch("x.efi", other.to_str().expect("a path in UTF-8")));
}

/// The cipher suites of OVMF in Debian 12 (edk2 2022.11), in its order: no elliptic curves. Then those of
/// them that are not sound: keys without forward secrecy, CBC.
const OLD_FIRMWARE: &str = "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA256:\
    DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA:AES256-GCM-SHA384:AES128-GCM-SHA256:\
    AES256-SHA256:AES128-SHA256:AES256-SHA:AES128-SHA";
const UNSOUND: &str = "DHE-RSA-AES256-SHA256:DHE-RSA-AES128-SHA:AES256-GCM-SHA384:AES128-SHA256";
const LIKE_NEW: &str = "DHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256";

/// Fetches a file over HTTPS; whether that succeeded, and what curl said.
fn fetch(files: &Files, tls: &[&str]) -> (bool, String) {
    let base = files.world.ready()["boot_https"].as_str().expect("its address");
    let mut curl = Command::new("curl");
    curl.args(["-sSv", "--fail", "--max-time", "60", "--cacert"]);
    curl.arg(files.world.data().join("tls/boot-cert.pem")).args(tls);
    curl.arg("-o").arg(files.world.scratch().join("fetched")).arg(format!("{base}/artifacts/files/x.efi"));
    let output = curl.output().expect("curl");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn firmware_without_elliptic_curves_is_refused_unless_the_operator_asks_for_dhe() {
    let files = Files::new(&["--boot-https", "127.0.0.1:0"]);
    let (fetches, said) = fetch(&files, &["--tls-max", "1.2", "--ciphers", OLD_FIRMWARE]);
    assert!(!fetches && said.contains("handshake failure"), "{said}");
    let (fetches, said) = fetch(&files, &[]);
    assert!(fetches && said.contains("using TLSv1.3"), "{said}");
}

#[test]
fn firmware_without_elliptic_curves_is_served_too_and_whoever_has_them_uses_them() {
    let files = Files::new(&["--boot-https", "127.0.0.1:0", "--boot-https-dhe"]);
    let fetched = files.world.scratch().join("fetched");
    let fetch = |tls: &[&str]| fetch(&files, tls);
    let of_1_2 = |ciphers| fetch(&["--tls-max", "1.2", "--ciphers", ciphers]);

    let (fetches, said) = of_1_2(OLD_FIRMWARE);
    assert!(fetches && said.contains("using TLSv1.2 / DHE-RSA-AES256-GCM-SHA384"), "{said}");
    assert_eq!(fs::read(&fetched).expect("the file"), small());
    let (fetches, said) = of_1_2("DHE-RSA-AES128-GCM-SHA256");
    assert!(fetches && said.contains("using TLSv1.2 / DHE-RSA-AES128-GCM-SHA256"), "{said}");
    let (fetches, said) = of_1_2(LIKE_NEW);
    assert!(fetches && said.contains("using TLSv1.2 / ECDHE-RSA-AES128-GCM-SHA256"), "{said}");
    let (fetches, said) = fetch(&[]);
    assert!(fetches && said.contains("using TLSv1.3"), "{said}");
    let (fetches, said) = of_1_2(UNSOUND);
    assert!(!fetches && said.contains("handshake failure"), "{said}");
}

#[test]
fn a_certificate_with_a_key_of_elliptic_curves_is_kept_and_served() {
    let mut files = Files::new(&["--boot-https", "127.0.0.1:0"]);
    files.world.stop();
    let tls = files.world.data().join("tls");
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    fs::write(tls.join("boot-cert.pem"), made.cert.pem()).expect("a file");
    fs::write(tls.join("boot-key.pem"), made.signing_key.serialize_pem()).expect("a file");
    files.world.start();
    let base = files.world.ready()["boot_https"].as_str().expect("its address").to_owned();
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--max-time", "60", "--cacert"]).arg(tls.join("boot-cert.pem"));
    let output = curl.arg(format!("{base}/artifacts/files/x.efi")).output().expect("curl");
    assert_eq!(output.stdout, small(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// UEFI HTTP boot firmware of `web1` asks for an address and boot data.
fn asks_for_a_boot(relay: &Relay, xid: u32) -> Option<String> {
    let discover = of_firmware(message((scene::MAC.parse().expect("a MAC"), xid), MessageType::Discover));
    let offer = relay.ask(&discover, scene::EVENT_WITHIN).expect("an offer");
    // Firmware takes the NUL off (RFC 2132 2).
    let url = offer.options.get(codes::BOOTFILE_NAME)?.strip_suffix(&[0]).expect("a NUL at the end");
    Some(String::from_utf8(url.to_vec()).expect("a URL"))
}

#[test]
fn firmware_of_a_class_is_given_an_https_url_that_it_can_fetch_or_is_told_why_not() {
    let mut world = World::with(&[&relay::LISTENERS[..], &["--boot-https", "127.0.0.1:0"]].concat());
    let api = world.api();
    api.post("/subnets", relay::subnet()).expect(201);
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    scene::start_web1(&api);
    let plain = asks_for_a_boot(&Relay::to(&world), 1).expect("a URL");
    assert!(plain.starts_with("http://127.0.0.1:") && plain.ends_with("/snponly.efi"), "{plain}");

    let class = json!({"name": "tls-only", "match": {"vendor_class": "HTTPClient*"}, "https": true});
    let made = api.post("/client_classes", class).expect(201);
    assert_eq!(made["problems"], json!([]));
    let url = asks_for_a_boot(&Relay::to(&world), 2).expect("a URL");
    assert_eq!(url, format!("{}/snponly.efi", world.ready()["boot_https"].as_str().expect("its address")));
    let (pem, fetched) = (world.scratch().join("boot.pem"), world.scratch().join("fetched"));
    world.cli(&["boot-certificate", "-o", pem.to_str().expect("a path in UTF-8")]);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--max-time", "60", "--cacert"]).arg(&pem).arg("-o").arg(&fetched).arg(&url);
    assert!(curl.status().expect("curl").success());
    let loader = fs::read("/usr/lib/ipxe/snponly.efi").expect("a loader (package ipxe)");
    assert!(fs::read(&fetched).expect("what was fetched") == loader);

    world.stop();
    world.listen(&relay::LISTENERS);
    world.start();
    let (api, relay) = (world.api(), Relay::to(&world));
    let problems = api.get("/client_classes/tls-only").expect(200)["problems"].clone();
    assert_eq!(problems[0]["pointer"], "/https", "{problems}");
    assert!(problems[0]["message"].as_str().expect("a message").contains("--boot-https"), "{problems}");
    let listed = api.get("/client_classes?name=tls-only&fields=problems").expect(200);
    assert_eq!(listed["items"][0]["problems"], problems);
    assert_eq!(asks_for_a_boot(&relay, 3), None, "never plain HTTP in its place");
    let told = world.cli(&["explain", "machine", "web1", "--vendor-class", "HTTPClient:Arch:00016"]);
    assert!(told.contains("client class tls-only") && told.contains("--boot-https"), "{told}");
}
