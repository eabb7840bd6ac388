//! Documents that were rendered lately, so that a machine that asks again, or for the script and then for the
//! file, does not have the same text made twice.
//!
//! What is kept cannot be stale. It is found only by the very objects it was rendered from (the same machine,
//! bootenv and stage in memory, not ones that look alike) while no table that a render reads was written to;
//! and it is kept only if none was written to while it was rendered. A document with a secret in it, or with
//! an agent's token, is never kept. Everything about who may have it is decided before, each time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::documents::{Boot, Document, Purpose};
use super::params::Sealed;
use super::{App, Error};
use crate::model::World;
use crate::render::{Condition, Engine, Lanes, Pool, RenderProblem, Rendered, WorkerProgram};

/// Most documents that are kept, and most bytes of them.
const DOCUMENTS_MAX: usize = 1024;
const BYTES_MAX: usize = 8 << 20;
/// Renders that have a thread to wait on. More would render no sooner, as there are no more workers that
/// render (`render::Pool`), and each costs memory: its input, and what the allocator keeps for the thread.
const AT_ONCE_MAX: usize = 16;
/// Previews that have a thread to wait on, and previews that wait for one of those.
const PREVIEWS_AT_ONCE_MAX: usize = 2;
const PREVIEWS_WAITING_MAX: usize = 64;
/// The workers that render previews.
const PREVIEW_LANES: Lanes = Lanes { usual: 1, most: PREVIEWS_AT_ONCE_MAX };
const PREVIEW_NICENESS: i32 = 10;
/// How long a preview may wait for its turn.
const PREVIEW_WAIT: Duration = Duration::from_secs(5);

/// A document as it is sent, and what its event says of it.
#[derive(Debug)]
pub(super) struct Page {
    pub text: Bytes,
    /// Digest, length and what it was made from.
    pub facts: Value,
}

/// The generations of all tables a render reads. The machine, its bootenv and its stage are compared
/// themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Content([u64; 6]);

impl Content {
    fn of(world: &World) -> Self {
        Content([
            world.templates.generation(),
            world.params.generation(),
            world.profiles.generation(),
            world.settings.generation(),
            world.artifacts.generation(),
            world.bootenvs.generation(),
        ])
    }
}

/// What a document was rendered from. It holds the objects, so that no other can be in their place.
struct Source {
    boot: Boot,
    document: Document,
    sealed: Sealed,
}

impl Source {
    fn is_of(&self, (boot, document, sealed): (&Boot, &Document, Sealed)) -> bool {
        fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
        }
        let own = &self.boot;
        same(own.machine.as_ref(), boot.machine.as_ref())
            && same(own.bootenv.as_ref(), boot.bootenv.as_ref())
            && same(own.stage.as_ref(), boot.stage.as_ref())
            && self.sealed == sealed
            && own.facing == boot.facing
            && self.document == *document
            && own.attempt == boot.attempt
    }
}

#[derive(Default)]
struct Kept {
    content: Content,
    /// By the place of the machine in memory.
    pages: HashMap<usize, Vec<(Source, Arc<Page>)>>,
    documents: usize,
    bytes: usize,
}

/// The workers that render what machines are served, and those that render previews.
#[derive(Clone)]
pub struct Pools {
    pub serve: Arc<Pool>,
    pub preview: Arc<Pool>,
}

impl Pools {
    /// Those of a server. Previews are rendered with less of the processor.
    pub fn of_this_program() -> Self {
        let program = WorkerProgram::own();
        let preview = program.clone().with_niceness(PREVIEW_NICENESS);
        Pools {
            serve: Arc::new(Pool::new(program, Lanes::for_this_host())),
            preview: Arc::new(Pool::new(preview, PREVIEW_LANES)),
        }
    }

    #[cfg(test)]
    pub fn of_tests() -> Self {
        Pools { serve: Arc::new(Pool::of_tests(1)), preview: Arc::new(Pool::of_tests(1)) }
    }
}

/// The documents that are kept, and the turns and workers of those that are not.
pub(super) struct Renders {
    kept: Mutex<Kept>,
    turns: Arc<Semaphore>,
    preview_turns: Arc<Semaphore>,
    /// Previews that wait for a turn.
    previews: AtomicUsize,
    pools: Pools,
}

impl Renders {
    pub fn new(pools: Pools) -> Self {
        let (turns, preview_turns) = (Semaphore::new(AT_ONCE_MAX), Semaphore::new(PREVIEWS_AT_ONCE_MAX));
        Renders {
            kept: Mutex::default(),
            turns: Arc::new(turns),
            preview_turns: Arc::new(preview_turns),
            previews: AtomicUsize::new(0),
            pools,
        }
    }

    /// The workers that render what machines are served.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pools.serve
    }
}

fn place(boot: &Boot) -> usize {
    boot.machine.as_ref().map_or(0, |machine| Arc::as_ptr(machine).addr())
}

impl Renders {
    fn find(&self, content: Content, asked: (&Boot, &Document, Sealed)) -> Option<Arc<Page>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.content != content {
            return None;
        }
        let pages = kept.pages.get(&place(asked.0))?;
        pages.iter().find(|(source, _)| source.is_of(asked)).map(|(_, page)| Arc::clone(page))
    }

    /// Keeps a page. When there are too many, it begins anew.
    fn keep(&self, content: Content, source: Source, page: &Arc<Page>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = kept.documents >= DOCUMENTS_MAX || kept.bytes + page.text.len() > BYTES_MAX;
        if kept.content != content || is_full {
            *kept = Kept { content, ..Kept::default() };
        }
        kept.documents += 1;
        kept.bytes += page.text.len();
        kept.pages.entry(place(&source.boot)).or_default().push((source, Arc::clone(page)));
    }
}

impl App {
    /// Has a thread that may wait do what renders, when its turn comes. The turn ends with the work, even if
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// The work panicked, or the server is stopping.
    pub(super) async fn render_aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&App) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let app = Arc::clone(self);
        // It is never closed, so there is a turn always.
        let turn = Arc::clone(&self.renders.turns).acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&app)
        });
        done.await
    }

    /// As [`App::render_aside`], in a turn of the few that previews have, so that boots do not wait for them.
    ///
    /// # Errors
    /// [`Error::Busy`] where others have all turns; [`Error::Failed`].
    pub(super) async fn render_preview<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&App) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let busy = || Error::Busy("other previews are being rendered; try again".to_owned());
        let waiting = Waiting::of(&self.renders.previews).ok_or_else(busy)?;
        let turn = Arc::clone(&self.renders.preview_turns).acquire_owned();
        let turn = tokio::time::timeout(PREVIEW_WAIT, turn).await.map_err(|_| busy())?;
        drop(waiting);
        let app = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&app)
        });
        done.await.map_err(|error| Error::Failed(error.to_string()))
    }

    /// The templates of the present content, with the workers that render for this purpose.
    pub(super) fn engine_for(&self, purpose: Purpose) -> Engine {
        match purpose {
            Purpose::Serve => self.engine(),
            Purpose::Preview => self.engine().on(&self.renders.pools.preview),
        }
    }

    /// How the render workers are that serve machines, and those of previews.
    pub fn render_conditions(&self) -> [Condition; 2] {
        let Pools { serve, preview } = &self.renders.pools;
        [serve.condition(), preview.condition()]
    }

    /// What an operator has to know of renders although machines are served.
    pub fn render_warnings(&self) -> Vec<String> {
        let [serve, preview] = self.render_conditions();
        [serve.warning, preview.warning, preview.outage].into_iter().flatten().collect()
    }

    /// Why no machine can be served a rendered document.
    pub fn render_outage(&self) -> Option<String> {
        let [serve, _] = self.render_conditions();
        serve.outage
    }

    /// A document that was rendered before and would be the same now.
    pub(super) fn kept_page(&self, boot: &Boot, document: &Document, sealed: Sealed) -> Option<Arc<Page>> {
        let content = Content::of(&self.world());
        self.renders.find(content, (boot, document, sealed))
    }

    /// A document, kept or made. Blocks for as long as a render takes.
    ///
    /// # Errors
    /// As [`App::render_document`].
    pub(super) fn page(
        &self,
        boot: &Boot,
        document: &Document,
        sealed: Sealed,
    ) -> Result<Arc<Page>, RenderProblem> {
        let content = Content::of(&self.world());
        if let Some(page) = self.renders.find(content, (boot, document, sealed)) {
            return Ok(page);
        }
        let rendered = self.render_document(boot, document, sealed)?;
        let holds_token = matches!(document, Document::File(file) if self.hands_out_token(file));
        let may_be_kept = !rendered.provenance.secret && !holds_token && boot.agent_token.is_none();
        let page = Arc::new(Page::from(rendered));
        if may_be_kept && Content::of(&self.world()) == content {
            let source = Source { boot: boot.clone(), document: document.clone(), sealed };
            self.renders.keep(content, source, &page);
        }
        Ok(page)
    }
}

/// One of those that wait, counted while it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = Waiting(count);
        (count.fetch_add(1, Ordering::Relaxed) < PREVIEWS_WAITING_MAX).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl From<Rendered> for Page {
    fn from(rendered: Rendered) -> Self {
        let facts = json!({
            "sha256": rendered.sha256,
            "bytes": rendered.text.len(),
            "provenance": rendered.provenance,
        });
        Page { text: Bytes::from(rendered.text), facts }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::app::testing;

    #[tokio::test]
    async fn renders_beyond_the_bound_hold_no_thread_while_they_wait() {
        let app = testing::app();
        // The gate is open when its sender has gone.
        let (closed, gate) = mpsc::channel::<()>();
        let (gate, inside) = (Arc::new(Mutex::new(gate)), Arc::new(AtomicUsize::new(0)));
        let (begun_tx, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let renders: Vec<_> = (0..3 * AT_ONCE_MAX)
            .map(|_| {
                let (app, gate, inside) = (Arc::clone(&app), Arc::clone(&gate), Arc::clone(&inside));
                let begun = begun_tx.clone();
                tokio::spawn(async move {
                    let work = move |_: &App| {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        begun.send(now).unwrap();
                        gate.lock().unwrap().recv().unwrap_err();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        now
                    };
                    app.render_aside(work).await.unwrap()
                })
            })
            .collect();
        for _ in 0..AT_ONCE_MAX {
            begun.recv().await.unwrap();
        }
        assert_eq!(app.renders.turns.available_permits(), 0);
        drop(closed);
        let mut most = 0;
        for render in renders {
            most = most.max(render.await.unwrap());
        }
        assert_eq!(most, AT_ONCE_MAX);
    }
}
