//! Adds a set of templates to an engine, of which some may be broken. The engine adds all of a batch or
//! nothing, and looks at all that it has each time: so it is given few batches, however many are broken.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tera::Tera;

use crate::render::compile::SourceTexts;
use crate::render::problem::{RenderProblem, from_fault, from_tera};

/// How often the engine is given what is left after it has named what is at fault. It names all that is at
/// once; what uses a component of that is at fault in the next round.
const ROUNDS_MAX: usize = 16;
/// How the engine begins what it says of components and templates that it does not have.
pub(super) const UNKNOWN_COMPONENT: &str = "Unknown component `";
const UNKNOWN_TEMPLATE: &str = "Unknown template `";

/// Why a template cannot be added.
pub(super) enum AddFailure {
    /// It cannot be parsed.
    Syntax(RenderProblem),
    /// The engine refused it, for itself or for what it names.
    Refused(RenderProblem),
    /// It needs one that is absent or cannot be added.
    NeedsBroken,
}

/// Adds templates to an engine that has none.
pub(super) struct BatchAdder<'a, 't> {
    tera: &'t mut Tera,
    sources: &'a SourceTexts,
    /// How many templates the engine was given, each as often as it was.
    pub given: usize,
    /// Those that may be usable.
    hopeful: BTreeSet<&'a str>,
    /// Those that cannot be added, and why.
    pub failed: BTreeMap<&'a str, AddFailure>,
}

impl<'a, 't> BatchAdder<'a, 't> {
    pub fn new(tera: &'t mut Tera, sources: &'a SourceTexts) -> Self {
        BatchAdder { tera, sources, given: 0, hopeful: BTreeSet::new(), failed: BTreeMap::new() }
    }

    fn add(&mut self, batch: &[(&'a str, &'a str)]) -> Result<(), tera::Error> {
        self.given += batch.len();
        self.tera.add_raw_templates(batch.iter().copied())
    }

    /// Adds all that can be added and notes why the rest cannot.
    pub fn add_what_can_be_added(&mut self, usable: &[(&'a str, &'a str)]) {
        if self.add(usable).is_ok() {
            return;
        }
        let mut left = self.try_each(usable);
        for round in 0..ROUNDS_MAX {
            let Err(error) = self.add(&left) else { return };
            let before = left.len();
            for (name, problem) in refused_in(&error, self.sources) {
                self.fail(name, AddFailure::Refused(problem));
            }
            left.retain(|(name, _)| self.hopeful.contains(name));
            self.drop_what_needs_broken(&mut left, round);
            if left.len() == before {
                break;
            }
        }
        self.add_halves(&left);
    }

    /// Those that may be usable: each is tried alone, and what fails in any company is left out.
    fn try_each(&mut self, usable: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut left = Vec::with_capacity(usable.len());
        for (name, body) in usable {
            self.given += 1;
            let alone = self.tera.clone().add_raw_template(name, body);
            let failure = match alone {
                Err(error) if matches!(error.kind(), tera::ErrorKind::SyntaxError(_)) => {
                    Some(AddFailure::Syntax(from_tera(&error, name)))
                }
                _ if self.names_what_is_not_there(name) => Some(AddFailure::NeedsBroken),
                Err(error) if has_fault_of_its_own(&error) => {
                    Some(AddFailure::Refused(from_tera(&error, name)))
                }
                _ => None,
            };
            match failure {
                Some(failure) => self.fail(name, failure),
                None => {
                    self.hopeful.insert(name);
                    left.push((*name, *body));
                }
            }
        }
        left
    }

    /// Whether a template includes or extends one that is absent or cannot be added. In order of need: what
    /// it includes was tried before.
    fn names_what_is_not_there(&self, name: &str) -> bool {
        let references = self.sources.get(name).map(|source| source.references.templates.as_slice());
        references.unwrap_or_default().iter().any(|reference| !self.hopeful.contains(reference.name.as_str()))
    }

    fn fail(&mut self, name: &'a str, failure: AddFailure) {
        self.hopeful.remove(name);
        self.failed.insert(name, failure);
    }

    /// Leaves out what needs one that has failed. Components are left to the engine in the first rounds:
    /// what looks like the use of one may be none.
    fn drop_what_needs_broken(&mut self, left: &mut Vec<(&'a str, &'a str)>, round: usize) {
        let mut lost = BTreeSet::new();
        if round + 2 >= ROUNDS_MAX {
            lost = self.users_of_lost_components();
        }
        left.retain(|(name, _)| {
            let needs = lost.contains(name) || self.names_what_is_not_there(name);
            if needs {
                self.fail(name, AddFailure::NeedsBroken);
            }
            !needs
        });
    }

    /// All that come to use a component of a template that has failed.
    fn users_of_lost_components(&self) -> BTreeSet<&'a str> {
        let mut users: HashMap<&str, Vec<&'a str>> = HashMap::new();
        for (name, source) in self.sources {
            source.references.uses.iter().for_each(|used| users.entry(used).or_default().push(name));
        }
        let mut open: Vec<&str> = self.failed.keys().copied().collect();
        let mut lost = BTreeSet::new();
        while let Some(source) = open.pop().and_then(|name| self.sources.get(name)) {
            let users =
                source.references.defines.iter().filter_map(|component| users.get(component.as_str()));
            open.extend(users.flatten().copied().filter(|user| lost.insert(*user)));
        }
        lost
    }

    /// For what the engine refuses without saying which template is at fault: a batch that fails is halved
    /// until the templates at fault stand alone.
    fn add_halves(&mut self, batch: &[(&'a str, &'a str)]) {
        if batch.is_empty() {
            return;
        }
        let Err(error) = self.add(batch) else { return };
        if let [(name, _)] = batch {
            self.fail(name, AddFailure::Refused(from_tera(&error, name)));
            return;
        }
        let (first, second) = batch.split_at(batch.len() / 2);
        self.add_halves(first);
        self.add_halves(second);
    }
}

/// Whether a template that was tried alone fails in any company: the engine misses more than other templates
/// and their components.
fn has_fault_of_its_own(error: &tera::Error) -> bool {
    let report = error.to_string();
    let mut faults = report.lines().filter_map(|line| line.strip_prefix("error: ")).peekable();
    faults.peek().is_some()
        && faults
            .any(|fault: &str| ![UNKNOWN_COMPONENT, UNKNOWN_TEMPLATE].iter().any(|of| fault.starts_with(of)))
}

/// The templates that the engine names in a refusal, each with the first fault that it has.
fn refused_in<'a>(error: &tera::Error, sources: &'a SourceTexts) -> Vec<(&'a str, RenderProblem)> {
    let report = error.to_string();
    let mut faults: Vec<&str> = report.split("\nerror: ").collect();
    if let Some(first) = faults.first_mut() {
        *first = first.strip_prefix("error: ").unwrap_or(first);
    }
    let mut refused: Vec<(&'a str, RenderProblem)> = Vec::new();
    for fault in faults {
        let Some(problem) = from_fault(fault) else { continue };
        let Some((name, _)) = sources.get_key_value(&problem.template) else { continue };
        if refused.last().is_none_or(|(last, _)| last != name) {
            refused.push((name, problem));
        }
    }
    refused
}
