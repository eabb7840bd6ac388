//! Authentication: tokens, tokens of agents, the first token, and sessions of browsers. `kernel::scope` has
//! what a caller may do.

pub mod agent_tokens;
mod first_start;
pub mod sessions;
pub mod tokens;

use std::sync::Arc;

use crate::kernel::Kernel;
use crate::objects::Objects;
use crate::rate_limit::KeyedAllowances;
use sessions::SessionBook;

/// The tokens and the sessions.
#[derive(Debug)]
pub struct Access {
    kernel: Arc<Kernel>,
    objects: Arc<Objects>,
    /// What agents may renew.
    renewals: KeyedAllowances,
    sessions: SessionBook,
}

impl Access {
    pub fn new(kernel: Arc<Kernel>, objects: Arc<Objects>) -> Arc<Self> {
        let renewals = KeyedAllowances::new(agent_tokens::RENEWALS);
        Arc::new(Access { kernel, objects, renewals, sessions: SessionBook::default() })
    }
}
