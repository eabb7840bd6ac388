//! The scope of a running render: its input, its remaining limits, and what it has read.
//!
//! The engine's functions belong to the compiled template set, which all renders share, so each render thread
//! has its own scope while it works. Nothing of it outlives the [`ScopeGuard`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Instant;

use jiff::Timestamp;
use tera::TeraResult;

use crate::model::ParamOrigin;
use crate::render::context::{CallbackUrls, PackageRepository};
use crate::render::inner::InnerRenders;
use crate::render::line_trace::LineTracer;
use crate::render::params::{LayeredParams, ParamLevel, ParamRead};
use crate::render::patterns::CompiledPatterns;
use crate::render::problem::ProblemKind;

/// Most names that a message lists when a template asks for a missing one.
pub(super) const AVAILABLE_MAX: usize = 64;

pub(super) struct RenderScope {
    pub params: LayeredParams,
    pub callbacks: Option<CallbackUrls>,
    pub repositories: Vec<PackageRepository>,
    pub agent_token: Option<String>,
    pub salt_seed: String,
    pub deadline: Instant,
    pub fuel: Cell<u64>,
    pub patterns: CompiledPatterns,
    pub inner: InnerRenders,
    /// Where the lines come from, if the render is traced.
    pub trace: Option<LineTracer>,
    now: Timestamp,
    now_read: Cell<bool>,
    reads: RefCell<BTreeSet<ParamRead>>,
    secret_read: Cell<bool>,
    failure: RefCell<Option<FunctionFailure>>,
}

/// The details of a function's refusal that the template engine's error cannot carry.
#[derive(Clone, Debug)]
pub(super) struct FunctionFailure {
    pub kind: ProblemKind,
    pub message: String,
    pub available: Vec<String>,
    /// The message is none that a template had a part in, so that it may be told whatever was read.
    pub is_plain: bool,
}

impl RenderScope {
    pub fn new(input: ScopeInput, inner: InnerRenders, (deadline, fuel): (Instant, u64)) -> Self {
        RenderScope {
            params: input.params,
            callbacks: input.callbacks,
            repositories: input.repositories,
            agent_token: input.agent_token,
            salt_seed: input.salt_seed,
            deadline,
            fuel: Cell::new(fuel),
            patterns: CompiledPatterns::default(),
            inner,
            trace: None,
            now: input.now,
            now_read: Cell::new(false),
            reads: RefCell::default(),
            secret_read: Cell::new(false),
            failure: RefCell::default(),
        }
    }

    /// Fails when the render's time is up.
    pub fn check_deadline(&self) -> TeraResult<()> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(self.refuse(ProblemKind::Limit, "the render took longer than it may: look for loops over loops"))
    }

    /// Takes `amount` from the remaining fuel of the render's loops.
    pub fn burn(&self, amount: u64) -> TeraResult<()> {
        match self.fuel.get().checked_sub(amount) {
            Some(left) => {
                self.fuel.set(left);
                Ok(())
            }
            None => {
                self.fuel.set(0);
                let message = "the calls of `range` return more numbers than one render may have: look for \
                               ranges inside ranges";
                Err(self.refuse(ProblemKind::Limit, message))
            }
        }
    }

    pub fn refuse(&self, kind: ProblemKind, message: impl Into<String>) -> tera::Error {
        self.refuse_naming(kind, message, Vec::new())
    }

    /// A refusal that also lists the existing names.
    pub fn refuse_naming(
        &self,
        kind: ProblemKind,
        message: impl Into<String>,
        mut available: Vec<String>,
    ) -> tera::Error {
        available.truncate(AVAILABLE_MAX);
        let message = message.into();
        let error = tera::Error::message(&message);
        *self.failure.borrow_mut() = Some(FunctionFailure { kind, message, available, is_plain: false });
        error
    }

    /// A refusal of a param that is kept outside of the server, and could not be read there.
    pub fn refuse_absent(&self, message: String) -> tera::Error {
        let error = self.refuse(ProblemKind::Template, message);
        if let Some(failure) = self.failure.borrow_mut().as_mut() {
            failure.is_plain = true;
        }
        error
    }

    pub fn failure(&self) -> Option<FunctionFailure> {
        self.failure.borrow().clone()
    }

    /// Where the lines come from is noted, too.
    pub fn traced(self, trace: Option<LineTracer>) -> Self {
        RenderScope { trace, ..self }
    }

    /// Notes that a param was read, and the level of its value.
    pub fn record(&self, name: &str, level: Option<&ParamLevel>) {
        self.trace_read(name, level, &[]);
        self.note_read(name, level);
    }

    /// Notes that a param was read whose value the template passes over for one of its own.
    pub fn record_passed_over(&self, name: &str, level: &ParamLevel) {
        self.trace_read(name, None, &[]);
        self.note_read(name, Some(level));
    }

    /// Notes that a param was read that is merged from several levels, highest first.
    pub fn record_composed(&self, name: &str, levels: &[&ParamLevel]) {
        let (level, merged) =
            levels.split_first().map_or((None, &[][..]), |(first, rest)| (Some(*first), rest));
        self.trace_read(name, level, merged);
        levels.iter().for_each(|level| self.note_read(name, Some(level)));
    }

    fn trace_read(&self, name: &str, level: Option<&ParamLevel>, merged: &[&ParamLevel]) {
        let Some(trace) = &self.trace else { return };
        let others = self.params.levels_of(name).filter(|of| Some(*of) != level && !merged.contains(of));
        let hides = others.cloned().collect();
        let merges = merged.iter().map(|level| (*level).clone()).collect();
        trace.read(ParamOrigin { name: name.to_owned(), level: level.cloned(), hides, merges });
    }

    fn note_read(&self, name: &str, level: Option<&ParamLevel>) {
        self.reads.borrow_mut().insert(ParamRead { name: name.to_owned(), level: level.cloned() });
    }

    pub fn record_secret(&self) {
        self.secret_read.set(true);
    }

    /// The time of the render, which is noted as read.
    pub fn read_now(&self) -> Timestamp {
        self.now_read.set(true);
        self.now
    }

    /// The time of the render, if a template read it.
    pub fn now_read(&self) -> Option<Timestamp> {
        self.now_read.get().then_some(self.now)
    }

    pub fn reads(&self) -> Vec<ParamRead> {
        self.reads.borrow().iter().cloned().collect()
    }

    pub fn secret_read(&self) -> bool {
        self.secret_read.get()
    }
}

/// The part of an input that functions read; the rest is in the template engine's context.
pub(super) struct ScopeInput {
    pub params: LayeredParams,
    pub callbacks: Option<CallbackUrls>,
    pub repositories: Vec<PackageRepository>,
    pub agent_token: Option<String>,
    pub salt_seed: String,
    pub now: Timestamp,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<RenderScope>>> = const { RefCell::new(None) };
}

/// While it exists, functions on this thread see its scope.
pub(super) struct ScopeGuard(());

pub(super) fn enter(scope: Rc<RenderScope>) -> ScopeGuard {
    CURRENT.with(|current| *current.borrow_mut() = Some(scope));
    ScopeGuard(())
}

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        CURRENT.with(|current| *current.borrow_mut() = None);
    }
}

/// The scope of the render on this thread, unless its time is up.
pub(super) fn current() -> TeraResult<Rc<RenderScope>> {
    let scope = CURRENT
        .with(|current| current.borrow().clone())
        .ok_or_else(|| tera::Error::message("called outside of a render"))?;
    scope.check_deadline()?;
    Ok(scope)
}
