//! Reads the files of a pack into objects.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::{
    Bootenv, ClientClass, Noun, Object, Param, Problem, Profile, Stage, Stored, Task, Template, Workflow,
    parse_input,
};

/// Most files of one pack.
pub const FILES_MAX: usize = 10_000;
/// Largest file of a pack, in bytes.
pub const FILE_BYTES_MAX: usize = 2 << 20;

/// A file of a pack: its path below the pack's root, with `/` between the parts.
#[derive(Clone, Debug)]
pub struct PackFile {
    pub path: String,
    pub body: Vec<u8>,
}

/// The name and version of a pack.
#[derive(Clone, Copy, Debug)]
pub struct PackRelease<'a> {
    pub name: &'a str,
    pub version: &'a str,
}

/// A named and versioned bundle of content.
#[derive(Clone, Debug)]
pub struct Pack {
    pub name: String,
    pub version: String,
    /// In the order of the paths of their files.
    pub objects: Vec<Object>,
}

impl Pack {
    /// The `source` of its objects: `pack core@0.1.0`.
    pub fn source(&self) -> String {
        format!("pack {}@{}", self.name, self.version)
    }
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

/// Reads a pack. A file below `templates/` is a template, named by its path there; its first comment is its
/// description. A file below `verbatim/` is one that is used as it is. A YAML file in one of the other
/// folders contains an object or a list of objects.
///
/// # Errors
/// Every fault of every file, with the file's path; in a list the pointer begins with the index.
pub fn load(
    release: PackRelease<'_>,
    files: &[PackFile],
    now: Timestamp,
) -> Result<Pack, Vec<(String, Problem)>> {
    if files.len() > FILES_MAX {
        let what = format!("the pack has {} files: at most {FILES_MAX} are read", files.len());
        return Err(vec![(String::new(), Problem::new("", what))]);
    }
    let pack =
        Pack { name: release.name.to_owned(), version: release.version.to_owned(), objects: Vec::new() };
    let stamp = PackStamp { source: pack.source(), now };
    let mut order: Vec<&PackFile> = files.iter().collect();
    order.sort_by(|a, b| a.path.cmp(&b.path));
    let (mut objects, mut faults) = (Vec::new(), Vec::new());
    for file in order {
        match read(file, &stamp) {
            Ok(found) => objects.extend(found),
            Err(problems) => faults.extend(problems.into_iter().map(|problem| (file.path.clone(), problem))),
        }
    }
    match faults.is_empty() {
        true => Ok(Pack { objects, ..pack }),
        false => Err(faults),
    }
}

fn read(file: &PackFile, stamp: &PackStamp) -> Result<Vec<Object>, Vec<Problem>> {
    if file.body.len() > FILE_BYTES_MAX {
        return Err(fault(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    let Ok(text) = std::str::from_utf8(&file.body) else {
        return Err(fault("not UTF-8 text"));
    };
    if let Some(name) = file.path.strip_prefix(TEMPLATES) {
        let template = json!({"name": name, "body": text, "description": first_comment(text)});
        return object::<Template>(template, stamp).map(|object| vec![object]);
    }
    if let Some(name) = file.path.strip_prefix(VERBATIM) {
        let template = json!({"name": name, "body": text, "verbatim": true});
        return object::<Template>(template, stamp).map(|object| vec![object]);
    }
    let Some((_, reader)) = FOLDERS.iter().find(|(folder, _)| file.path.starts_with(folder)) else {
        let known: Vec<&str> =
            FOLDERS.iter().map(|(folder, _)| *folder).chain([TEMPLATES, VERBATIM]).collect();
        return Err(fault(format!("a pack has no such folder; it has {}", known.join(", "))));
    };
    if !file.path.ends_with(".yaml") {
        return Err(fault("not a `.yaml` file"));
    }
    // `on` and `yes` are words, as on the command line.
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| fault(format!("not readable as YAML: {error}")))?;
    match value {
        Value::Array(items) => list(items, *reader, stamp),
        item => reader(item, stamp).map(|object| vec![object]),
    }
}

fn list(items: Vec<Value>, reader: ObjectReader, stamp: &PackStamp) -> Result<Vec<Object>, Vec<Problem>> {
    let (mut objects, mut faults) = (Vec::new(), Vec::new());
    for (i, item) in items.into_iter().enumerate() {
        match reader(item, stamp) {
            Ok(object) => objects.push(object),
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

    fn load_files(files: &[PackFile]) -> Result<Pack, Vec<String>> {
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
