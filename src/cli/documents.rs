//! Objects in files: which files are read, and the noun of each document.
//!
//! The noun of a document comes from its own `noun:`, else from the command, else from the nearest folder
//! with the name of a noun (`machines/web1.yaml`). Below a folder `templates` a file that is not a document
//! is a template, named by its path there; below a folder `verbatim` it is one that is used as it is. Start
//! with [`read_all`].

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::cli::yaml;
use crate::model::{Kind, nearest};

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Most files and documents of one command.
const FILES_MAX: usize = 100_000;
/// The folders of texts: of templates, and of those that are used as they are.
const TEMPLATES: &str = "templates";
const VERBATIM: &str = "verbatim";

/// An object to be written, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectDocument {
    pub kind: Kind,
    pub body: Value,
    /// The file, and the number of the document if there are several.
    pub origin: String,
}

/// Reads files, folders and standard input (`-`).
///
/// # Errors
/// Everything that cannot be read, one line each.
pub fn read_all(paths: &[PathBuf], noun: Option<Kind>) -> Result<Vec<ObjectDocument>> {
    let (mut documents, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        match read(path, noun) {
            Ok(found) => documents.extend(found),
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    if documents.is_empty() {
        bail!("there is nothing to apply in {}", list(paths));
    }
    Ok(documents)
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn read(path: &Path, noun: Option<Kind>) -> Result<Vec<ObjectDocument>> {
    if path == Path::new("-") {
        let text = bounded(std::io::stdin().lock(), "standard input")?;
        return documents((&text, "standard input"), noun);
    }
    // The folder's own name may be that of a noun.
    let root = path.canonicalize().with_context(|| path.display().to_string())?;
    if !root.is_dir() {
        return read_file((&root, path), noun);
    }
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for file in files {
        let shown = path.join(file.strip_prefix(&root).unwrap_or(&file));
        match read_file((&file, &shown), noun) {
            Ok(documents) => found.extend(documents),
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(anyhow!("{}", faults.join("\n"))) }
}

/// All files below a folder in the order of their names; hidden files are skipped.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut entries: Vec<_> =
        entries.collect::<Result<_, _>>().with_context(|| folder.display().to_string())?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Links to files are followed and links to folders are not, so that there are no circles.
        let kind = entry.file_type().with_context(|| entry.path().display().to_string())?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if entry.path().is_file() && is_ours(&entry.path()) {
            files.push(entry.path());
        }
        if files.len() > FILES_MAX {
            bail!("{} has more than {FILES_MAX} files in it", folder.display());
        }
    }
    Ok(())
}

fn is_ours(path: &Path) -> bool {
    is_document(path) || template_file(path).is_some()
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

/// Reads a file; messages name it as `shown`.
fn read_file((path, shown): (&Path, &Path), noun: Option<Kind>) -> Result<Vec<ObjectDocument>> {
    let origin = shown.display().to_string();
    let file = fs::File::open(path).with_context(|| origin.clone())?;
    let text = bounded(file, &origin)?;
    if let (None, Some(file)) = (noun, template_file(path)) {
        return Ok(vec![template(&file, (&text, &origin))]);
    }
    documents((&text, &origin), noun.or_else(|| noun_of_folder(path)))
}

/// A document that says that it is a template, or the file as a template's body.
fn template(file: &TemplateFile, (text, origin): (&str, &str)) -> ObjectDocument {
    let TemplateFile { name, verbatim } = file;
    let body = (is_document(Path::new(name)) && !verbatim)
        .then(|| {
            let mut documents = yaml::read(text).ok()?;
            let body = documents.pop().filter(|_| documents.is_empty())?;
            (body.get("name")?.is_string() && body.get("body")?.is_string()).then_some(body)
        })
        .flatten();
    let body = body.unwrap_or_else(|| match verbatim {
        true => json!({"name": name, "body": text, "verbatim": true}),
        false => json!({"name": name, "body": text}),
    });
    ObjectDocument { kind: Kind::Template, body, origin: origin.to_owned() }
}

/// A file below a folder of texts.
struct TemplateFile {
    /// The path below that folder.
    name: String,
    verbatim: bool,
}

/// The file as a text below the outermost folder `templates`, or else below the outermost folder `verbatim`.
fn template_file(path: &Path) -> Option<TemplateFile> {
    let parts: Vec<&str> = path.components().filter_map(text_of).collect();
    [(TEMPLATES, false), (VERBATIM, true)].into_iter().find_map(|(folder, verbatim)| {
        let at = parts.iter().position(|part| *part == folder)?;
        let below = parts.get(at + 1..).filter(|below| !below.is_empty())?;
        Some(TemplateFile { name: below.join("/"), verbatim })
    })
}

fn text_of(component: Component<'_>) -> Option<&str> {
    match component {
        Component::Normal(part) => part.to_str(),
        _ => None,
    }
}

fn noun_of_folder(path: &Path) -> Option<Kind> {
    let folders = path.ancestors().skip(1).filter_map(|folder| folder.file_name().and_then(OsStr::to_str));
    folders.into_iter().find_map(|name| Kind::ALL.into_iter().find(|kind| kind.plural() == name))
}

fn documents((text, origin): (&str, &str), noun: Option<Kind>) -> Result<Vec<ObjectDocument>> {
    let bodies = yaml::read(text).with_context(|| origin.to_owned())?;
    if bodies.len() > FILES_MAX {
        bail!("{origin} has more than {FILES_MAX} documents in it");
    }
    let many = bodies.len() > 1;
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for (number, body) in (1..).zip(bodies) {
        let origin = if many { format!("{origin} (document {number})") } else { origin.to_owned() };
        match document(body, noun) {
            Ok((kind, body)) => found.push(ObjectDocument { kind, body, origin }),
            Err(why) => faults.push(format!("{origin}: {why}")),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(anyhow!("{}", faults.join("\n"))) }
}

fn document(mut body: Value, noun: Option<Kind>) -> Result<(Kind, Value), String> {
    let fields = body.as_object_mut().ok_or("an object with fields is expected")?;
    let Some(own) = fields.remove("noun") else {
        let known = "put `noun: machine` at its top, or the file into a folder named like `machines`";
        let kind = noun.ok_or_else(|| format!("it does not say which noun it is: {known}"))?;
        return Ok((kind, body));
    };
    let word = own.as_str().unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word || kind.plural() == word);
    let kind = kind.ok_or_else(|| {
        let near = nearest(word, Kind::ALL.map(Kind::as_str));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("there is no noun {own}{hint}")
    })?;
    match noun {
        Some(noun) if noun != kind => Err(format!("a {kind} where a {noun} is expected")),
        _ => Ok((kind, body)),
    }
}

/// The text of a file; `-` is standard input.
///
/// # Errors
/// It cannot be read, is not UTF-8, or is too long.
pub fn read_text(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        return bounded(std::io::stdin().lock(), "standard input");
    }
    let origin = path.display().to_string();
    bounded(fs::File::open(path).with_context(|| origin.clone())?, &origin)
}

fn bounded(reader: impl Read, origin: &str) -> Result<String> {
    let mut text = String::new();
    let read = reader.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let read = read.with_context(|| origin.to_owned())?;
    if read as u64 > FILE_BYTES_MAX {
        bail!("{origin} is longer than {FILE_BYTES_MAX} bytes");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn found(folder: &tempfile::TempDir) -> Vec<(Kind, String)> {
        let documents = read_all(&[folder.path().to_owned()], None).unwrap();
        documents.iter().map(|one| (one.kind, one.body["name"].as_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn the_noun_is_in_the_document_or_in_the_name_of_a_folder() {
        let folder = folder(&[
            ("all.yaml", "noun: machine\nname: web1\n---\nnoun: stages\nname: install\n"),
            ("bootenvs/debian.yaml", "name: debian\nkind: install\n"),
            ("workflows/params/disk.yaml", "- name: disk\n- name: rack\n"),
            ("templates/preseed/base.cfg", "d-i {{ machine.name }}\n"),
            ("templates/tasks/run.sh", "echo\n"),
            ("templates/user-data.yaml", "#cloud-config\nname: x\n"),
            ("templates/full.yaml", "name: named\nbody: text\n"),
            ("verbatim/site/count.sh", "echo ${#a[@]}\n"),
            ("README.md", "not ours"),
            (".hidden.yaml", "["),
        ]);
        let found = found(&folder);
        let expected = [
            (Kind::Machine, "web1"),
            (Kind::Stage, "install"),
            (Kind::Bootenv, "debian"),
            (Kind::Template, "named"),
            (Kind::Template, "preseed/base.cfg"),
            (Kind::Template, "tasks/run.sh"),
            (Kind::Template, "user-data.yaml"),
            (Kind::Template, "site/count.sh"),
            (Kind::Param, "disk"),
            (Kind::Param, "rack"),
        ];
        let found: Vec<(Kind, &str)> = found.iter().map(|(kind, name)| (*kind, name.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_file_that_cannot_be_read_is_told_at_once() {
        let folder = folder(&[
            ("a.yaml", "name: web1\n"),
            ("b.yaml", "a: [\n"),
            ("machines/c.yaml", "noun: machien\nname: x\n"),
            ("machines/d.yaml", "just text\n"),
        ]);
        let error = read_all(&[folder.path().to_owned()], None).unwrap_err().to_string();
        for part in
            ["a.yaml: it does not say which noun", "b.yaml: not readable as YAML", "d.yaml: an object"]
        {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(error.contains("did you mean `machine`?"), "{error}");
    }

    #[test]
    fn the_command_says_the_noun_where_the_document_does_not() {
        let folder = folder(&[("x.yaml", "name: web1\n"), ("y.yaml", "noun: stage\nname: web1\n")]);
        let x = read_all(&[folder.path().join("x.yaml")], Some(Kind::Machine)).unwrap();
        assert_eq!(x[0].kind, Kind::Machine);
        let error = read_all(&[folder.path().join("y.yaml")], Some(Kind::Machine)).unwrap_err().to_string();
        assert!(error.contains("a stage where a machine is expected"), "{error}");
    }
}
