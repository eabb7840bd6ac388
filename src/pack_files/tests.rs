//! Archives, folders, digests and signatures of packs, hostile ones among them.

use std::collections::BTreeMap;
use std::fs;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};

use super::*;
use crate::model::{PackTrust, SignatureNeed};

const YAML: &str = "name: site\nversion: 1.0.0\n";
/// Made with minisign's algorithm over the list of a pack that has [`YAML`] alone.
const KEY: &str = "RWRcd9f9j1HtDLNenqxSizOV6joxAdf2wRPUOahxBMZWpsW6eS13ZhYS";
const SIGNED: &str = "untrusted comment: signature of a test\n\
    RURcd9f9j1HtDEzZJEdylOBYtT2j1wHDeKq9EHQU7EXbKUt0LRky2DNABUG454hEYV/wHehSJF+E7r4LLB8eVO+QxRZZZCRgEQY=\n\
    trusted comment: file:files\n\
    3IWlkB3QwuQuO33LIVJQaDfMU2SMjMzEjevvspNgBCFMyWhn1+Ee44S9v5s+LKrSbD1pSwy0md3d2FpcXIr1Ag==\n";

fn file(path: &str, body: &str) -> PackFile {
    PackFile { path: path.to_owned(), body: body.as_bytes().to_vec() }
}

/// A tar of entries, whatever their paths are.
fn tar_of(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, kind, body) in entries {
        let mut header = Header::new_gnu();
        // `set_path` refuses what a hostile archive has.
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, *body).unwrap();
    }
    tar.into_inner().unwrap()
}

fn faults_of(bytes: &[u8]) -> Vec<String> {
    let faults = read_archive(bytes).unwrap_err();
    faults.into_iter().map(|(path, problem)| format!("{path}: {}", problem.message)).collect()
}

#[test]
fn an_archive_has_the_files_again_and_the_same_bytes_each_time() {
    let files = vec![file("pack.yaml", YAML), file("templates/a/b.cfg", "x\n")];
    let archive = write_archive(&files).unwrap();
    assert_eq!(read_archive(&archive).unwrap(), files);
    let turned: Vec<PackFile> = files.iter().rev().cloned().collect();
    assert_eq!(write_archive(&turned).unwrap(), archive);
    assert_eq!(digest(&turned), digest(&files));
    assert_ne!(digest(&files[..1]), digest(&files));
}

#[test]
fn a_plain_tar_with_a_folder_around_it_is_read_and_hidden_files_and_tests_are_left_out() {
    let plain = EntryType::Regular;
    let tar = tar_of(&[
        ("site-1.0.0/", EntryType::Directory, b""),
        ("site-1.0.0/pack.yaml", plain, YAML.as_bytes()),
        ("site-1.0.0/.github/ci.yaml", plain, b"x"),
        ("site-1.0.0/tests/machines/a.yaml", plain, b"x"),
        ("site-1.0.0/README.md", plain, b"x"),
    ]);
    let paths: Vec<String> = read_archive(&tar).unwrap().into_iter().map(|file| file.path).collect();
    assert_eq!(paths, ["README.md", "pack.yaml"]);
}

#[test]
fn what_is_no_plain_file_or_leaves_the_root_is_refused_and_every_fault_is_told() {
    let plain = EntryType::Regular;
    let tar = tar_of(&[
        ("pack.yaml", plain, YAML.as_bytes()),
        ("templates/link", EntryType::Symlink, b""),
        ("templates/hard", EntryType::Link, b""),
        ("templates/pipe", EntryType::Fifo, b""),
    ]);
    let faults = faults_of(&tar);
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("plain files only")), "{faults:?}");
    let paths = [
        "../pack.yaml",
        "templates/../../etc/passwd",
        "/etc/passwd",
        "templates//a",
        "templates/a b",
        "templates/a\u{1}",
        "templates/.",
        "somewhere/a",
        &format!("templates/{}x", "d/".repeat(40)),
    ];
    for path in paths {
        let tar = tar_of(&[("pack.yaml", plain, YAML.as_bytes()), (path, plain, b"x")]);
        let faults = faults_of(&tar);
        assert!(faults.iter().all(|fault| fault.starts_with(path)), "{path:?}: {faults:?}");
    }
    let twice = tar_of(&[("pack.yaml", plain, YAML.as_bytes()), ("pack.yaml", plain, b"x")]);
    assert!(faults_of(&twice)[0].contains("two files of this path"));
}

#[test]
fn what_unpacks_to_too_much_is_refused_before_it_is_unpacked() {
    let plain = EntryType::Regular;
    let zeros = vec![b'0'; FILE_BYTES_MAX];
    let names: Vec<String> = (0..9).map(|n| format!("templates/{n}")).collect();
    let many: Vec<(&str, EntryType, &[u8])> =
        names.iter().map(|name| (name.as_str(), plain, zeros.as_slice())).collect();
    let bomb = compress_to_vec(tar_of(&many).as_slice(), CompressionLevel::Fastest);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    assert_eq!(faults_of(&bomb), [format!(": the pack unpacks to more than {PACK_BYTES_MAX} bytes")]);
    let large = tar_of(&[("templates/large", plain, &[b'0'; FILE_BYTES_MAX + 1])]);
    assert!(faults_of(&large)[0].contains("longer than"), "{:?}", faults_of(&large));
    let empty = vec![0; ARCHIVE_BYTES_MAX + 1];
    assert!(faults_of(&empty)[0].contains("the archive is longer"));
    // Folders count too, and cost nothing to send.
    let folders: Vec<(&str, EntryType, &[u8])> =
        std::iter::repeat_n(("templates/", EntryType::Directory, &b""[..]), 2 * FILES_MAX + 1).collect();
    let bomb = compress_to_vec(tar_of(&folders).as_slice(), CompressionLevel::Fastest);
    assert!(faults_of(&bomb)[0].contains("entries"), "{:?}", faults_of(&bomb));
}

#[test]
fn what_is_cut_short_or_no_archive_is_refused() {
    let whole =
        write_archive(&[file("pack.yaml", YAML), file("templates/a", &"x y z ".repeat(9000))]).unwrap();
    for bytes in [&whole[..whole.len() / 2], &whole[..10], b"hello", b"", &[0; 1024]] {
        assert!(read_archive(bytes).is_err(), "{} bytes", bytes.len());
    }
    let mut tar = tar_of(&[("pack.yaml", EntryType::Regular, &[b'x'; 2000])]);
    tar.truncate(1024);
    assert!(read_archive(&tar).is_err());
}

#[test]
fn a_folder_is_read_without_tests_and_links_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let place = |path: &str| root.path().join(path);
    for folder in ["templates", "tests/machines", ".git"] {
        fs::create_dir_all(place(folder)).unwrap();
    }
    assert!(read_folder(root.path()).unwrap_err()[0].1.message.contains("has no pack.yaml"));
    for (path, body) in [("pack.yaml", YAML), ("templates/a", "x"), (".git/config", "x")] {
        fs::write(place(path), body).unwrap();
    }
    fs::write(place("tests/machines/web1.yaml"), "name: web1\n").unwrap();
    let files = read_folder(root.path()).unwrap();
    assert_eq!(files, [file("pack.yaml", YAML), file("templates/a", "x")]);
    assert_eq!(read_tests(root.path()).unwrap(), [file("machines/web1.yaml", "name: web1\n")]);
    let copy = place("copy");
    write_folder(&copy, &files).unwrap();
    assert_eq!(read_folder(&copy).unwrap(), files);
    assert!(write_folder(&copy, &files).is_err(), "it has something in it");
    let outside = write_folder(&place("other"), &[file("../x", "x")]);
    assert!(outside.is_err());
    fs::remove_dir_all(&copy).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place("templates/link")).unwrap();
    let faults = read_folder(root.path()).unwrap_err();
    assert_eq!((faults[0].0.as_str(), faults.len()), ("templates/link", 1), "{faults:?}");
}

#[test]
fn a_signature_counts_for_exactly_these_files_and_for_trusted_keys() {
    let trust = |keys: &[(&str, &str)], need| PackTrust {
        keys: keys.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned())).collect(),
        need,
    };
    let known = trust(&[("release", KEY)], SignatureNeed::Required);
    let bare = vec![file("pack.yaml", YAML)];
    let signed = vec![bare[0].clone(), file(SIGNATURE, SIGNED)];
    assert_eq!(digest(&bare), digest(&signed), "the signature is not part of the digest");
    assert_eq!(signed_by(&signed, &known), Ok(Some("release".to_owned())));
    assert!(signed_by(&bare, &known).unwrap_err().message.contains("signed packs only"));
    let other = vec![file("pack.yaml", "name: site\nversion: 1.0.1\n"), signed[1].clone()];
    assert!(signed_by(&other, &known).unwrap_err().message.contains("no trusted key"));
    let more = [signed.clone(), vec![file("templates/a", "x")]].concat();
    assert!(signed_by(&more, &known).is_err());
    let stranger = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    assert!(signed_by(&signed, &trust(&[("other", stranger)], SignatureNeed::Optional)).is_err());
    let nobody = PackTrust::default();
    assert_eq!((signed_by(&signed, &nobody), signed_by(&bare, &nobody)), (Ok(None), Ok(None)));
    let garbage = vec![bare[0].clone(), file(SIGNATURE, "x")];
    assert!(signed_by(&garbage, &nobody).unwrap_err().message.contains("not a signature"));
}

#[test]
fn faults_of_the_manifest_have_lines_and_pointers() {
    let text = "name: site\nversion: 1.0\nrequires:\n  core: \">=0.1\"\n  base: newest\nlicense: MIT\n";
    let faults = manifest(&[file("pack.yaml", text)]).unwrap_err();
    let told: Vec<_> =
        faults.iter().map(|(path, it)| (path.as_str(), it.pointer.as_str(), it.line)).collect();
    // `version` is a number, and `license` is not a field: the rest is looked at when these are right.
    assert!(told.contains(&("pack.yaml", "/license", Some(6))), "{faults:?}");
    assert!(told.contains(&("pack.yaml", "/version", Some(2))), "{faults:?}");
    let text = "name: site\nversion: \"1.0\"\nrequires:\n  core: \">=0.1\"\n  base: newest\n";
    let faults = manifest(&[file("pack.yaml", text)]).unwrap_err();
    let told: Vec<_> = faults.iter().map(|(_, it)| (it.pointer.as_str(), it.line)).collect();
    assert_eq!(told, [("/version", Some(2)), ("/requires/base", Some(5))]);
    assert!(manifest(&[]).unwrap_err()[0].1.message.contains("it is missing"));
    let broken = manifest(&[file("pack.yaml", "name: site\nversion: [\n")]).unwrap_err();
    assert!(broken[0].1.message.contains("not readable as YAML") && broken[0].1.line.is_some());
}

#[test]
fn objects_are_found_by_kind_and_name() {
    let files = [
        file("pack.yaml", YAML),
        file("bootenvs/all.yaml", "- name: a\n- name: b\n"),
        file("templates/x/y.cfg", "z"),
        file("README.md", "text"),
    ];
    let found: BTreeMap<_, _> = packed_objects(&files);
    let keys: Vec<String> = found.keys().map(|(kind, name)| format!("{kind} {name}")).collect();
    assert_eq!(keys, ["bootenv a", "bootenv b", "file README.md", "file pack.yaml", "template x/y.cfg"]);
}

#[test]
fn a_file_that_nests_without_end_is_refused_on_a_small_stack() {
    let deep =
        [format!("a: {}{}\n", "[".repeat(5000), "]".repeat(5000)), "- ".repeat(5000) + "x\n", "a:\n".into()];
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        let refused = deep.iter().filter(|text| parse_yaml(text).is_err()).count();
        deep.iter().for_each(|text| drop(with_lines(text, vec![Problem::new("/a/0/0", "x")])));
        refused
    });
    assert_eq!(thread.unwrap().join().unwrap(), 2);
}

#[test]
fn an_archive_with_changed_bytes_is_read_or_refused_and_never_exceeds_a_bound() {
    let files =
        [file("pack.yaml", YAML), file("templates/a", &"x y z ".repeat(500)), file("README.md", "text")];
    let compressed = write_archive(&files).unwrap();
    let plain = tar_of(&[
        ("pack.yaml", EntryType::Regular, YAML.as_bytes()),
        ("templates/a", EntryType::Regular, b"x y z"),
    ]);
    let mut random = 88172645463325252_u64;
    let mut below = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(end).unwrap()).unwrap()
    };
    let mut refused = 0;
    for whole in [&plain, &compressed] {
        for _ in 0..500 {
            let mut bytes = whole.clone();
            for _ in 0..=below(4) {
                let place = below(bytes.len());
                bytes[place] = u8::try_from(below(256)).unwrap();
            }
            match read_archive(&bytes) {
                Ok(read) => assert!(read.len() <= files.len(), "{read:?}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
