//! Rules for the source: allowed dependencies, sizes, and forbidden words. A violation names the place and
//! the rule. Start at [`layers`] or [`sizes`].
//!
//! A rule may have exceptions, in [`exceptions::EXCEPTIONS`]; the list only shrinks.

mod callers;
mod console;
mod controls;
mod documents;
mod exceptions;
mod houses;
mod layers;
mod names;
mod scan;
mod sizes;
mod source;
mod tree;
mod words;

use exceptions::{EXCEPTIONS, Exception};
use source::Source;

/// A violation. `measure` is its size: lines, columns, parameters, or 1 if nothing is counted.
#[derive(Debug)]
struct Fault {
    rule: &'static str,
    place: String,
    measure: usize,
    why: String,
}

impl Fault {
    fn new(rule: &'static str, place: impl Into<String>, why: impl Into<String>) -> Fault {
        Fault { rule, place: place.into(), measure: 1, why: why.into() }
    }

    fn measured(mut self, measure: usize) -> Fault {
        self.measure = measure;
        self
    }

    fn is_excused_by(&self, exception: &Exception) -> bool {
        self.rule == exception.rule && self.place == exception.place && self.measure <= exception.measure
    }
}

#[test]
fn the_source_keeps_the_rules() {
    let program = Source::all("src");
    let tests = Source::all("tests");
    let mut faults: Vec<Fault> = program.iter().flat_map(layers::faults).collect();
    faults.extend(program.iter().flat_map(sizes::parameter_faults));
    faults.extend(program.iter().chain(&tests).flat_map(sizes::length_faults));
    faults.extend(program.iter().chain(&tests).flat_map(words::faults));
    faults.extend(program.iter().flat_map(callers::faults));
    faults.extend(houses::faults(&program));
    faults.extend(names::faults(&program));
    faults.extend(documents::faults(&program));
    faults.extend(controls::faults(&program.iter().chain(&tests).collect::<Vec<_>>()));
    faults.extend(program.iter().flat_map(words::rules_are_tracked));
    faults.extend(tree::faults());
    faults.extend(console::faults());
    let mut report: Vec<String> = faults
        .iter()
        .filter(|fault| !EXCEPTIONS.iter().any(|exception| fault.is_excused_by(exception)))
        .map(|fault| format!("{}: {} ({})", fault.place, fault.why, fault.rule))
        .collect();
    report.extend(exceptions::unneeded(&faults));
    assert!(report.is_empty(), "\n{}\n{} in all\n", report.join("\n"), report.len());
}
