//! Reads `pack.yaml`.

use super::{FileFault, PackFile, parse_yaml, with_lines};
use crate::model::{PackManifest, Problem, RefusalCode, parse_typed};

/// The file in which a pack says what it is.
pub const MANIFEST: &str = "pack.yaml";

/// What a pack says of itself.
///
/// # Errors
/// It has no `pack.yaml`, or every fault of it.
pub fn manifest(files: &[PackFile]) -> Result<PackManifest, Vec<FileFault>> {
    let named = |problems: Vec<Problem>| -> Vec<FileFault> {
        problems.into_iter().map(|problem| (MANIFEST.to_owned(), problem)).collect()
    };
    let Some(file) = files.iter().find(|file| file.path == MANIFEST) else {
        let what = "it is missing: a pack has this file at its top, with `name` and `version`";
        return Err(named(vec![Problem::new("", what).coded(RefusalCode::Missing)]));
    };
    let text = String::from_utf8_lossy(&file.body);
    let value = parse_yaml(&text).map_err(|problem| named(vec![problem]))?;
    let read = parse_typed::<PackManifest>(&value);
    let faults = match &read {
        Ok(manifest) => manifest.faults(),
        Err(faults) => faults.clone(),
    };
    match read {
        Ok(manifest) if faults.is_empty() => Ok(manifest),
        _ => Err(named(with_lines(&text, faults))),
    }
}
