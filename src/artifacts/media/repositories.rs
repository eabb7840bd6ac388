//! Finds the package repositories in a tree by its list of files. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::TreeManifest;
use crate::model::TreeRepository;

/// Most repositories that are listed of one tree.
const REPOSITORIES_MAX: usize = 32;

/// The repositories in a tree: apt repositories by their suites, yum repositories by `repodata`.
pub fn found(manifest: &TreeManifest) -> Vec<TreeRepository> {
    let mut found = yum(manifest);
    found.extend(apt(manifest));
    found.truncate(REPOSITORIES_MAX);
    found
}

/// A tree with `.treeinfo` is one that Anaconda installs from: it finds the variants (`BaseOS`, `AppStream`)
/// itself.
fn yum(manifest: &TreeManifest) -> Vec<TreeRepository> {
    let repository = |path: &str, install_source: bool| TreeRepository {
        package_type: "yum".to_owned(),
        path: path.to_owned(),
        install_source,
        signed: manifest.contains(&joined(path, "repodata/repomd.xml.asc")),
        ..TreeRepository::default()
    };
    let indexed: BTreeSet<&str> =
        manifest.entries.keys().filter_map(|path| above(path, "repodata/repomd.xml")).collect();
    let trees: BTreeSet<&str> = manifest.entries.keys().filter_map(|path| above(path, ".treeinfo")).collect();
    // The tree of an installation medium has indexes only in its variants.
    let installs =
        trees.iter().filter(|tree| indexed.iter().any(|path| tree.is_empty() || path.starts_with(**tree)));
    let installs: BTreeSet<&str> = installs.copied().collect();
    let plain = indexed.difference(&installs).map(|path| repository(path, false));
    installs.iter().map(|path| repository(path, true)).chain(plain).collect()
}

/// Parses `dists/bookworm/Release`, with the components that have an index beside it.
fn apt(manifest: &TreeManifest) -> Vec<TreeRepository> {
    let mut suites: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for path in manifest.entries.keys() {
        let Some((folder, rest)) = split_at_dists(path) else { continue };
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            [suite, "Release" | "InRelease"] => {
                suites.entry((folder, *suite)).or_default();
            }
            [suite, component, binary, index]
                if binary.starts_with("binary-") && index.starts_with("Packages") =>
            {
                suites.entry((folder, *suite)).or_default().insert(component);
            }
            _ => {}
        }
    }
    let has = |path: String| manifest.contains(&path);
    let released = suites.into_iter().filter(|((folder, suite), _)| {
        let dists = joined(folder, "dists");
        has(format!("{dists}/{suite}/Release")) || has(format!("{dists}/{suite}/InRelease"))
    });
    released
        .map(|((folder, suite), components): ((&str, &str), BTreeSet<&str>)| {
            let dists = joined(folder, "dists");
            TreeRepository {
                package_type: "apt".to_owned(),
                path: folder.to_owned(),
                distribution: suite.to_owned(),
                install_source: !components.is_empty(),
                components: components.into_iter().map(str::to_owned).collect(),
                signed: has(format!("{dists}/{suite}/InRelease"))
                    || has(format!("{dists}/{suite}/Release.gpg")),
            }
        })
        .collect()
}

/// The folder above `end`: `a/b` for `a/b/.treeinfo`.
fn above<'a>(path: &'a str, end: &str) -> Option<&'a str> {
    let folder = path.strip_suffix(end)?;
    if folder.is_empty() { Some("") } else { folder.strip_suffix('/') }
}

fn split_at_dists(path: &str) -> Option<(&str, &str)> {
    match path.strip_prefix("dists/") {
        Some(rest) => Some(("", rest)),
        None => path.split_once("/dists/"),
    }
}

fn joined(folder: &str, rest: &str) -> String {
    if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> TreeManifest {
        let entries = paths.iter().map(|path| match path.split_once(" -> ") {
            Some((path, target)) => (path.to_owned(), format!("-> {target}")),
            None => ((*path).to_owned(), "0".repeat(64)),
        });
        TreeManifest { entries: entries.collect(), ..TreeManifest::default() }
    }

    #[test]
    fn the_medium_of_a_rocky_linux_is_one_tree_to_install_from() {
        let found = found(&tree(&[
            ".treeinfo",
            "BaseOS/repodata/repomd.xml",
            "AppStream/repodata/repomd.xml",
            "images/pxeboot/vmlinuz",
        ]));
        let told: Vec<_> = found.iter().map(|found| (found.path.as_str(), found.install_source)).collect();
        assert_eq!(told, [("", true), ("AppStream", false), ("BaseOS", false)]);
        assert!(found.iter().all(|found| found.package_type == "yum"));
    }

    #[test]
    fn the_medium_of_a_debian_is_a_suite_with_its_components() {
        let found = found(&tree(&[
            "debian -> .",
            "dists/stable -> bookworm",
            "dists/bookworm/Release",
            "dists/bookworm/main/binary-amd64/Packages.gz",
            "dists/bookworm/main/debian-installer/binary-amd64/Packages.gz",
            "dists/bookworm/contrib/binary-amd64/Packages.gz",
            "pool/main/a/apt/apt.deb",
        ]));
        let [found] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((found.distribution.as_str(), found.install_source), ("bookworm", true));
        assert_eq!(found.components, ["contrib", "main"]);
        assert!(!found.signed, "the media of Debian carry no signature of their index");
    }

    #[test]
    fn netboot_files_are_no_repository() {
        assert!(found(&tree(&["linux", "initrd.gz", ".treeinfo", "images/install.img"])).is_empty());
    }
}
