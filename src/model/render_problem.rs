//! The reasons why a document could not be rendered.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Problem, RefusalCode};

/// The name, in problems and provenance, of a text that is not a stored template.
pub const INLINE_TEMPLATE: &str = "inline";

/// The cause of a problem, which tells who can repair it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The template is wrong, or no template has the name.
    Template,
    /// The template includes one that does not exist or is broken.
    Include,
    /// A param has no value.
    Missing,
    /// A secret was read in a place where it stays sealed.
    Sealed,
    /// The render took too long, wrote too much or looped too often.
    Limit,
    /// No render worker was free in time; the same render may work later.
    Busy,
}

/// One failed render, or one template that cannot be used. Never contains the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenderProblem {
    pub kind: ProblemKind,
    /// The faulty template: the included one, not the one that was requested.
    pub template: String,
    /// Line, 1-based; absent if the fault has no single place.
    pub line: Option<u32>,
    /// Column in characters, 1-based.
    pub column: Option<u32>,
    pub message: String,
    /// The includes and components that led to the template, innermost first: template and line.
    pub included_from: Vec<(String, u32)>,
    /// For an unknown name: the names that exist.
    pub available: Vec<String>,
}

impl RenderProblem {
    /// A problem without a place.
    pub fn new(kind: ProblemKind, template: &str, message: impl Into<String>) -> Self {
        RenderProblem {
            kind,
            template: template.to_owned(),
            line: None,
            column: None,
            message: message.into(),
            included_from: Vec::new(),
            available: Vec::new(),
        }
    }

    /// Sets line and column, 1-based.
    pub fn at(mut self, (line, column): (u32, u32)) -> Self {
        (self.line, self.column) = (Some(line), Some(column));
        self
    }

    /// Names the place of a text that is not a stored template, instead of `inline`.
    pub fn of_inline(self, place: &str) -> Self {
        self.renamed(INLINE_TEMPLATE, place.to_owned())
    }

    /// Replaces the name of a template everywhere in the problem.
    pub fn renamed(mut self, old: &str, new: String) -> Self {
        let callers = self.included_from.iter_mut().map(|(name, _)| name);
        for name in std::iter::once(&mut self.template).chain(callers).filter(|name| *name == old) {
            name.clone_from(&new);
        }
        self
    }
}

impl fmt::Display for RenderProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ProblemPlace(self))?;
        write!(f, ": {}", self.message)?;
        for (template, line) in &self.included_from {
            write!(f, "; included from {template}:{line}")?;
        }
        if !self.available.is_empty() {
            write!(f, "; there are: {}", self.available.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for RenderProblem {}

struct ProblemPlace<'a>(&'a RenderProblem);

impl fmt::Display for ProblemPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.template)?;
        for number in [self.0.line, self.0.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        Ok(())
    }
}

/// A problem of the whole; [`Problem::at`] says which value named the template.
impl From<&RenderProblem> for Problem {
    fn from(problem: &RenderProblem) -> Problem {
        let place = ProblemPlace(problem).to_string();
        let text = problem.to_string();
        let message = text.strip_prefix(&place).and_then(|text| text.strip_prefix(": ")).unwrap_or(&text);
        Problem {
            template: Some(problem.template.clone()),
            line: problem.line,
            column: problem.column,
            ..Problem::new("", message).coded(RefusalCode::Template)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_one_line_an_operator_can_act_on() {
        let mut problem =
            RenderProblem::new(ProblemKind::Template, "net.ks", "Variable `hots` is not defined.").at((3, 7));
        problem.included_from = vec![("base.ks".into(), 12)];
        problem.available = vec!["host".into(), "machine".into()];
        assert_eq!(
            problem.to_string(),
            "net.ks:3:7: Variable `hots` is not defined.; included from base.ks:12; there are: host, machine"
        );
        let plain = Problem::from(&problem);
        let place = (plain.template.as_deref(), plain.line, plain.column);
        assert_eq!((plain.pointer.as_str(), place), ("", (Some("net.ks"), Some(3), Some(7))));
        assert_eq!(plain.to_string(), problem.to_string());
        assert!(plain.message.starts_with("Variable `hots`"), "{}", plain.message);
    }
}
