//! Whether the files of an artifact are available now, and if not, why.

use crate::model::{Artifact, BootFiles, Stored, World};

/// An artifact whose files are available.
///
/// # Errors
/// Why they are not, for an operator.
pub fn served<'a>(world: &'a World, name: &str) -> Result<&'a Stored<Artifact>, String> {
    let Some(artifact) = world.artifacts.get(name) else {
        return Err(format!(
            "there is no artifact {name}: add one with `metalwright artifacts add {name} --dir DIR`"
        ));
    };
    let status = &artifact.status;
    if status.is_served() {
        return Ok(artifact);
    }
    let state = serde_json::to_value(status.state).unwrap_or_default();
    let state = state.as_str().unwrap_or("not ready").to_owned();
    let percent = status.percent.map_or_else(String::new, |percent| format!(", {percent} %"));
    Err(format!("artifact {name} is {state}: {}{percent}", status.reason))
}

/// Why kernel and initrds cannot be fetched now: the artifact is missing, not ready, or lacks a file.
pub fn artifact_fault(world: &World, files: &BootFiles) -> Option<String> {
    let name = &files.artifact;
    let artifact = match served(world, name) {
        Ok(artifact) => artifact,
        Err(fault) => return Some(fault),
    };
    let status = &artifact.status;
    let named = std::iter::once(&files.kernel).chain(&files.initrds);
    let absent: Vec<&str> = named.filter(|path| status.absent.contains(path)).map(String::as_str).collect();
    (!absent.is_empty()).then(|| format!("artifact {name} has no file {}", absent.join(", ")))
}
