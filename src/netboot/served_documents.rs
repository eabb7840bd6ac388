//! Passes what machines are served during their runs to the records, without the capability of the boot
//! attempt and without secrets.

use std::sync::Arc;

use crate::catalog::params::SecretMode;
use crate::catalog::rendering::{BootContext, RenderPurpose};
use crate::netboot::Netboot;
use crate::netboot::document_cache::SentDocument;
use crate::netboot::documents::BootDocument;
use crate::records::documents::{DocumentServing, KeptText, REDACTED, STOPPING, run_under_way};

impl Netboot {
    /// Records a document that is served to a machine during a run. Nothing waits for it.
    pub fn record_served(
        self: &Arc<Self>,
        path: &str,
        (boot, document): (&BootContext, &BootDocument),
        page: &Arc<SentDocument>,
    ) {
        let Some(machine) = &boot.machine else { return };
        let (Some(run), Ok(id)) = (run_under_way(&machine.status), machine.key.parse()) else { return };
        let serving = DocumentServing {
            run,
            machine: id,
            attempt: boot.attempt.as_ref().map(|attempt| attempt.id),
            job: None,
            path: below_capability(path),
            sha256: &page.sha256,
            bytes: page.text.len(),
            is_secret: boot.agent_token.is_some() || page.provenance.secret,
        };
        self.documents.records.keep(&serving, || match serving.is_secret {
            true => self.covered_text(boot, document),
            false => self.plain_text(boot, page),
        });
    }

    /// The served text, with the placeholder of previews instead of the capability.
    fn plain_text(&self, boot: &BootContext, page: &Arc<SentDocument>) -> KeptText {
        let (cover, page) = (self.catalog.capability_cover(boot.attempt.as_ref()), Arc::clone(page));
        Box::new(move || Ok(cover(&String::from_utf8_lossy(&page.text))))
    }

    /// The document, rendered again with secrets covered. The served text may contain secrets in forms that
    /// cannot be found in it, such as hashes. The workers of previews render it.
    fn covered_text(self: &Arc<Self>, boot: &BootContext, document: &BootDocument) -> KeptText {
        let agent_token = boot.agent_token.as_ref().map(|_| REDACTED.to_owned());
        let boot = BootContext { purpose: RenderPurpose::Preview, agent_token, ..boot.clone() };
        // The queued work must not keep this house alive: the queue belongs to a house that this one holds.
        let (netboot, document) = (Arc::downgrade(self), document.clone());
        Box::new(move || {
            let netboot = netboot.upgrade().ok_or_else(|| STOPPING.to_owned())?;
            let rendered = netboot.render_document(&boot, &document, SecretMode::Redacted);
            rendered.map(|rendered| rendered.text).map_err(|problem| {
                format!("it holds secrets, and it could not be rendered without them: {problem}")
            })
        })
    }
}

/// The path without `m/<capability>/`.
fn below_capability(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    let below = path.strip_prefix("m/").and_then(|rest| rest.split_once('/'));
    below.map_or(path, |(_, file)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_recorded_by_its_path_below_the_capability() {
        assert_eq!(below_capability("/m/00-11/preseed.cfg"), "preseed.cfg");
        assert_eq!(below_capability("m/00-11/grub/grub.cfg"), "grub/grub.cfg");
        assert_eq!(below_capability("boot.ipxe"), "boot.ipxe");
    }
}
