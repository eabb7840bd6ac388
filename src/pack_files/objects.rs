//! The objects of a pack as they are written, without a check: for comparisons and lints.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{MANIFEST, PackFile, SIGNATURE, parse_yaml};
use crate::model::Kind;

/// An object of a pack, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum PackedObject {
    /// A template, or a file that is no object.
    Text(String),
    Fields(Value),
}

/// The folders of YAML files, with the kind of their objects.
const FOLDERS: [(&str, Kind); 7] = [
    ("bootenvs/", Kind::Bootenv),
    ("client_classes/", Kind::ClientClass),
    ("workflows/params/", Kind::Param),
    ("workflows/profiles/", Kind::Profile),
    ("workflows/stages/", Kind::Stage),
    ("workflows/tasks/", Kind::Task),
    ("workflows/workflows/", Kind::Workflow),
];

/// The objects of a pack by kind and name; what is no object has the kind `file` and its path as name. The
/// signature is left out.
pub fn packed_objects(files: &[PackFile]) -> BTreeMap<(String, String), PackedObject> {
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| file.path != SIGNATURE) {
        let text = String::from_utf8_lossy(&file.body).into_owned();
        let of_file = ("file".to_owned(), file.path.clone());
        let template = ["templates/", "verbatim/"].iter().find_map(|folder| file.path.strip_prefix(folder));
        let kind = FOLDERS.iter().find(|(folder, _)| file.path.starts_with(folder)).map(|(_, kind)| *kind);
        let read = if kind.is_some() || file.path == MANIFEST { parse_yaml(&text).ok() } else { None };
        match (template, kind, read) {
            (Some(name), ..) => {
                found.insert((Kind::Template.to_string(), name.to_owned()), PackedObject::Text(text));
            }
            (_, Some(kind), Some(Value::Array(items))) => {
                found.extend(items.into_iter().enumerate().map(|(place, item)| object(kind, item, place)));
            }
            (_, Some(kind), Some(item)) => found.extend([object(kind, item, 0)]),
            (_, None, Some(fields)) => {
                found.insert(of_file, PackedObject::Fields(fields));
            }
            _ => {
                found.insert(of_file, PackedObject::Text(text));
            }
        }
    }
    found
}

fn object(kind: Kind, item: Value, place: usize) -> ((String, String), PackedObject) {
    let name = item.get("name").and_then(Value::as_str).map_or_else(|| format!("#{place}"), str::to_owned);
    ((kind.to_string(), name), PackedObject::Fields(item))
}
