//! Reads the files of a pack into objects.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks;
use crate::model::{
    Bootenv, ClientClass, Noun, Object, PackManifest, Param, Problem, Profile, Stage, Stored, Task, Template,
    Workflow, pack_key, parse_input,
};
use crate::pack_files::{
    FILE_BYTES_MAX, FILES_MAX, FileFault, PackFile, is_content, manifest, parse_yaml, with_lines,
};

/// The name and version of a pack.
#[derive(Clone, Copy, Debug)]
pub struct PackRelease<'a> {
    pub name: &'a str,
    pub version: &'a str,
}

/// A named and versioned bundle of content, read.
#[derive(Clone, Debug)]
pub struct ContentPack {
    pub name: String,
    pub version: String,
    /// In the order of the paths of their files.
    pub objects: Vec<Object>,
}

impl ContentPack {
    /// The `source` of its objects: `pack core@0.1.0`.
    pub fn source(&self) -> String {
        format!("pack {}", pack_key(&self.name, &self.version))
    }
}

/// An object of a pack, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct PlacedObject {
    pub object: Object,
    /// The path of its file.
    pub path: String,
    /// A pointer to it in its file; empty for a file of one object.
    pub pointer: String,
}

/// The fields that are the same for all objects of a pack.
struct PackStamp {
    source: String,
    now: Timestamp,
}

type ObjectReader = fn(Value, &PackStamp) -> Result<Object, Vec<Problem>>;

/// The folders of YAML files, with the reader for each.
const FOLDERS: [(&str, ObjectReader); 7] = [
    ("bootenvs/", object::<Bootenv>),
    ("client_classes/", object::<ClientClass>),
    ("workflows/params/", object::<Param>),
    ("workflows/profiles/", object::<Profile>),
    ("workflows/stages/", object::<Stage>),
    ("workflows/tasks/", object::<Task>),
    ("workflows/workflows/", object::<Workflow>),
];
/// The folders of texts: of templates, and of those that are put into documents as they are.
const TEMPLATES: &str = "templates/";
const VERBATIM: &str = "verbatim/";

/// Reads a pack that has a `pack.yaml`, and checks its templates and params as if each was saved. Of its
/// other files only those in the folders of content are read.
///
/// # Errors
/// Every fault of every file, with the file's path, line and pointer.
pub fn read_pack(files: &[PackFile], now: Timestamp) -> Result<(PackManifest, ContentPack), Vec<FileFault>> {
    read_both(files, now, checks::faults)
}

/// Reads a pack that was checked before: when it was loaded, or by the tests of the build.
///
/// # Errors
/// As [`read_pack`], if this version of the program cannot read it.
pub fn read_checked_pack(
    files: &[PackFile],
    now: Timestamp,
) -> Result<(PackManifest, ContentPack), Vec<FileFault>> {
    read_both(files, now, |_, _| Vec::new())
}

/// The check of the objects of a pack and of their files.
type PackCheck = fn(&[PlacedObject], &[PackFile]) -> Vec<FileFault>;

fn read_both(
    files: &[PackFile],
    now: Timestamp,
    check: PackCheck,
) -> Result<(PackManifest, ContentPack), Vec<FileFault>> {
    let content: Vec<PackFile> = files.iter().filter(|file| is_content(&file.path)).cloned().collect();
    let manifest = manifest(files);
    let (name, version) = match &manifest {
        Ok(manifest) => (manifest.name.as_str(), manifest.version.as_str()),
        Err(_) => ("", ""),
    };
    let ReadContent { pack, objects, mut faults } =
        read_content(PackRelease { name, version }, &content, now);
    faults.extend(check(&objects, &content));
    match manifest {
        Ok(manifest) if faults.is_empty() => Ok((manifest, with_objects(pack, objects))),
        Ok(_) => Err(faults),
        Err(of_manifest) => Err(of_manifest.into_iter().chain(faults).collect()),
    }
}

/// Reads the content of a pack. A file below `templates/` is a template, named by its path there; its first
/// comment is its description. A file below `verbatim/` is one that is used as it is. A YAML file in one of
/// the other folders contains an object or a list of objects.
///
/// # Errors
/// Every fault of every file, with the file's path, line and pointer; in a list the pointer begins with the
/// index.
pub fn load(
    release: PackRelease<'_>,
    files: &[PackFile],
    now: Timestamp,
) -> Result<ContentPack, Vec<FileFault>> {
    let ReadContent { pack, objects, faults } = read_content(release, files, now);
    if faults.is_empty() { Ok(with_objects(pack, objects)) } else { Err(faults) }
}

fn with_objects(pack: ContentPack, objects: Vec<PlacedObject>) -> ContentPack {
    ContentPack { objects: objects.into_iter().map(|placed| placed.object).collect(), ..pack }
}

/// The content of a pack as far as it could be read.
struct ReadContent {
    /// Without its objects.
    pack: ContentPack,
    objects: Vec<PlacedObject>,
    faults: Vec<FileFault>,
}

fn read_content(release: PackRelease<'_>, files: &[PackFile], now: Timestamp) -> ReadContent {
    let (name, version) = (release.name.to_owned(), release.version.to_owned());
    let pack = ContentPack { name, version, objects: Vec::new() };
    let (mut objects, mut faults) = (Vec::new(), Vec::new());
    if files.len() > FILES_MAX {
        let what = format!("the pack has {} files: at most {FILES_MAX} are read", files.len());
        faults.push((String::new(), Problem::new("", what)));
        return ReadContent { pack, objects, faults };
    }
    let stamp = PackStamp { source: pack.source(), now };
    let mut order: Vec<&PackFile> = files.iter().collect();
    order.sort_by(|a, b| a.path.cmp(&b.path));
    for file in order {
        match read(file, &stamp) {
            Ok(found) => objects.extend(found),
            Err(problems) => faults.extend(problems.into_iter().map(|problem| (file.path.clone(), problem))),
        }
    }
    ReadContent { pack, objects, faults }
}

fn read(file: &PackFile, stamp: &PackStamp) -> Result<Vec<PlacedObject>, Vec<Problem>> {
    if file.body.len() > FILE_BYTES_MAX {
        return Err(fault(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    let Ok(text) = std::str::from_utf8(&file.body) else {
        return Err(fault("not UTF-8 text"));
    };
    let placed = |object, pointer| PlacedObject { object, path: file.path.clone(), pointer };
    if let Some(name) = file.path.strip_prefix(TEMPLATES) {
        let template = json!({"name": name, "body": text, "description": first_comment(text)});
        return object::<Template>(template, stamp).map(|object| vec![placed(object, String::new())]);
    }
    if let Some(name) = file.path.strip_prefix(VERBATIM) {
        let template = json!({"name": name, "body": text, "verbatim": true});
        return object::<Template>(template, stamp).map(|object| vec![placed(object, String::new())]);
    }
    let Some((_, reader)) = FOLDERS.iter().find(|(folder, _)| file.path.starts_with(folder)) else {
        let known: Vec<&str> =
            FOLDERS.iter().map(|(folder, _)| *folder).chain([TEMPLATES, VERBATIM]).collect();
        return Err(fault(format!("a pack has no such folder; it has {}", known.join(", "))));
    };
    if !file.path.ends_with(".yaml") {
        return Err(fault("not a `.yaml` file"));
    }
    let value = parse_yaml(text).map_err(|problem| vec![problem])?;
    let read = match value {
        Value::Array(items) => list(items, *reader, stamp),
        item => reader(item, stamp).map(|object| vec![(object, String::new())]),
    };
    let objects = read.map_err(|problems| with_lines(text, problems))?;
    Ok(objects.into_iter().map(|(object, pointer)| placed(object, pointer)).collect())
}

/// The objects of a list, each with its pointer.
fn list(
    items: Vec<Value>,
    reader: ObjectReader,
    stamp: &PackStamp,
) -> Result<Vec<(Object, String)>, Vec<Problem>> {
    let (mut objects, mut faults) = (Vec::new(), Vec::new());
    for (i, item) in items.into_iter().enumerate() {
        match reader(item, stamp) {
            Ok(object) => objects.push((object, format!("/{i}"))),
            Err(problems) => {
                faults.extend(problems.into_iter().map(|problem| problem.below(&format!("/{i}"))));
            }
        }
    }
    if faults.is_empty() { Ok(objects) } else { Err(faults) }
}

fn object<T: Noun>(body: Value, stamp: &PackStamp) -> Result<Object, Vec<Problem>> {
    let input = parse_input::<T>(body)?;
    let Some(key) = input.spec.key() else {
        return Err(fault(format!("a {} is not content", T::KIND)));
    };
    let mut stored = Stored::new(key, input.spec, stamp.now);
    stored.labels = input.labels;
    stored.source.clone_from(&stamp.source);
    Ok(T::object(Arc::new(stored)))
}

fn fault(what: impl Into<String>) -> Vec<Problem> {
    vec![Problem::new("", what)]
}

/// The text of the comment at the beginning of a template.
fn first_comment(body: &str) -> String {
    let comment = body.strip_prefix("{#").and_then(|rest| rest.split_once("#}"));
    let text = comment.map_or("", |(text, _)| text.trim_matches('-'));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    fn file(path: &str, body: &str) -> PackFile {
        PackFile { path: path.to_owned(), body: body.as_bytes().to_vec() }
    }

    fn load_files(files: &[PackFile]) -> Result<ContentPack, Vec<String>> {
        let told = |(path, problem)| format!("{path} {problem}");
        load(PackRelease { name: "site", version: "1.2.3" }, files, Timestamp::UNIX_EPOCH)
            .map_err(|faults| faults.into_iter().map(told).collect())
    }

    #[test]
    fn one_file_holds_one_object_or_a_list() {
        let pack = load_files(&[
            file("workflows/stages/two.yaml", "- name: one\n- name: two\n"),
            file("bootenvs/local.yaml", "name: disk\nkind: local\n"),
            file("templates/a/b.cfg", "{#- Says hello. -#}\nhello\n"),
        ]);
        let keys: Vec<_> =
            pack.unwrap().objects.iter().map(|object| (object.kind(), object.key().to_owned())).collect();
        assert_eq!(
            keys,
            [
                (Kind::Bootenv, "disk".to_owned()),
                (Kind::Template, "a/b.cfg".to_owned()),
                (Kind::Stage, "one".to_owned()),
                (Kind::Stage, "two".to_owned()),
            ]
        );
    }

    #[test]
    fn a_template_is_described_by_its_first_comment_and_keeps_its_body() {
        let body = "{#- Says\n hello. -#}\nhello\n";
        let pack = load_files(&[file("templates/a.cfg", body)]).unwrap();
        let Object::Template(row) = &pack.objects[0] else { panic!("a template") };
        assert_eq!((row.spec.description.as_str(), row.spec.body.as_str()), ("Says hello.", body));
        assert_eq!(row.source, "pack site@1.2.3");
    }

    #[test]
    fn a_file_in_the_folder_of_verbatim_texts_is_used_as_it_is() {
        let pack = load_files(&[file("verbatim/site/count.sh", "echo ${#a[@]}\n")]).unwrap();
        let Object::Template(row) = &pack.objects[0] else { panic!("a template") };
        assert_eq!((row.spec.name.as_str(), row.spec.verbatim), ("site/count.sh", true));
    }

    #[test]
    fn every_fault_of_every_file_is_told_with_its_place() {
        let faults = load_files(&[
            file("bootenvs/a.yaml", "name: a\nkind: lokal\n"),
            file("workflows/stages/b.yaml", "- name: ok\n- name: b\n  taks: [x]\n"),
            file("workflows/tasks/c.yaml", "name: [\n"),
            file("workflows/d.yaml", "name: d\n"),
        ])
        .unwrap_err();
        assert_eq!(faults.len(), 4, "{faults:#?}");
        assert!(faults[0].starts_with("bootenvs/a.yaml /kind: "), "{faults:#?}");
        assert!(faults[1].starts_with("workflows/d.yaml a pack has no such folder"), "{faults:#?}");
        assert!(
            faults[2].contains("b.yaml /1/taks: unknown field `taks`; did you mean `tasks`?"),
            "{faults:#?}"
        );
        assert!(faults[3].contains("c.yaml not readable as YAML: "), "{faults:#?}");
    }

    #[test]
    fn aliases_that_unfold_without_end_are_refused() {
        let mut bomb = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            bomb.push_str(&format!("- &a{n} [{}]\n", [before.as_str(); 10].join(", ")));
        }
        let faults = load_files(&[file("workflows/params/p.yaml", &bomb)]).unwrap_err();
        assert!(faults[0].contains("not readable as YAML"), "{faults:?}");
    }

    #[test]
    fn yaml_keeps_versions_and_words_as_they_are_written() {
        let pack = load_files(&[file(
            "workflows/params/p.yaml",
            "name: p\nschema: {enum: [\"on\", \"1.10\", yes]}\ndefault: yes\n",
        )]);
        let Object::Param(row) = &pack.unwrap().objects[0] else { panic!("a param") };
        assert_eq!(row.spec.schema["enum"][1], "1.10");
        assert_eq!(row.spec.schema["enum"][2], row.spec.default.clone().unwrap());
    }
}
