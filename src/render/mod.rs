//! Renders documents: the answer files, boot scripts and task scripts a machine is given.
//!
//! A render is a pure function of a template set, an [`Input`] and [`Limits`], and says afterwards
//! what it was made from ([`Provenance`]). Who may have a document, and when a secret may be opened,
//! is decided by the caller; bytes are put on the wire by others.
//!
//! Start at [`engine`]: compile a content generation once, then render from it. [`params`] is how a
//! param gets its value, `functions` and `filters` are what templates can call, `pool` holds the
//! guards against templates that do not end, [`problem`] is what an author reads when one is wrong.

mod compile;
pub mod context;
pub mod engine;
mod filters;
mod functions;
pub mod params;
mod password;
pub mod pool;
pub mod problem;
mod quote;
mod references;
mod scope;
#[cfg(test)]
mod tests;

pub use context::{Callbacks, Input, Repository};
pub use engine::{Engine, INLINE, Limits, Provenance, Rendered, TemplateUse, check, included};
pub use params::{Layer, Level, ParamRead, ParamValues, Params, Resolved, SecretAccess};
pub use pool::Pool;
pub use problem::{ProblemKind, RenderProblem};
