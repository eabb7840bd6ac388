//! A reference to a step, as an operator writes it, and the step of a run that it means.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::RunStep;

/// Most steps that a message lists.
const LISTED_MAX: usize = 20;

/// A step of a run: its number, counted from 0, or its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a step is its number, counted from 0, or its name")]
pub enum StepReference {
    Number(u32),
    Name(String),
}

impl fmt::Display for StepReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepReference::Number(number) => write!(f, "{number}"),
            StepReference::Name(name) => write!(f, "`{name}`"),
        }
    }
}

impl StepReference {
    /// The index of the step that is meant, among the steps from `first` on.
    ///
    /// # Errors
    /// No step or several steps match, with a list of the possible ones.
    pub fn find(&self, steps: &[RunStep], first: u32) -> Result<u32, String> {
        let to_come = || (0u32..).zip(steps).skip(first as usize);
        let meant: Vec<(u32, &RunStep)> = to_come()
            .filter(|(i, step): &(u32, &RunStep)| match self {
                StepReference::Number(number) => i == number,
                StepReference::Name(name) => step.name == *name,
            })
            .collect();
        match meant.as_slice() {
            [(i, _)] => Ok(*i),
            [] => Err(format!("there is no step {self} here; the steps are {}", list(to_come()))),
            several => Err(format!(
                "{self} names {} steps; give the number of one: {}",
                several.len(),
                list(several.iter().copied())
            )),
        }
    }
}

fn list<'a>(steps: impl Iterator<Item = (u32, &'a RunStep)>) -> String {
    let mut labels: Vec<String> = steps.map(|(i, step)| step.label(i)).collect();
    let more = labels.len().saturating_sub(LISTED_MAX);
    labels.truncate(LISTED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    labels.join(", ") + &more
}
