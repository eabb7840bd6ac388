//! Paths that give no file, over TFTP and HTTP alike.

use std::fs;
use std::os::unix::fs::symlink;

use super::Files;
use super::raw::Raw;

/// Files outside the artifact, and the ways into them.
fn surround(files: &Files) {
    let outer = files.folder.parent().expect("a folder around it");
    fs::write(outer.join("secret"), "secret").expect("a file");
    fs::create_dir(outer.join("files-other")).expect("a sibling");
    fs::write(outer.join("files-other/secret"), "secret").expect("a file");
    let links = [
        ("../secret", "out"),
        ("/etc/passwd", "absolute"),
        ("..", "up"),
        ("../files-other", "sibling"),
        ("/proc/self/root", "magic"),
        ("../files/x.efi", "out-and-in"),
        ("round", "round"),
        ("x.efi", "inside.efi"),
        ("Boot", "folder"),
    ];
    for (to, from) in links {
        symlink(to, files.folder.join(from)).expect("a link");
    }
}

#[test]
fn no_path_leaves_the_tree_on_either_protocol() {
    let files = Files::new(&[]);
    surround(&files);
    let mut raw = Raw::connect(files.boot.http);
    let below = |path: &str| format!("artifacts/files/{path}");
    for path in ["inside.efi", "folder/BCD", "x.efi"] {
        assert_eq!(raw.get(&format!("/{}", below(path)), "").status, 200, "{path}");
        assert!(files.boot.read(&below(path)).is_ok(), "{path}");
    }
    let long = "n".repeat(300);
    for path in [
        "out",
        "absolute",
        "up/secret",
        "sibling/secret",
        "magic/etc/passwd",
        "out-and-in",
        "round",
        "Boot",
        "x.efi/x",
        "none",
        &long,
        "",
    ] {
        assert_eq!(raw.get(&format!("/{}", below(path)), "").status, 404, "{path} over HTTP");
        let refused = files.boot.read(&below(path)).expect_err(path);
        assert_eq!(refused.0, 1, "{path} over TFTP: {refused:?}");
    }
    let too_long = below(&"n/".repeat(2048));
    for path in ["../secret", "../files-other/secret", "Boot/../../secret", "..\\secret", "a/..\\..\\x", ".."]
    {
        assert_eq!(raw.get(&format!("/{}", below(path)), "").status, 400, "{path} over HTTP");
        assert_eq!(files.boot.read(&below(path)).expect_err(path).0, 2, "{path} over TFTP");
    }
    assert_eq!(raw.get(&format!("/{too_long}"), "").status, 400);
    assert!(files.boot.read(&too_long).is_err());
    for path in
        ["/etc/passwd", "//etc/passwd", "/proc/self/environ", "/artifacts", "/artifacts/", "/artifacts/x/y"]
    {
        assert_eq!(raw.get(path, "").status, 404, "{path} over HTTP");
        assert_eq!(files.boot.read(path).expect_err(path).0, 1, "{path} over TFTP");
    }
}

#[test]
fn a_path_of_many_long_names_is_served_over_http_and_told_to_be_too_long_over_tftp() {
    let files = Files::new(&[]);
    let folder = format!("{}/", "n".repeat(200)).repeat(10);
    fs::create_dir_all(files.folder.join(&folder)).expect("folders");
    fs::write(files.folder.join(&folder).join("deep.rpm"), "deep").expect("a file");
    let path = format!("artifacts/files/{folder}deep.rpm");
    assert_eq!(files.boot.get(&format!("/{path}")), (200, "deep".to_owned()));
    // Three bytes for each character of a non-ASCII name, and a query beside it.
    let encoded = path.replace('n', "%6e");
    assert_eq!(files.boot.get(&format!("/{encoded}?signature={}", "a".repeat(4000))).0, 200);
    let refused = files.boot.read(&path).expect_err("a request has less room");
    assert_eq!((refused.0, refused.1.as_str()), (2, "path too long"));
}

#[test]
fn percent_encodings_are_read_once_and_hide_nothing() {
    let files = Files::new(&[]);
    surround(&files);
    let mut raw = Raw::connect(files.boot.http);
    for path in
        ["%2e%2e/secret", "%2E./secret", "Boot/%2e%2e%2f..%2fsecret", "..%5csecret", "x.efi%00", "%0a"]
    {
        assert_eq!(raw.get(&format!("/artifacts/files/{path}"), "").status, 400, "{path}");
    }
    // It is decoded once: the rest is the name of a file, which does not exist.
    for path in ["%ff", "%252e%252e/secret", "x.efi%2500", "%2565", "x.efi%", "x.efi%zz"] {
        assert_eq!(raw.get(&format!("/artifacts/files/{path}"), "").status, 404, "{path}");
    }
    // Over TFTP a percent sign is not decoded.
    assert_eq!(files.boot.read("artifacts/files/%78.efi").expect_err("no such file").0, 1);
    assert_eq!(raw.get("/artifacts/files/%78.efi", "").status, 200);
    assert!(files.boot.read("artifacts/files/a:b").is_ok());
}

#[test]
fn a_nul_in_a_path_gives_nothing() {
    let files = Files::new(&[]);
    let mut raw = Raw::connect(files.boot.http);
    raw.say("GET /artifacts/files/x.efi\0 HTTP/1.1\r\n\r\n");
    assert_eq!(raw.reply().status, 400);
    // Over TFTP a NUL ends the name: the rest is read as the mode, and is invalid.
    assert!(files.boot.read("artifacts/files/x.efi\0.txt").is_err());
}

#[test]
fn other_spellings_are_files_only_where_case_is_ignored() {
    let exact = Files::new(&[]);
    assert_eq!(exact.boot.get("/artifacts/files/BOOT/bcd").0, 404);
    let loose = Files::new(&["--boot-ignore-case"]);
    surround(&loose);
    for path in ["Boot/BCD", "BOOT/bcd", "\\boot\\bcd", "FOLDER/Bcd"] {
        let path = format!("artifacts/files/{path}");
        assert_eq!(loose.boot.get(&format!("/{path}")), (200, "bcd".to_owned()), "{path}");
        assert_eq!(loose.boot.read(&path), Ok(b"bcd".to_vec()), "{path}");
    }
    for path in ["OUT", "ABSOLUTE", "UP/secret", "SIBLING/SECRET", "MAGIC/etc/passwd"] {
        let path = format!("artifacts/files/{path}");
        assert_eq!(loose.boot.get(&format!("/{path}")).0, 404, "{path}");
        assert!(loose.boot.read(&path).is_err(), "{path}");
    }
}
