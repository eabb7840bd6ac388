//! A cache of rendered documents, so that repeated requests, or a request for the script and then for the
//! file, do not render the same text twice.
//!
//! A cached document cannot be stale. It is found only with the very objects that it was rendered from (the
//! same machine, bootenv and stage in memory, not equal copies), while no table that a render reads was
//! written to. It is stored only if no such table was written to during the render. Documents with a secret,
//! an agent's token or the time of the request are never stored. Each request is authorised before the cache
//! is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::catalog::params::SecretMode;
use crate::catalog::rendering::BootContext;
use crate::model::{Provenance, World};
use crate::netboot::Netboot;
use crate::netboot::documents::BootDocument;
use crate::records::Records;
use crate::render::{RenderProblem, RenderedText};

/// Most documents in the cache, and most bytes of them.
const DOCUMENTS_MAX: usize = 1024;
const BYTES_MAX: usize = 8 << 20;
/// A document as it is sent, and the fields of its event.
#[derive(Debug)]
pub struct SentDocument {
    pub text: Bytes,
    /// SHA-256 of the text, in hex.
    pub sha256: String,
    pub provenance: Provenance,
}

/// The generations of all tables that a render reads. The machine, its bootenv and its stage are compared as
/// objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ContentGenerations([u64; 8]);

impl ContentGenerations {
    fn of(world: &World) -> Self {
        ContentGenerations([
            world.templates.generation(),
            world.params.generation(),
            world.profiles.generation(),
            world.settings.generation(),
            world.artifacts.generation(),
            world.bootenvs.generation(),
            world.subnets.generation(),
            world.reservations.generation(),
        ])
    }
}

/// The objects that a document was rendered from. Holding them ensures that no other object has their
/// address.
struct DocumentSource {
    boot: BootContext,
    document: BootDocument,
    mode: SecretMode,
}

impl DocumentSource {
    fn is_of(&self, boot: &BootContext, document: &BootDocument, mode: SecretMode) -> bool {
        fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
        }
        fn kept(boot: &BootContext) -> Option<[Option<&str>; 2]> {
            let run = boot.run.as_ref().map(|run| &run.spec)?;
            Some([run.content.as_deref(), run.values.as_deref()])
        }
        fn run(boot: &BootContext) -> Option<&str> {
            boot.run.as_ref().map(|run| run.key.as_str())
        }
        let own = &self.boot;
        same(own.machine.as_ref(), boot.machine.as_ref())
            && same(own.bootenv.as_ref(), boot.bootenv.as_ref())
            && same(own.stage.as_ref(), boot.stage.as_ref())
            && same(own.channel_content.as_ref(), boot.channel_content.as_ref())
            && kept(own) == kept(boot)
            && run(own) == run(boot)
            && self.mode == mode
            && own.facing == boot.facing
            && self.document == *document
            && own.attempt == boot.attempt
    }
}

#[derive(Default)]
struct KeptDocuments {
    content: ContentGenerations,
    /// The documents by the address of the machine in memory.
    pages: HashMap<usize, Vec<(DocumentSource, Arc<SentDocument>)>>,
    documents: usize,
    bytes: usize,
}

/// The cache of documents, and the recorder of documents that machines were served during their runs.
pub struct DocumentCache {
    kept: Mutex<KeptDocuments>,
    pub(super) records: Arc<Records>,
}

fn place(boot: &BootContext) -> usize {
    boot.machine.as_ref().map_or(0, |machine| Arc::as_ptr(machine).addr())
}

impl DocumentCache {
    pub fn new(records: Arc<Records>) -> Self {
        DocumentCache { kept: Mutex::default(), records }
    }

    fn find(
        &self,
        content: ContentGenerations,
        boot: &BootContext,
        document: &BootDocument,
        mode: SecretMode,
    ) -> Option<Arc<SentDocument>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.content != content {
            return None;
        }
        let pages = kept.pages.get(&place(boot))?;
        pages.iter().find(|(source, _)| source.is_of(boot, document, mode)).map(|(_, page)| Arc::clone(page))
    }

    /// Stores a page. If there are too many, the cache is cleared first.
    fn keep(&self, content: ContentGenerations, source: DocumentSource, page: &Arc<SentDocument>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = kept.documents >= DOCUMENTS_MAX || kept.bytes + page.text.len() > BYTES_MAX;
        if kept.content != content || is_full {
            *kept = KeptDocuments { content, ..KeptDocuments::default() };
        }
        kept.documents += 1;
        kept.bytes += page.text.len();
        kept.pages.entry(place(&source.boot)).or_default().push((source, Arc::clone(page)));
    }
}

impl Netboot {
    /// The cached document, if rendering it now would give the same text.
    pub fn kept_page(
        &self,
        boot: &BootContext,
        document: &BootDocument,
        mode: SecretMode,
    ) -> Option<Arc<SentDocument>> {
        let content = self.kernel.read(ContentGenerations::of);
        self.documents.find(content, boot, document, mode)
    }

    /// A document, from the cache or rendered. Blocks for the duration of a render.
    ///
    /// # Errors
    /// Those of [`Netboot::render_document`].
    pub fn page(
        &self,
        boot: &BootContext,
        document: &BootDocument,
        mode: SecretMode,
    ) -> Result<Arc<SentDocument>, RenderProblem> {
        let content = self.kernel.read(ContentGenerations::of);
        if let Some(page) = self.documents.find(content, boot, document, mode) {
            return Ok(page);
        }
        let rendered = self.render_document(boot, document, mode)?;
        let holds_token = matches!(document, BootDocument::File(file) if self.hands_out_token(boot, file));
        // Without a run, the time that a document shows is that of the request.
        let shows_now = boot.run.is_none() && rendered.provenance.now.is_some();
        let may_be_kept =
            !rendered.provenance.secret && !holds_token && boot.agent_token.is_none() && !shows_now;
        let page = Arc::new(SentDocument::from(rendered));
        if may_be_kept && self.kernel.read(ContentGenerations::of) == content {
            let source = DocumentSource { boot: boot.clone(), document: document.clone(), mode };
            self.documents.keep(content, source, &page);
        }
        Ok(page)
    }
}

impl From<RenderedText> for SentDocument {
    fn from(rendered: RenderedText) -> Self {
        let RenderedText { text, sha256, provenance, .. } = rendered;
        SentDocument { text: Bytes::from(text), sha256, provenance }
    }
}
