//! Paths that lead to nothing: looked up once more as what the client may have meant, looked for in mounted
//! artifacts, and recorded on the machine's timeline.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use uuid::Uuid;

use crate::artifacts::opened::{FetchRefusal, OpenedFile, Protocol};
use crate::model::event::BootFileAbsent;
use crate::model::{BootProgress, Machine, Stored};
use crate::netboot::Netboot;
use crate::netboot::decide::capability;
use crate::netboot::decide::namespace::{is_usual_probe, likely_paths};
use crate::netboot::files::Fetch;
use crate::netboot::identify::about;

/// Most absent files that are recorded of one boot attempt.
pub const ABSENT_OF_ATTEMPT_MAX: usize = 8;
/// Most machines whose absent files are remembered; then all are forgotten.
const MACHINES_MAX: usize = 4096;
/// Most mounted artifacts that are tried for one path.
const MOUNTS_TRIED_MAX: usize = 8;

/// The absent files that are recorded already, by the id of the machine.
#[derive(Debug, Default)]
pub struct AbsentFiles(HashMap<String, AttemptsAbsent>);

/// The paths of one boot attempt.
#[derive(Debug, Default)]
struct AttemptsAbsent {
    attempt: Option<Uuid>,
    paths: Vec<String>,
}

impl AbsentFiles {
    /// Whether a path is to be recorded: it is new in this attempt, and the attempt has room for it. The
    /// number is how many there are with it.
    fn take(&mut self, machine: &str, attempt: Option<Uuid>, path: &str) -> Option<usize> {
        if self.0.len() >= MACHINES_MAX && !self.0.contains_key(machine) {
            self.0.clear();
        }
        let seen = self.0.entry(machine.to_owned()).or_default();
        if seen.attempt != attempt {
            *seen = AttemptsAbsent { attempt, paths: Vec::new() };
        }
        if seen.paths.len() >= ABSENT_OF_ATTEMPT_MAX || seen.paths.iter().any(|known| known == path) {
            return None;
        }
        seen.paths.push(path.to_owned());
        Some(seen.paths.len())
    }
}

impl Netboot {
    /// Looks a path up that led to nothing, as what the client may have meant by it. Over HTTP a path that is
    /// malformed is no accident: its bytes are encoded one by one.
    ///
    /// # Errors
    /// `refusal`, if that leads to nothing either; it is recorded.
    pub(super) async fn find_likely(
        self: &Arc<Self>,
        fetch: &Fetch,
        refusal: FetchRefusal,
    ) -> Result<OpenedFile, FetchRefusal> {
        let is_meant = fetch.protocol == Protocol::Tftp || refusal == FetchRefusal::Absent;
        let loaders = self.loaders.names.iter().map(String::as_str);
        let likely = if is_meant { likely_paths(&fetch.path, loaders) } else { Vec::new() };
        for path in likely {
            match self.find(&Fetch { path, ..fetch.clone() }).await {
                Err(FetchRefusal::Absent | FetchRefusal::BadPath(_)) => {}
                other => return other,
            }
        }
        self.record_absent(fetch, &refusal);
        Err(refusal)
    }

    /// Opens a file of an artifact that is mounted at this path: first what is for this machine alone, then
    /// what is mounted deepest, then by name.
    pub(super) async fn open_mounted(
        self: &Arc<Self>,
        fetch: &Fetch,
        path: &str,
    ) -> Result<OpenedFile, FetchRefusal> {
        for (artifact, file) in self.mounted(fetch, path) {
            match Box::pin(self.open_artifact(fetch, (&artifact, &file))).await {
                Err(FetchRefusal::Absent) => {}
                other => return other,
            }
        }
        Err(FetchRefusal::Absent)
    }

    /// The artifacts that are mounted at a path, and the file in each.
    fn mounted(&self, fetch: &Fetch, path: &str) -> Vec<(String, String)> {
        self.kernel.read(|world| {
            let mut artifacts =
                world.artifacts.iter().filter(|artifact| !artifact.spec.mounts.is_empty()).peekable();
            if artifacts.peek().is_none() {
                return Vec::new();
            }
            let machine = self.machine_at(world, fetch.peer);
            let machine = machine.as_deref().map(|machine| &machine.spec);
            let mut found = Vec::new();
            for artifact in artifacts {
                for mount in &artifact.spec.mounts {
                    if let Some(file) = mount.file(path, machine) {
                        let rank = (mount.machines.is_empty(), usize::MAX - mount.path.len());
                        found.push((rank, artifact.key.clone(), file.to_owned()));
                    }
                }
            }
            found.sort_unstable();
            found.into_iter().take(MOUNTS_TRIED_MAX).map(|(_, artifact, file)| (artifact, file)).collect()
        })
    }

    /// Records on its timeline that a machine asked for a file that there is not. A running kernel asks for
    /// much that a tree may lack, so nothing is recorded then.
    fn record_absent(&self, fetch: &Fetch, refusal: &FetchRefusal) {
        if is_usual_probe(&fetch.path) {
            return;
        }
        let machine = self.kernel.read(|world| self.machine_at(world, fetch.peer));
        let Some(machine) = machine.filter(|machine| !has_kernel(machine)) else { return };
        let (about, path) = (about(Some(&machine)), capability::hide(&fetch.path));
        let mut absent = self.memory.absent_files.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(number) = absent.take(&machine.key, about.attempt, &path) else { return };
        drop(absent);
        if !self.memory.budgets.takes_fetch(&machine.key) {
            return;
        }
        let why = match refusal {
            FetchRefusal::BadPath(why) => *why,
            _ => "there is no such file",
        };
        let more = if number == ABSENT_OF_ATTEMPT_MAX { "; further ones are not recorded" } else { "" };
        let reason = format!("{why}{more}");
        let (peer, protocol) = (fetch.peer, fetch.protocol);
        self.note_boot_event(&about, BootFileAbsent { path, peer, protocol, reason });
    }
}

/// Whether the machine's boot has come to its kernel.
fn has_kernel(machine: &Stored<Machine>) -> bool {
    let attempt = machine.status.boot_attempt.as_ref();
    attempt.is_some_and(|attempt| matches!(attempt.progress, BootProgress::Kernel | BootProgress::System))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_absent_files_of_each_attempt_are_recorded_once() {
        let mut absent = AbsentFiles::default();
        let (first, second) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        assert_eq!(absent.take("m", first, "config.txt"), Some(1));
        assert_eq!(absent.take("m", first, "config.txt"), None);
        assert_eq!(absent.take("n", None, "config.txt"), Some(1));
        let taken = (0..100).filter_map(|at| absent.take("m", first, &at.to_string()));
        assert_eq!(taken.max(), Some(ABSENT_OF_ATTEMPT_MAX));
        assert_eq!(absent.take("m", second, "config.txt"), Some(1));
    }

    #[test]
    fn what_is_remembered_of_absent_files_is_bounded() {
        let mut absent = AbsentFiles::default();
        for machine in 0..3 * MACHINES_MAX {
            assert_eq!(absent.take(&machine.to_string(), None, "x"), Some(1));
        }
        assert!(absent.0.len() <= MACHINES_MAX);
    }
}
