//! The ends of an installer's logs, which come with its report of a failure. They are kept as a document of
//! the run, without the secrets of the machine.

use std::sync::Arc;

use uuid::Uuid;

use crate::kernel::Error;
use crate::model::event::BootInstallerLog;
use crate::model::{Machine, Run, Stored, sha256_hex};
use crate::netboot::Netboot;
use crate::netboot::identify::about;
use crate::records::documents::{DocumentServing, KeptText, REDACTED, STOPPING, run_under_way};

/// The path of the document, and the last part of the URL that it is sent to.
pub const INSTALLER_LOG: &str = "installer.log";
/// Most bytes of it that are kept: of a longer one, the end.
pub const INSTALLER_LOG_BYTES_MAX: usize = 256 << 10;

impl Netboot {
    /// Keeps what an installer sent of its logs, within the machine's budget. Nothing waits for it to be
    /// written.
    ///
    /// # Errors
    /// [`Error::TooMuch`] beyond the budget.
    pub(super) fn keep_installer_log(
        self: &Arc<Self>,
        machine: &Arc<Stored<Machine>>,
        (attempt, text): (Uuid, &str),
    ) -> Result<String, Error> {
        let name = &machine.spec.name;
        let (Some(run), Ok(id)) = (run_under_way(&machine.status), machine.key.parse()) else {
            return Ok(format!("{name}: there is no run to keep it with"));
        };
        let text = last_bytes(text, INSTALLER_LOG_BYTES_MAX);
        self.admit_log(machine, text.len())?;
        let serving = DocumentServing {
            run,
            machine: id,
            attempt: Some(attempt),
            job: None,
            path: INSTALLER_LOG,
            sha256: &sha256_hex(text),
            bytes: text.len(),
            is_secret: true,
        };
        self.documents.records.keep(&serving, || self.log_without_secrets(machine, (run, text.to_owned())));
        let (document, bytes) = (INSTALLER_LOG.to_owned(), text.len() as u64);
        self.note_boot_event(&about(Some(machine)), BootInstallerLog { document, bytes });
        Ok(format!("{name}: noted"))
    }

    fn log_without_secrets(
        self: &Arc<Self>,
        machine: &Arc<Stored<Machine>>,
        (run, text): (Uuid, String),
    ) -> KeptText {
        let hide = self.catalog.capability_cover(machine.status.boot_attempt.as_ref());
        // The queued work must not keep this house alive: the queue belongs to a house that this one holds.
        let (netboot, machine) = (Arc::downgrade(self), Arc::clone(machine));
        Box::new(move || {
            let netboot = netboot.upgrade().ok_or_else(|| STOPPING.to_owned())?;
            let run = netboot.kernel.get::<Run>(&run.to_string()).ok();
            let cover = netboot.catalog.secret_cover(&machine, run.as_ref().map(|run| &run.spec), REDACTED);
            let cover = cover.map_err(|why| format!("the secrets in it could not be looked for: {why}"))?;
            Ok(cover.apply(&hide(&text)))
        })
    }
}

/// The end of a text, from the beginning of a character.
fn last_bytes(text: &str, most: usize) -> &str {
    let from = text.len().saturating_sub(most);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(from..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        assert_eq!(last_bytes("abc", 5), "abc");
        assert_eq!(last_bytes("abcdef", 2), "ef");
        assert_eq!(last_bytes("aéb", 2), "b");
        assert_eq!(last_bytes("", 2), "");
    }
}
