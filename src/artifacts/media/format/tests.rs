//! Tests of tarballs in every compression: whole, truncated and hostile.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::artifacts::media::TreeManifest;
use crate::artifacts::media::tree::{TreeLimits, TreeWriter};
use crate::model::ArtifactKind;

/// Programs that compress their input.
const COMPRESSIONS: [&[&str]; 4] = [&["cat"], &["gzip", "-c"], &["xz", "-c", "-9"], &["zstd", "-c", "-19"]];

fn compressed(command: &[&str], plain: &[u8]) -> Option<Vec<u8>> {
    let (program, words) = command.split_first().unwrap();
    let spawned = Command::new(program).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        eprintln!("{program} is not installed: tarballs of its kind are not tested");
        return None;
    };
    let (mut input, plain) = (child.stdin.take().unwrap(), plain.to_vec());
    let writer = std::thread::spawn(move || input.write_all(&plain));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}");
    Some(output.stdout)
}

/// The content of an unpacked tarball, with a small bound.
fn unpacked(tarball: &[u8]) -> io::Result<(tempfile::TempDir, TreeManifest)> {
    let outer = tempfile::tempdir()?;
    let (file, root) = (outer.path().join("file"), outer.path().join("tree"));
    fs::write(&file, tarball)?;
    fs::create_dir(&root)?;
    let job = MediaJob::new(CancellationToken::new());
    let mut writer = TreeWriter::new(&root, TreeLimits { entries: 100, bytes: 1 << 20 }, job.clone());
    unpack(&file, &mut writer, &job)?;
    writer.finish()?;
    let manifest = TreeManifest::of(&root, ArtifactKind::Tree, &job)?;
    Ok((outer, manifest))
}

/// Adds an entry with this exact name and target; `tar` itself would refuse some.
fn entry(tar: &mut tar::Builder<Vec<u8>>, (kind, path): (tar::EntryType, &str), rest: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o4777);
    let fields = header.as_gnu_mut().unwrap();
    fields.name[..path.len()].copy_from_slice(path.as_bytes());
    let is_link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
    if is_link {
        fields.linkname[..rest.len()].copy_from_slice(rest.as_bytes());
    }
    let content = if is_link { "" } else { rest };
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append(&header, content.as_bytes()).unwrap();
}

/// Kind, path, and content or target.
type Entries<'a> = &'a [(tar::EntryType, &'a str, &'a str)];

fn tarball(entries: Entries<'_>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (kind, path, rest) in entries {
        entry(&mut tar, (*kind, path), rest);
    }
    tar.into_inner().unwrap()
}

/// A tree with names and targets that do not fit into the first header, in GNU and in PAX form.
fn tree() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let file = |bytes: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(bytes);
        header
    };
    entry(&mut tar, (tar::EntryType::Directory, "./"), "");
    entry(&mut tar, (tar::EntryType::Regular, "./linux"), "a kernel");
    let long = format!("pool/{}/{}.deb", "folder/".repeat(20), "n".repeat(200));
    tar.append_data(&mut file(9), &long, "a package".as_bytes()).unwrap();
    let pax = format!("pax/{}", "p".repeat(180));
    tar.append_pax_extensions([("path", pax.as_bytes())]).unwrap();
    entry(&mut tar, (tar::EntryType::Regular, "short"), "by PAX");
    let mut link = file(0);
    link.set_entry_type(tar::EntryType::Symlink);
    tar.append_link(&mut link, "first", &long).unwrap();
    entry(&mut tar, (tar::EntryType::Symlink, "debian"), ".");
    entry(&mut tar, (tar::EntryType::Link, "same"), "linux");
    entry(&mut tar, (tar::EntryType::Char, "console"), "");
    entry(&mut tar, (tar::EntryType::Fifo, "fifo"), "");
    tar.into_inner().unwrap()
}

#[test]
fn a_tarball_is_the_same_tree_in_every_compression() {
    let plain = tree();
    for command in COMPRESSIONS {
        let Some(bytes) = compressed(command, &plain) else { continue };
        let (outer, manifest) = unpacked(&bytes).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let root = outer.path().join("tree");
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert_eq!((read("linux"), read("same")), ("a kernel".to_owned(), "a kernel".to_owned()));
        assert_eq!((read("first"), read("debian/debian/linux").len()), ("a package".to_owned(), 8));
        assert_eq!(read(&format!("pax/{}", "p".repeat(180))), "by PAX");
        let names: Vec<&str> = manifest.entries.keys().map(String::as_str).collect();
        assert_eq!(names.len(), 6, "devices and fifos are passed over: {names:?}");
        assert!(names.iter().any(|name| name.len() > 300));
    }
}

#[test]
fn several_members_or_frames_after_each_other_are_one_tarball() {
    let plain = tree();
    for command in &COMPRESSIONS[1..] {
        let halves = plain.split_at(plain.len() / 2);
        let (Some(first), Some(second)) = (compressed(command, halves.0), compressed(command, halves.1))
        else {
            continue;
        };
        let (_, manifest) =
            unpacked(&[first, second].concat()).unwrap_or_else(|it| panic!("{command:?}: {it}"));
        assert_eq!(manifest.entries.len(), 6, "{command:?}");
    }
}

#[test]
fn a_tarball_that_is_cut_or_damaged_is_an_error_and_never_a_smaller_tree() {
    let plain = tarball(&[
        (tar::EntryType::Regular, "a", &"a".repeat(20_000)),
        (tar::EntryType::Regular, "b", &"b".repeat(20_000)),
    ]);
    for command in COMPRESSIONS {
        let Some(bytes) = compressed(command, &plain) else { continue };
        // The last blocks of an uncompressed tarball are padding.
        let whole = if command[0] == "cat" { 41_000 } else { bytes.len() };
        for part in 1..8 {
            let cut = &bytes[..whole * part / 8];
            assert!(unpacked(cut).is_err(), "{command:?} at {part}/8");
        }
        if command[0] != "cat" {
            let mut damaged = bytes.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x55;
            damaged[middle + 1] ^= 0xaa;
            assert!(unpacked(&damaged).is_err(), "{command:?}");
        }
    }
}

#[test]
fn hostile_paths_and_links_are_refused_by_name() {
    use tar::EntryType::{Link, Regular, Symlink};
    let far = "x/".repeat(40) + &"../".repeat(3);
    let cases: [(Entries<'_>, &str); 9] = [
        (&[(Regular, "../out", "x")], "leaves the tree"),
        (&[(Regular, "a/../../out", "x")], "leaves the tree"),
        (&[(Regular, "/etc/out", "x")], "is absolute"),
        (&[(Regular, "a\nb", "x")], "control characters"),
        (&[(Symlink, "out", "/etc")], "leaves the tree"),
        (&[(Symlink, "a/out", "../../etc")], "leaves the tree"),
        (&[(Link, "out", "../../etc/passwd")], "leaves the tree"),
        (&[(Link, "out", "/etc/passwd")], "is absolute"),
        (&[(Regular, &far, "x")], "leaves the tree"),
    ];
    for (entries, why) in cases {
        let error = unpacked(&tarball(entries)).map(|(_, manifest)| manifest).unwrap_err().to_string();
        assert!(error.contains(why), "{:?}: {error}", entries[0].1);
    }
    // A file through a link that came before it.
    let through = [(Symlink, "door", "."), (Regular, "door/x", "x")];
    assert!(unpacked(&tarball(&through)).is_err());
    let (_, manifest) = unpacked(&tarball(&[(Regular, "a", "x"), (Link, "b", "./a")])).unwrap();
    assert_eq!(manifest.entries["a"], manifest.entries["b"]);
}

#[test]
fn what_unpacks_to_far_more_than_it_is_ends_at_the_bound() {
    let plain = tarball(&[(tar::EntryType::Regular, "zeros", &"\0".repeat(2 << 20))]);
    for command in &COMPRESSIONS[1..] {
        let Some(bytes) = compressed(command, &plain) else { continue };
        assert!(bytes.len() < 10_000);
        let error = unpacked(&bytes).map(|(_, manifest)| manifest).unwrap_err().to_string();
        assert!(error.contains("unpacks to more than 1 MiB"), "{command:?}: {error}");
    }
    let error = unpacked(b"#!/bin/sh\n").map(|(_, manifest)| manifest).unwrap_err().to_string();
    assert!(error.contains("neither an ISO image nor a tarball"), "{error}");
}

/// A tarball whose first header says a kind and a size that is followed by so many zeros.
fn filled(kind: tar::EntryType, bytes: u64) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_path("x").unwrap();
    header.set_entry_type(kind);
    header.set_size(bytes);
    header.set_cksum();
    tar.append(&header, io::repeat(0).take(bytes)).unwrap();
    tar.into_inner().unwrap()
}

fn refusal(tarball: &[u8]) -> String {
    unpacked(tarball).map(|(_, manifest)| manifest).unwrap_err().to_string()
}

#[test]
fn names_that_are_longer_than_memory_end_at_their_bound() {
    use tar::EntryType::{GNULongLink, GNULongName, XHeader};
    for kind in [GNULongName, GNULongLink, XHeader] {
        let error = refusal(&filled(kind, 3 << 20));
        assert!(error.contains("headers of one entry have more than"), "{kind:?}: {error}");
    }
}

#[test]
fn what_is_passed_over_counts_like_files_do() {
    use tar::EntryType::{Block, Fifo, Regular, XGlobalHeader};
    for kind in [Block, XGlobalHeader] {
        let error = refusal(&filled(kind, 3 << 20));
        assert!(error.contains("unpacks to more than 1 MiB"), "{kind:?}: {error}");
    }
    let many: Vec<(tar::EntryType, &str, &str)> = (0..101).map(|_| (Fifo, "x", "y")).collect();
    assert!(refusal(&tarball(&many)).contains("more than 100 files"));
    let same: Vec<(tar::EntryType, &str, &str)> = (0..101).map(|_| (Regular, "x", "")).collect();
    assert!(refusal(&tarball(&same)).contains("more than 100 files"), "of one path each counts");
}

#[test]
fn a_sparse_file_counts_with_its_holes() {
    let outer = tempfile::tempdir().unwrap();
    for (bytes, fits) in [(200_000, true), (3 << 20, false)] {
        fs::File::create(outer.path().join("sparse")).unwrap().set_len(bytes).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["-S", "--format=gnu", "-cf", "-", "-C"]).arg(outer.path()).arg("sparse");
        let tar = tar.output().unwrap();
        assert!(tar.status.success() && tar.stdout.len() < 20_480, "{}", tar.stdout.len());
        match unpacked(&tar.stdout) {
            Ok((tree, _)) => {
                assert!(fits);
                assert_eq!(fs::read(tree.path().join("tree/sparse")).unwrap(), vec![0; 200_000]);
            }
            Err(error) => assert!(!fits && error.to_string().contains("unpacks to more than"), "{error}"),
        }
    }
}

#[test]
fn a_tarball_in_a_tarball_is_a_file_like_others() {
    let inner = compressed(&["gzip", "-c"], &tarball(&[(tar::EntryType::Regular, "deep", "x")])).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(inner.len() as u64);
    tar.append_data(&mut header, "inner.tar.gz", inner.as_slice()).unwrap();
    let (tree, manifest) = unpacked(&tar.into_inner().unwrap()).unwrap();
    assert_eq!(manifest.entries.len(), 1);
    assert_eq!(fs::read(tree.path().join("tree/inner.tar.gz")).unwrap(), inner);
}

#[test]
fn unpacking_ends_when_its_time_is_over() {
    let outer = tempfile::tempdir().unwrap();
    let (file, root) = (outer.path().join("file"), outer.path().join("tree"));
    fs::write(&file, tree()).unwrap();
    fs::create_dir(&root).unwrap();
    let job = MediaJob::new(CancellationToken::new());
    job.end_within(std::time::Duration::ZERO);
    let mut writer = TreeWriter::new(&root, TreeLimits { entries: 100, bytes: 1 << 20 }, job.clone());
    let error = unpack(&file, &mut writer, &job).unwrap_err().to_string();
    assert!(error.contains("artifacts.unpack_seconds_max"), "{error}");
}
