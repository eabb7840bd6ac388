//! The pack that is part of the program: the folders `bootenvs/`, `client_classes/`, `templates/` and
//! `workflows/`.

use include_dir::{Dir, DirEntry, include_dir};
use jiff::Timestamp;

use crate::catalog::content::{ContentPack, PackFile, PackRelease, load};
use crate::model::CORE_PACK;
use crate::pack_files::{FileFault, MANIFEST};

static FOLDERS: [(&str, Dir<'static>); 4] = [
    ("bootenvs", include_dir!("$CARGO_MANIFEST_DIR/bootenvs")),
    ("client_classes", include_dir!("$CARGO_MANIFEST_DIR/client_classes")),
    ("templates", include_dir!("$CARGO_MANIFEST_DIR/templates")),
    ("workflows", include_dir!("$CARGO_MANIFEST_DIR/workflows")),
];

/// The pack `core`, with the version of the program.
///
/// # Errors
/// Every fault of every file, with the file's path. Such a fault is one of the build, which tests find.
pub fn core(now: Timestamp) -> Result<ContentPack, Vec<FileFault>> {
    load(PackRelease { name: CORE_PACK, version: env!("CARGO_PKG_VERSION") }, &content(), now)
}

/// The files of the pack `core`, with a `pack.yaml` of this version; none for the program's own.
pub fn core_files(version: Option<&str>) -> Vec<PackFile> {
    let version = version.unwrap_or(env!("CARGO_PKG_VERSION"));
    let manifest = format!(
        "name: {CORE_PACK}\nversion: {version}\ndescription: What the program brings\nlicence: {}\n",
        env!("CARGO_PKG_LICENSE")
    );
    let mut files = content();
    files.push(PackFile { path: MANIFEST.to_owned(), body: manifest.into_bytes() });
    files
}

fn content() -> Vec<PackFile> {
    let mut files = Vec::new();
    for (folder, dir) in &FOLDERS {
        collect(folder, dir, &mut files);
    }
    files
}

fn collect(folder: &str, dir: &Dir<'static>, files: &mut Vec<PackFile>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(inner) => collect(folder, inner, files),
            DirEntry::File(file) => {
                let path = format!("{folder}/{}", file.path().to_string_lossy());
                files.push(PackFile { path, body: file.contents().to_vec() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Noun, Object, Stored, World};

    fn world() -> World {
        let mut world = World::default();
        for object in core(Timestamp::UNIX_EPOCH).unwrap().objects {
            world.put(object);
        }
        world
    }

    fn dangling<'a, T: Noun>(
        world: &World,
        rows: impl Iterator<Item = &'a std::sync::Arc<Stored<T>>>,
    ) -> Vec<String> {
        let rows = rows.flat_map(|row| row.spec.references().into_iter().map(|held| (row.subject(), held)));
        rows.filter(|(_, held)| !world.contains(held.kind, &held.key))
            .map(|(subject, held)| format!("{subject}{} names {} {}", held.pointer, held.kind, held.key))
            .collect()
    }

    #[test]
    fn everything_that_ships_reads_as_api_input_and_says_what_it_is() {
        let pack = core(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(pack.source(), format!("pack core@{}", env!("CARGO_PKG_VERSION")));
        for object in &pack.objects {
            let view = serde_json::from_str::<serde_json::Value>(&object.encode().unwrap()).unwrap();
            assert_eq!(view["source"], pack.source().as_str());
            let said = view["spec"]["description"].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "{} {} has no description", object.kind(), object.key());
        }
    }

    #[test]
    fn every_reference_inside_the_pack_resolves() {
        let world = world();
        let mut missing = dangling(&world, world.bootenvs.iter());
        missing.extend(dangling(&world, world.profiles.iter()));
        missing.extend(dangling(&world, world.stages.iter()));
        missing.extend(dangling(&world, world.tasks.iter()));
        missing.extend(dangling(&world, world.workflows.iter()));
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn the_program_finds_the_documents_and_names_it_expects() {
        let world = world();
        for name in ["local", "debian-12-install", "rocky-9-install"] {
            assert!(world.bootenvs.get(name).is_some(), "no bootenv {name}");
        }
        for workflow in ["install-debian-12", "install-rocky-9"] {
            assert!(world.workflows.get(workflow).is_some(), "no workflow {workflow}");
        }
        for loader in ["ipxe/%.ipxe", "grub/%.cfg", "pxelinux/%.cfg"] {
            for what in ["boot", "local", "screen", "unknown"] {
                let name = loader.replace('%', what);
                assert!(world.templates.get(&name).is_some(), "no template {name}");
            }
        }
        assert!(world.templates.get("ipxe/identify.ipxe").is_some());
    }

    /// The names in `function(name="…"` in a text.
    fn names_given_to(function: &str, text: &str) -> BTreeSet<String> {
        let opening = format!("{function}(name=\"");
        text.split(&opening).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    }

    #[test]
    fn every_param_that_content_reads_is_declared_and_every_default_fits() {
        let world = world();
        let mut texts: Vec<String> = world.templates.iter().map(|row| row.spec.body.clone()).collect();
        texts.extend(world.bootenvs.iter().map(|row| row.spec.boot_params.clone()));
        let read: BTreeSet<String> = texts
            .iter()
            .flat_map(|text| {
                ["param", "compose"].into_iter().flat_map(|function| names_given_to(function, text))
            })
            .collect();
        assert!(read.len() > 20, "the reader finds the params: {read:?}");
        let undeclared: Vec<_> = read.iter().filter(|name| world.params.get(name).is_none()).collect();
        assert_eq!(undeclared, [""; 0]);
        for param in world.params.iter() {
            if let Some(default) = &param.spec.default {
                let faults = crate::model::check_schema(&param.spec.schema, default, "/default");
                assert_eq!(faults, [], "param {}", param.key);
            }
        }
    }

    #[test]
    fn what_can_destroy_must_be_armed() {
        use crate::model::BootenvKind;
        for bootenv in world().bootenvs.iter() {
            assert_eq!(
                bootenv.spec.is_destructive(),
                bootenv.spec.kind == BootenvKind::Install,
                "{}",
                bootenv.key
            );
        }
    }

    #[test]
    fn the_pack_passes_the_checks_that_packs_of_others_pass() {
        let read = crate::catalog::content::read_pack(&core_files(None), Timestamp::UNIX_EPOCH);
        let (manifest, pack) = read.unwrap();
        assert_eq!((manifest.name.as_str(), pack.version.as_str()), (CORE_PACK, env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn objects_of_a_kind_have_one_name_each() {
        let pack = core(Timestamp::UNIX_EPOCH).unwrap();
        let names: BTreeSet<_> =
            pack.objects.iter().map(|object: &Object| (object.kind(), object.key().to_owned())).collect();
        assert_eq!(names.len(), pack.objects.len());
    }
}
