//! Renders documents: the answer files, boot scripts and task scripts a machine is given.
//!
//! A render is a pure function of a template set, an [`RenderInput`] and [`RenderLimits`], and says
//! afterwards what it was made from ([`Provenance`]). Who may have a document, and when a secret may be
//! opened, is decided by the caller; bytes are put on the wire by others.
//!
//! Start at [`engine`]: compile a content generation once, then render from it. [`params`] is how a param
//! gets its value, `functions` and `filters` are what templates can call, [`problem`] is what an author reads
//! when one is wrong. Renders are done by worker processes (`docs/adr/0020`): `pool` says who is next,
//! `process` is a worker as the server sees it, `wire` what they say to each other, [`worker`] the process
//! itself, `draw` the render.

mod batch_adder;
mod compile;
pub mod context;
mod draw;
pub mod engine;
mod filters;
mod functions;
pub mod params;
mod password;
pub mod pool;
pub mod problem;
mod process;
mod quote;
mod references;
mod scope;
#[cfg(test)]
mod tests;
mod wire;
pub mod worker;

pub use context::{CallbackUrls, PackageRepository, RenderInput};
pub use engine::{
    INLINE, InlineText, Provenance, RenderEngine, RenderLimits, RenderedText, TemplateUse, check, included,
};
pub use params::{
    LayeredParams, ParamLayer, ParamLevel, ParamRead, ParamValues, ResolvedParam, SecretAccess,
};
pub use pool::{LOSSES, LaneCounts, PoolHealth, PoolUse, RenderPool};
pub use problem::{ProblemKind, RenderProblem};
pub use process::WorkerProgram;
