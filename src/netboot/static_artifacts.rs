//! The files of artifacts that machines fetch, from disk or through a mirror.

use crate::artifacts::contained_path::NameCase;
use crate::artifacts::opened::{FetchRefusal, FileSubject, OpenedFile};
use crate::artifacts::roots::RootsRefusal;
use crate::artifacts::static_files::{content_type, static_file, unreadable};
use crate::model::{Artifact, ArtifactKind, Stored};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::files::Fetch;
use crate::netboot::identify::about;

impl Netboot {
    /// Opens a file of an artifact, from disk or through a mirror.
    ///
    /// # Errors
    /// There is no such file, or it cannot be had now.
    pub async fn static_artifact(
        &self,
        fetch: &Fetch,
        (name, file): (&str, &str),
        gathered: &BootFacts,
    ) -> Result<OpenedFile, FetchRefusal> {
        let artifact = self.kernel.read(|world| world.artifacts.get(name).cloned());
        let artifact = artifact.ok_or(FetchRefusal::Absent)?;
        if artifact.spec.is_mirror() {
            if fetch.has_query {
                return Err(FetchRefusal::BadPath("a file of a mirror must be requested without `?`"));
            }
            let opened = self.artifacts.open_mirrored(fetch.protocol, &artifact, file).await?;
            let about = FileSubject { mirror: Some(name.to_owned()), ..about(gathered.machine.as_deref()) };
            return Ok(OpenedFile { about, ..opened });
        }
        let place = self.artifacts.place_of(&artifact).map_err(|refusal| match refusal {
            RootsRefusal::Failed(error) => unreadable(file, &error),
            refusal => FetchRefusal::Denied(refusal.to_string()),
        })?;
        self.refuse_damaged(fetch, (&artifact, file), gathered)?;
        let opened = place.open_file_as(file, self.artifacts.case);
        let opened = opened.map_err(|error| unreadable(file, &error))?;
        let opened = static_file(opened, format!("artifact:{name}/{file}"), content_type(file));
        Ok(OpenedFile { about: about(gathered.machine.as_deref()), ..opened })
    }

    /// Refuses a file that is known to be damaged: an installer would fail on it, or install it.
    fn refuse_damaged(
        &self,
        fetch: &Fetch,
        (artifact, file): (&Stored<Artifact>, &str),
        gathered: &BootFacts,
    ) -> Result<(), FetchRefusal> {
        let mut damaged = artifact.status.damaged.iter();
        let is_damaged = match (artifact.spec.kind, self.artifacts.case) {
            (ArtifactKind::File, _) => damaged.next().is_some(),
            (ArtifactKind::Tree, NameCase::Ignored) => damaged.any(|name| name.eq_ignore_ascii_case(file)),
            (ArtifactKind::Tree, NameCase::Exact) => damaged.any(|name| name == file),
        };
        if !is_damaged {
            return Ok(());
        }
        let name = &artifact.spec.name;
        let why = format!(
            "{file} of the artifact {name} has changed since it was fetched: \
             metalwright artifacts fetch {name} fetches it again"
        );
        if let Some(machine) = &gathered.machine {
            self.deny_because(fetch, machine, &why);
        }
        Err(FetchRefusal::Failed(why))
    }
}
