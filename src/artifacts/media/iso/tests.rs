//! Tests of images made by `xorriso`, intact and damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Command;

use super::*;

/// The content of an image, by path: a file's length and first bytes, a link's target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    folders: Vec<String>,
    files: BTreeMap<String, (u64, String)>,
    links: BTreeMap<String, String>,
}

/// Most bytes of a file that are read.
const LOOKED_AT_MAX: u64 = 1 << 20;

impl TreeSink for Seen {
    fn folder(&mut self, path: &str) -> io::Result<()> {
        self.folders.push(path.to_owned());
        Ok(())
    }

    fn file(&mut self, path: &str, (bytes, content): (u64, &mut dyn Read)) -> io::Result<()> {
        let mut text = Vec::new();
        content.take(LOOKED_AT_MAX).read_to_end(&mut text)?;
        assert_eq!(text.len() as u64, bytes.min(LOOKED_AT_MAX));
        let text = String::from_utf8_lossy(text.get(..20).unwrap_or(&text)).into_owned();
        self.files.insert(path.to_owned(), (bytes, text));
        Ok(())
    }

    fn skip(&mut self, _content: &mut dyn Read) -> io::Result<()> {
        panic!("an image has nothing to pass over")
    }

    fn link(&mut self, path: &str, target: LinkTarget) -> io::Result<()> {
        let LinkTarget::Symbolic(target) = target else { panic!("an image has no hard links") };
        self.links.insert(path.to_owned(), target);
        Ok(())
    }
}

/// An image of a folder; none if `xorriso` is not installed.
fn image(folder: &Path, options: &[&str]) -> Option<Vec<u8>> {
    let iso = folder.with_extension("iso");
    let mut command = Command::new("xorriso");
    // Without a UTF-8 locale `xorriso` replaces letters beyond ASCII.
    command.env("LC_ALL", "C.UTF-8");
    command.args(["-as", "mkisofs", "-quiet"]).args(options).arg("-o").arg(&iso).arg(folder);
    let Ok(output) = command.output() else {
        eprintln!("xorriso is not installed (scripts/deps): images are not tested");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(fs::read(iso).unwrap())
}

fn walked(image: &[u8]) -> io::Result<Seen> {
    let mut seen = Seen::default();
    IsoImage::open(Cursor::new(image))?.walk(&mut seen)?;
    Ok(seen)
}

fn write(root: &Path, path: &str, text: &str) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

/// Like a Debian medium: links to the root and within, long names, deep folders.
fn debian(outer: &Path) -> std::path::PathBuf {
    let root = outer.join("debian");
    let long = format!("pool/main/l/{}/{}_1.0-1+deb12u3~bpo_amd64.deb", "long".repeat(30), "n".repeat(200));
    write(&root, &long, "a long one");
    write(&root, "dists/bookworm/Release", "Suite: stable");
    write(&root, "dists/bookworm/main/binary-amd64/Packages.gz", "packages");
    write(&root, "install.amd/vmlinuz", "kernel");
    write(&root, "a/b/c/d/e/f/g/h/i/j/deep.txt", "deep down");
    write(&root, ".disk/info", "Debian");
    let link = |target: &str, path: &str| std::os::unix::fs::symlink(target, root.join(path)).unwrap();
    link(".", "debian");
    link("bookworm", "dists/stable");
    link("../../install.amd/vmlinuz", "dists/bookworm/kernel");
    // A target that needs more than one entry.
    link(&format!("{}x", "part/".repeat(120)), "far");
    root
}

#[test]
fn rock_ridge_keeps_links_and_long_names_and_folders_that_are_deep() {
    let outer = tempfile::tempdir().unwrap();
    let root = debian(outer.path());
    for options in [&["-R"][..], &["-R", "-J", "-joliet-long"], &["-r", "-D"]] {
        let Some(image) = image(&root, options) else { return };
        let seen = walked(&image).unwrap();
        let link = |path: &str| seen.links.get(path).map(String::as_str);
        assert_eq!(link("debian"), Some("."), "{options:?}");
        assert_eq!(link("dists/stable"), Some("bookworm"));
        assert_eq!(link("dists/bookworm/kernel"), Some("../../install.amd/vmlinuz"));
        assert_eq!(link("far").map(str::len), Some("part/".len() * 120 + 1));
        let names: Vec<&String> = seen.files.keys().collect();
        assert_eq!(seen.files.len(), 6, "{options:?} {names:?}");
        assert_eq!(seen.files["a/b/c/d/e/f/g/h/i/j/deep.txt"].1, "deep down");
        assert_eq!(seen.files[".disk/info"], (6, "Debian".to_owned()));
        assert!(names.iter().any(|name| name.len() > 300), "{names:?}");
    }
}

#[test]
fn joliet_alone_keeps_names_and_a_plain_image_has_them_in_lower_case() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("small");
    write(&root, "Images/Übung mit langem Namen.txt", "x");
    // `--norock` makes xorriso leave Rock Ridge out.
    let Some(joliet) = image(&root, &["--norock", "-J", "-joliet-long"]) else { return };
    let seen = walked(&joliet).unwrap();
    assert_eq!(seen.files.keys().collect::<Vec<_>>(), ["Images/Übung mit langem Namen.txt"]);
    let plain = outer.path().join("plain");
    write(&plain, "images/pxeboot/vmlinuz", "kernel");
    let seen = walked(&image(&plain, &["--norock"]).unwrap()).unwrap();
    assert_eq!(seen.files.keys().collect::<Vec<_>>(), ["images/pxeboot/vmlinuz"]);
}

/// The offset of the record of a name.
fn record_of(image: &[u8], name: &[u8]) -> usize {
    let is_it = |bytes: &[u8]| bytes[0] as usize == name.len() && &bytes[1..] == name;
    image.windows(name.len() + 1).position(is_it).unwrap() - 32
}

#[test]
fn a_file_in_several_parts_is_one_file() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("large");
    write(&root, "large1", "the first part, ");
    write(&root, "large2", "the rest");
    write(&root, "small", "x");
    let Some(mut image) = image(&root, &["--norock"]) else { return };
    // As in an image with a file of more than 4 GiB: all records but the last say that there is more.
    let record = record_of(&image, b"LARGE1.;1");
    image[record + 25] |= 0x80;
    let seen = walked(&image).unwrap();
    assert_eq!(seen.files["large2"], (24, "the first part, the ".to_owned()));
    assert_eq!(seen.files["small"], (1, "x".to_owned()));
    assert_eq!(seen.files.len(), 2);
}

#[test]
fn a_damaged_image_is_an_error_or_something_else_and_never_the_end() {
    let outer = tempfile::tempdir().unwrap();
    let Some(whole) = image(&debian(outer.path()), &["-R", "-J"]) else { return };
    let untouched = walked(&whole).ok();
    // Every byte of the descriptors and folders, which are in front, is set to something else.
    let mut random = 0x9e37_79b9_u64;
    let mut refused = 0;
    for _ in 0..800 {
        let mut image = whole.clone();
        for _ in 0..8 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = 0x8000 + (random >> 33) as usize % (whole.len().min(0x2_0000) - 0x8000);
            image[at] = (random >> 20) as u8;
        }
        refused += u32::from(walked(&image).is_err());
    }
    assert!(refused > 30, "{refused}");
    for length in (0..whole.len()).step_by(1777) {
        // Only padding is cut off at the end.
        let seen = walked(&whole[..length]);
        assert!(seen.as_ref().is_err() || seen.as_ref().ok() == untouched.as_ref(), "cut at {length}");
    }
}

#[test]
fn folders_in_circles_are_refused() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("circle");
    write(&root, "one/two/x", "x");
    let Some(mut image) = image(&root, &["-R"]) else { return };
    // The record of `two` is made to point to `one`.
    let (one, two) = (record_of(&image, b"ONE"), record_of(&image, b"TWO"));
    image.copy_within(one + 2..one + 6, two + 2);
    let error = walked(&image).unwrap_err().to_string();
    assert!(error.contains("circles"), "{error}");
}

#[test]
fn what_is_no_image_says_so() {
    assert!(walked(b"").is_err());
    let error = walked(&vec![0; 64 << 10]).unwrap_err().to_string();
    assert!(error.contains("no volume"), "{error}");
}

#[test]
fn an_image_whose_files_are_one_and_the_same_ends_at_the_bound_of_the_tree() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("same");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("first"), vec![7; 40_000]).unwrap();
    for n in 0..20 {
        fs::hard_link(root.join("first"), root.join(format!("name{n}"))).unwrap();
    }
    let Some(image) = image(&root, &["-R", "--hardlinks"]) else { return };
    let tree = outer.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let limits = crate::artifacts::media::tree::TreeLimits { entries: 100, bytes: 400_000 };
    let job = crate::artifacts::media::MediaJob::new(tokio_util::sync::CancellationToken::new());
    let mut writer = crate::artifacts::media::tree::TreeWriter::new(&tree, limits, job);
    let error = IsoImage::open(Cursor::new(&image)).unwrap().walk(&mut writer).unwrap_err().to_string();
    assert!(error.contains("unpacks to more than"), "{} bytes: {error}", image.len());
}
