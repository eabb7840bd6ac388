//! The check of everything that is stored: what is broken, and what to do about it.

use std::fs;
use std::sync::Arc;

use crate::kernel::scope::RequiredScope;
use crate::kernel::secrets::sealed_values;
use crate::kernel::{Caller, Error};
use crate::maintenance::{Maintenance, references};
use crate::model::{Artifact, CheckedPart, DataCheckReport, Kind, Stored};

/// Objects that are looked at under one hold of the world.
const LOOKED_AT_ONCE: usize = 256;
/// The folder of the certificates that agents and command lines know.
const CERTIFICATES: &str = "tls";

/// Whether a check reads the files of artifacts, which may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactCheck {
    Skipped,
    Hashed,
}

impl Maintenance {
    /// Looks at everything that is stored, and changes nothing.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for who may not do everything: objects of all nouns are named. The database
    /// cannot be read at all.
    pub async fn check(&self, caller: &Caller, artifacts: ArtifactCheck) -> Result<DataCheckReport, Error> {
        caller.needs(RequiredScope::Everything)?;
        let mut report = DataCheckReport::default();
        for fault in self.kernel.integrity().await? {
            let what = format!("{fault}: restore a backup");
            report.error(CheckedPart::Database, ("metalwright.db", what));
        }
        self.check_rows(&mut report);
        self.check_references(&mut report);
        self.check_keys(&mut report);
        if artifacts == ArtifactCheck::Hashed {
            self.check_artifacts(&mut report).await;
        }
        Ok(report)
    }

    fn check_rows(&self, report: &mut DataCheckReport) {
        for row in self.kernel.damaged_rows() {
            let what = format!(
                "its row cannot be read ({}), and its name stays taken: `metalwright check --data DIR \
                 --repair --yes` moves it out of the database of a server that is stopped",
                row.why
            );
            report.error(CheckedPart::Rows, (row.kind.subject(&row.key), what));
        }
    }

    fn check_references(&self, report: &mut DataCheckReport) {
        for kind in Kind::ALL {
            let objects: Vec<_> = self.kernel.read(|world| world.objects(kind).collect());
            report.objects += objects.len() as u64;
            for objects in objects.chunks(LOOKED_AT_ONCE) {
                let found = self.kernel.read(|world| {
                    let found = objects.iter().flat_map(|object| references::findings(world, object));
                    found.collect::<Vec<_>>()
                });
                found.into_iter().for_each(|finding| report.add(finding));
            }
        }
    }

    fn check_keys(&self, report: &mut DataCheckReport) {
        let sealed: Vec<_> = self.kernel.read(|world| sealed_values(world).collect());
        report.secrets = sealed.len() as u64;
        for sealed in &sealed {
            if self.kernel.secrets.open(sealed.place(), &sealed.value).is_err() {
                let (kind, key) = (sealed.kind, &sealed.key);
                let field = sealed.pointer.trim_start_matches("/params").trim_start_matches('/');
                let what = format!(
                    "the value of `{field}` does not open with secret.key: restore the key that it was \
                     sealed with, or set the value anew"
                );
                report.error(CheckedPart::Keys, (kind.subject(key), what));
            }
        }
        let certificates = fs::read_dir(self.data.path.join(CERTIFICATES));
        if !certificates.is_ok_and(|mut files| files.next().is_some()) {
            let what = "the certificates that agents and command lines know are missing: restore the folder \
                        from a backup";
            report.error(CheckedPart::Keys, (CERTIFICATES, what));
        }
    }

    async fn check_artifacts(&self, report: &mut DataCheckReport) {
        let artifacts: Vec<Arc<Stored<Artifact>>> =
            self.kernel.read(|world| world.artifacts.iter().map(Arc::clone).collect());
        for artifact in artifacts {
            report.artifacts += 1;
            if let Some(fault) = self.artifacts.file_fault(&artifact).await {
                let what = format!("{fault}; metalwright artifacts fetch {} has them anew", artifact.key);
                report.error(CheckedPart::Artifacts, (Kind::Artifact.subject(&artifact.key), what));
            }
        }
    }
}
