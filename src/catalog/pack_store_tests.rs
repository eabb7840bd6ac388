//! Packs are loaded whole or refused with every fault, never change, and are found again by name and version.

use std::collections::BTreeMap;

use crate::catalog::pack_store::AddedPack;
use crate::houses::testing::{caller, houses};
use crate::kernel::Error;
use crate::model::{Kind, Object, PruneMode, RefusalCode};
use crate::pack_files::{PackFile, read_archive, write_archive};

/// The archive of a pack with a template.
fn archive(manifest: &str, body: &str) -> Vec<u8> {
    let file = |path: &str, body: &str| PackFile { path: path.to_owned(), body: body.into() };
    write_archive(&[file("pack.yaml", manifest), file("templates/site/a.cfg", body)]).unwrap()
}

fn versions(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
}

#[tokio::test]
async fn a_pack_is_found_by_name_and_version_and_has_the_bytes_that_were_sent() {
    let houses = houses();
    let sent = archive("name: site\nversion: 1.0.0\nlicence: MIT\n", "one\n");
    let added = houses.catalog.add_pack(&caller(), sent.clone()).await.unwrap();
    let AddedPack::New(stored) = &added else { panic!("{added:?}") };
    assert_eq!((stored.key.as_str(), stored.spec.file_count), ("site@1.0.0", 2));
    let pack = houses.catalog.pack("site", "1.0.0").unwrap();
    let Object::Template(template) = &pack.objects[0] else { panic!("a template") };
    assert_eq!((template.key.as_str(), template.source.as_str()), ("site/a.cfg", "pack site@1.0.0"));
    assert!(houses.catalog.pack("site", "1.0.1").is_none());
    let files = houses.catalog.pack_files(stored).unwrap();
    assert_eq!(write_archive(&files).unwrap(), sent);
    assert_eq!(files, read_archive(&sent).unwrap());
    // Nothing of it is installed.
    assert_eq!(houses.kernel.read(|world| world.count(Kind::Template)), 0);
}

#[tokio::test]
async fn a_version_never_changes_and_the_same_files_are_no_news() {
    let houses = houses();
    let manifest = "name: site\nversion: 1.0.0\n";
    let first = houses.catalog.add_pack(&caller(), archive(manifest, "one\n")).await.unwrap();
    let again = houses.catalog.add_pack(&caller(), archive(manifest, "one\n")).await.unwrap();
    assert_eq!(again, AddedPack::Known(first.stored().clone()));
    let other = houses.catalog.add_pack(&caller(), archive(manifest, "two\n")).await;
    let Err(Error::Conflict(RefusalCode::Taken, why)) = other else { panic!("{other:?}") };
    assert!(why.contains("a pack never changes"), "{why}");
}

#[tokio::test]
async fn a_faulty_pack_is_refused_with_every_fault_and_leaves_nothing() {
    let houses = houses();
    let file = |path: &str, body: &str| PackFile { path: path.to_owned(), body: body.into() };
    let archive = write_archive(&[
        file("pack.yaml", "name: site\nversion: one\n"),
        file("bootenvs/a.yaml", "- name: a\n  kind: local\n- name: b\n  kind: lokal\n"),
        file("templates/a.cfg", "one\n{{ x\n"),
        file("workflows/params/p.yaml", "name: p\nschema: {type: integer}\ndefault: word\n"),
        file("workflows/stages/a.yaml", "- name: s\n- name: s\n"),
    ])
    .unwrap();
    let refused = houses.catalog.add_pack(&caller(), archive).await;
    let Err(Error::Invalid(faults)) = refused else { panic!("{refused:?}") };
    let told: Vec<String> = faults
        .iter()
        .map(|fault| {
            let line = fault.line.unwrap_or_default();
            format!("{}:{line} {}", fault.template.clone().unwrap_or_default(), fault.pointer)
        })
        .collect();
    for place in [
        "pack.yaml:2 /version",
        "bootenvs/a.yaml:4 /1/kind",
        "workflows/params/p.yaml:3 /default",
        "workflows/stages/a.yaml:2 /1",
    ] {
        assert!(told.iter().any(|told| told == place), "{place} is not in {told:#?}");
    }
    assert!(told.iter().any(|told| told.starts_with("templates/a.cfg:")), "{told:#?}");
    assert_eq!(houses.kernel.read(|world| (world.packs.len(), world.contents.len())), (0, 0));
}

#[tokio::test]
async fn packs_stand_in_the_order_of_their_priority_and_what_is_required_must_be_there() {
    let houses = houses();
    let catalog = &houses.catalog;
    let core = catalog.load_core(&caller()).await.unwrap();
    let manifests = [
        "name: low\nversion: 1.0.0\npriority: 10\n",
        "name: base\nversion: 2.1.0\n",
        "name: site\nversion: 1.0.0\npriority: 200\nrequires: {base: \"^2\", core: \"*\"}\n",
    ];
    for manifest in manifests {
        catalog.add_pack(&caller(), archive(manifest, "one\n")).await.unwrap();
    }
    let all = [("base", "2.1.0"), ("core", core.version.as_str()), ("low", "1.0.0"), ("site", "1.0.0")];
    let packs = catalog.packs_of(&versions(&all)).unwrap();
    let names: Vec<&str> = packs.iter().map(|pack| pack.name.as_str()).collect();
    assert_eq!(names, ["core", "low", "base", "site"]);
    let Err(Error::Invalid(faults)) = catalog.packs_of(&versions(&[("site", "1.0.0"), ("gone", "1.0.0")]))
    else {
        panic!("they do not stand together")
    };
    let told: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(told, ["/packs/gone", "/packs/base", "/packs/core"]);
}

#[tokio::test]
async fn pruning_leaves_the_files_of_packs_and_takes_those_of_deleted_ones() {
    let houses = houses();
    let added = houses.catalog.add_pack(&caller(), archive("name: site\nversion: 1.0.0\n", "one\n")).await;
    let stored = added.unwrap().stored().clone();
    houses.records.prune(&caller(), PruneMode::Delete).await.unwrap();
    assert!(houses.catalog.pack_files(&stored).is_ok());
    houses
        .kernel
        .commit(crate::kernel::Changeset::default().delete(&Object::Pack(stored.clone())))
        .await
        .unwrap();
    houses.records.prune(&caller(), PruneMode::Delete).await.unwrap();
    assert!(houses.catalog.pack_files(&stored).is_err());
    assert!(houses.catalog.pack("site", "1.0.0").is_none());
}

#[tokio::test]
async fn the_pack_of_the_program_is_loaded_once_and_another_build_beside_it() {
    let houses = houses();
    let catalog = &houses.catalog;
    let manifest = format!("name: core\nversion: {}\n", env!("CARGO_PKG_VERSION"));
    catalog.add_pack(&caller(), archive(&manifest, "of another build\n")).await.unwrap();
    let core = catalog.load_core(&caller()).await.unwrap();
    let begin = format!("{}+", env!("CARGO_PKG_VERSION"));
    assert!(core.version.starts_with(&begin) && core.version.len() == begin.len() + 8, "{}", core.version);
    let again = catalog.load_core(&caller()).await.unwrap();
    assert_eq!((again.version.as_str(), houses.kernel.read(|world| world.packs.len())), (&*core.version, 2));
    assert!(catalog.pack("core", &core.version).is_some());
}
