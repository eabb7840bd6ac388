//! What a traced render notes: where each line of its document comes from. The marks of `marking` say where
//! the render is; whatever is written next comes from there, and shows the params that were read since, and
//! those that the variables in the expression were made from.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tera::{Kwargs, State, Tera, TeraResult, Value};

use crate::model::{LINES_MAX, LineOrigin, ParamOrigin, TemplatePlace};
use crate::render::marking::{MARK, PointKind, TracePoint};
use crate::render::scope;

/// Most params, and most variables, that are told of one line or one variable.
const ORIGINS_MAX: usize = 64;
/// Most further places that are told of one line.
const ALSO_MAX: usize = 8;
/// Most texts of included templates whose lines are kept until they are written, and most bytes of them.
const INNER_TEXTS_MAX: usize = 16;
const INNER_BYTES_MAX: usize = 1 << 20;

/// Adds the function that marks call.
pub(super) fn register(tera: &mut Tera) {
    tera.register_function(MARK, |arguments: Kwargs, _: &State| -> TeraResult<Value> {
        let scope = scope::current()?;
        if let Some(trace) = &scope.trace {
            trace.mark(arguments.must_get::<usize>("n")?);
        }
        Ok(Value::from(""))
    });
}

/// The params and variables that something was made from.
#[derive(Clone, Debug, Default)]
struct ValueOrigins {
    params: BTreeSet<ParamOrigin>,
    variables: BTreeSet<String>,
}

impl ValueOrigins {
    fn add(&mut self, other: ValueOrigins) {
        for param in other.params {
            self.add_param(param);
        }
        for variable in other.variables {
            if self.variables.len() < ORIGINS_MAX {
                self.variables.insert(variable);
            }
        }
    }

    fn add_param(&mut self, param: ParamOrigin) {
        if self.params.len() < ORIGINS_MAX {
            self.params.insert(param);
        }
    }
}

/// The lines that were written so far.
#[derive(Debug, Default)]
struct OriginLines {
    done: Vec<LineOrigin>,
    /// The line that is being written, and whether it is blank so far.
    open: Option<(LineOrigin, bool)>,
}

impl OriginLines {
    /// Adds one piece of a line.
    fn piece(&mut self, text: &str, from: LineOrigin) {
        let is_blank = text.trim().is_empty();
        match &mut self.open {
            None => self.open = Some((from, is_blank)),
            Some((open, was_blank)) => {
                if *was_blank && !is_blank && !text.is_empty() {
                    open.place = from.place;
                    (open.block, open.override_name) = (from.block, from.override_name);
                    *was_blank = false;
                } else if !is_blank && open.place != from.place && !open.also.contains(&from.place) {
                    open.also.push(from.place);
                }
                open.also.extend(from.also);
                open.also.truncate(ALSO_MAX);
                add_new(&mut open.params, from.params);
                add_new(&mut open.variables, from.variables);
            }
        }
    }

    fn end_line(&mut self) {
        if let Some((line, _)) = self.open.take()
            && self.done.len() < LINES_MAX
        {
            self.done.push(line);
        }
    }

    /// Adds a text, of whose lines each comes from where `from` says.
    fn text(&mut self, text: &str, mut from: impl FnMut(usize) -> LineOrigin) {
        for (i, line) in text.split_inclusive('\n').enumerate() {
            let (content, ends) = line.strip_suffix('\n').map_or((line, false), |content| (content, true));
            if !content.is_empty() || self.open.is_none() {
                self.piece(content, from(i));
            }
            if ends {
                self.end_line();
            }
        }
    }

    fn finish(mut self) -> Vec<LineOrigin> {
        self.end_line();
        self.done
    }
}

fn add_new<T: PartialEq>(to: &mut Vec<T>, from: Vec<T>) {
    for item in from {
        if to.len() < ORIGINS_MAX && !to.contains(&item) {
            to.push(item);
        }
    }
}

/// Something that is gathered and not written yet.
#[derive(Debug)]
struct HeldText {
    point: usize,
    origins: ValueOrigins,
}

/// How far a traced render is.
#[derive(Debug, Default)]
struct TraceState {
    at: Option<usize>,
    /// What was read since the last mark.
    reads: ValueOrigins,
    held: Vec<HeldText>,
    lines: OriginLines,
}

/// Notes where the lines of one render come from.
#[derive(Debug)]
pub(super) struct LineTracer {
    points: Arc<[TracePoint]>,
    /// The points of the text that is rendered, if it is not stored as a template. They follow the others.
    own_points: Vec<TracePoint>,
    /// Where the render begins.
    start: TemplatePlace,
    /// The names of the variables that the render was given.
    known: BTreeSet<String>,
    state: RefCell<TraceState>,
    /// What variables were made from, as the template knows them, and as anyone does.
    made_from: RefCell<HashMap<(Arc<str>, String), ValueOrigins>>,
    made_from_last: RefCell<HashMap<String, ValueOrigins>>,
    inner: RefCell<VecDeque<(String, Vec<LineOrigin>)>>,
}

/// A render that waits for one inside of it.
pub(super) struct OuterTrace(TraceState);

impl LineTracer {
    pub fn new(
        (points, own_points): (Arc<[TracePoint]>, Vec<TracePoint>),
        start: &str,
        known: BTreeSet<String>,
    ) -> Self {
        LineTracer {
            points,
            own_points,
            start: TemplatePlace { template: start.to_owned(), line: 1 },
            known,
            state: RefCell::default(),
            made_from: RefCell::default(),
            made_from_last: RefCell::default(),
            inner: RefCell::default(),
        }
    }

    fn point(&self, number: usize) -> Option<&TracePoint> {
        let own = number.checked_sub(self.points.len());
        own.map_or_else(|| self.points.get(number), |own| self.own_points.get(own))
    }

    /// The render has come to a mark.
    fn mark(&self, number: usize) {
        let mut state = self.state.borrow_mut();
        self.leave(&mut state);
        let Some(point) = self.point(number) else { return };
        match &point.what {
            PointKind::Hold { names, .. } => {
                let origins = self.origins_of(&point.template, names);
                state.held.push(HeldText { point: number, origins });
            }
            PointKind::Release => self.release(&mut state),
            _ => {}
        }
        state.at = Some(number);
    }

    /// Ends what was done since the last mark.
    fn leave(&self, state: &mut TraceState) {
        let mut reads = std::mem::take(&mut state.reads);
        let Some(point) = state.at.and_then(|at| self.point(at)) else { return };
        match &point.what {
            PointKind::Assign { targets, names } => {
                reads.add(self.origins_of(&point.template, names));
                targets.iter().for_each(|target| self.assign(&point.template, target, reads.clone()));
            }
            PointKind::Value(names) => {
                if let Some(held) = state.held.last_mut() {
                    reads.add(self.origins_of(&point.template, names));
                    held.origins.add(reads);
                }
            }
            PointKind::Hold { .. } => {
                if let Some(held) = state.held.last_mut() {
                    held.origins.add(reads);
                }
            }
            PointKind::Text(_) | PointKind::Release | PointKind::Other => {}
        }
    }

    fn release(&self, state: &mut TraceState) {
        let Some(held) = state.held.pop() else { return };
        let Some(point) = self.point(held.point) else { return };
        match (&point.what, state.held.last_mut()) {
            (PointKind::Hold { target: Some(target), .. }, _) => {
                self.assign(&point.template, target, held.origins);
            }
            (_, Some(outer)) => outer.origins.add(held.origins),
            (_, None) => {}
        }
    }

    fn assign(&self, template: &Arc<str>, target: &str, origins: ValueOrigins) {
        self.made_from_last.borrow_mut().insert(target.to_owned(), origins.clone());
        self.made_from.borrow_mut().insert((Arc::clone(template), target.to_owned()), origins);
    }

    /// What these names were made from: params, or variables that the render was given.
    fn origins_of(&self, template: &Arc<str>, names: &[String]) -> ValueOrigins {
        let (made_from, made_from_last) = (self.made_from.borrow(), self.made_from_last.borrow());
        let mut origins = ValueOrigins::default();
        for name in names {
            let root = name.split('.').next().unwrap_or(name);
            let own = made_from.get(&(Arc::clone(template), root.to_owned()));
            if let Some(known) = own.or_else(|| made_from_last.get(root)) {
                origins.add(known.clone());
            } else if self.known.contains(root) && origins.variables.len() < ORIGINS_MAX {
                origins.variables.insert(name.clone());
            }
        }
        origins
    }

    /// A param was read.
    pub fn read(&self, param: ParamOrigin) {
        self.state.borrow_mut().reads.add_param(param);
    }

    /// A part of the document was written.
    pub fn wrote(&self, part: &[u8]) {
        if part.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(part);
        let mut state = self.state.borrow_mut();
        let held = state.held.first();
        let number = held.map(|held| held.point).or(state.at);
        let Some(point) = number.and_then(|number| self.point(number)) else {
            let from = origin(self.start.clone(), None, &ValueOrigins::default());
            state.lines.text(&text, |_| from.clone());
            return;
        };
        let mut origins = state.reads.clone();
        origins.add(held.map(|held| held.origins.clone()).unwrap_or_default());
        match &point.what {
            PointKind::Text(bytes) if *bytes == part.len() => {
                let none = ValueOrigins::default();
                state.lines.text(&text, |line| origin(place_below(point, line), Some(point), &none));
            }
            what => {
                if let PointKind::Value(names) = what {
                    origins.add(self.origins_of(&point.template, names));
                    if self.write_inner(&mut state.lines, &text) {
                        return;
                    }
                }
                let from = origin(place_below(point, 0), Some(point), &origins);
                state.lines.text(&text, |_| from.clone());
            }
        }
    }

    /// Writes the text of a template that was rendered before, with the origins of its own lines.
    fn write_inner(&self, lines: &mut OriginLines, text: &str) -> bool {
        let inner = self.inner.borrow();
        let Some((_, origins)) = inner.iter().rev().find(|(known, _)| known == text) else { return false };
        lines.text(text, |line| {
            origins
                .get(line)
                .cloned()
                .unwrap_or_else(|| origin(self.start.clone(), None, &ValueOrigins::default()))
        });
        true
    }

    /// A render inside of this one begins.
    pub fn begin_inner(&self) -> OuterTrace {
        OuterTrace(std::mem::take(&mut *self.state.borrow_mut()))
    }

    /// It has ended; `text` is what it gave, if it was that of a template.
    pub fn end_inner(&self, outer: OuterTrace, text: Option<&str>) {
        let mut state = self.state.borrow_mut();
        self.leave(&mut state);
        let inner = std::mem::replace(&mut *state, outer.0);
        state.reads.add(inner.reads);
        let lines = inner.lines.finish();
        for line in &lines {
            line.params.iter().cloned().for_each(|param| state.reads.add_param(param));
        }
        let Some(text) = text.filter(|text| text.len() <= INNER_BYTES_MAX / INNER_TEXTS_MAX) else { return };
        let mut kept = self.inner.borrow_mut();
        if kept.len() >= INNER_TEXTS_MAX {
            kept.pop_front();
        }
        kept.push_back((text.to_owned(), lines));
    }

    /// The origins of the lines of the document.
    pub fn lines(&self) -> Vec<LineOrigin> {
        std::mem::take(&mut *self.state.borrow_mut()).lines.finish()
    }
}

/// The place so many lines below a point.
fn place_below(point: &TracePoint, lines: usize) -> TemplatePlace {
    let line = point.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
    TemplatePlace { template: point.template.to_string(), line }
}

fn origin(place: TemplatePlace, point: Option<&TracePoint>, origins: &ValueOrigins) -> LineOrigin {
    LineOrigin {
        place,
        block: point.and_then(|point| point.block.as_deref()).map(str::to_owned),
        override_name: point.and_then(|point| point.override_name.as_deref()).map(str::to_owned),
        params: origins.params.iter().cloned().collect(),
        variables: origins.variables.iter().cloned().collect(),
        also: Vec::new(),
    }
}
