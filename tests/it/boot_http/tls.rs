//! The boot side over TLS, with the certificate as firmware is given it.

use std::fs;
use std::process::Command;

use super::{Files, LARGE, small};

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
    // The API's certificate is another one.
    let other = files.world.data().join("tls/cert.pem");
    assert!(!fetch("x.efi", other.to_str().expect("a path in UTF-8")));
}
