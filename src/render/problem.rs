//! Why a render failed, said to the author of the template: where, what, through which includes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tera::ErrorKind;

use crate::model::{Problem, nearest};
use crate::render::engine::INLINE;

/// The name the template engine gives to a body that has none.
const ENGINE_INLINE: &str = "__tera_one_off";

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The template is wrong, or no template has that name.
    Template,
    /// It includes a template that does not exist or is broken.
    Include,
    /// A param has no value.
    Missing,
    /// A secret was read where it stays sealed.
    Sealed,
    /// The render took too long, wrote too much or looped too often.
    Limit,
    /// No render worker was free in time; the same render may work later.
    Busy,
}

/// One failed render or one template that cannot be used. Never contains the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenderProblem {
    pub kind: ProblemKind,
    /// The template at fault: the included one, not the one that was asked for.
    pub template: String,
    /// 1-based; absent where the fault has no one place.
    pub line: Option<u32>,
    /// 1-based, in characters.
    pub column: Option<u32>,
    pub message: String,
    /// The includes and components that led there, innermost first: template and line.
    pub included_from: Vec<(String, u32)>,
    /// For an unknown name: the names that exist.
    pub available: Vec<String>,
}

impl RenderProblem {
    /// A fault without a place.
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

    /// With line and column, 1-based.
    pub(super) fn at(mut self, (line, column): (u32, u32)) -> Self {
        (self.line, self.column) = (Some(line), Some(column));
        self
    }

    /// Reads what the template engine said about `template`, the one it was asked to render or add.
    pub(super) fn from_tera(error: &tera::Error, template: &str) -> Self {
        let problem = match error.kind() {
            ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
                let mut problem =
                    RenderProblem::new(ProblemKind::Template, report.filename(), report.message())
                        .at((number(report.span().start_line), number(report.span().start_col + 1)));
                problem.included_from = callers(&error.to_string());
                problem
            }
            _ => from_report(&error.to_string(), template),
        };
        problem.renamed(ENGINE_INLINE, INLINE.to_owned()).with_available()
    }

    /// Says where a text that is no template of its own stands, in place of `inline`.
    pub fn of_inline(self, place: &str) -> Self {
        self.renamed(INLINE, place.to_owned())
    }

    fn renamed(mut self, old: &str, new: String) -> Self {
        let callers = self.included_from.iter_mut().map(|(name, _)| name);
        for name in std::iter::once(&mut self.template).chain(callers).filter(|name| *name == old) {
            name.clone_from(&new);
        }
        self
    }

    /// Moves the engine's list of known names out of the message, and guesses what was meant.
    fn with_available(mut self) -> Self {
        for list in [" Available variables: ", " Available fields: "] {
            let Some((message, names)) = self.message.split_once(list) else { continue };
            self.available = names.split(", ").map(str::to_owned).collect();
            let asked = message.split('`').nth(1).unwrap_or_default();
            let meant = nearest(asked, self.available.iter().map(String::as_str));
            self.message = match meant {
                Some(meant) => format!("{message} Did you mean `{meant}`?"),
                None => message.to_owned(),
            };
            break;
        }
        self
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The engine's report as text, for errors that carry no structure: the first fault and its place.
fn from_report(report: &str, template: &str) -> RenderProblem {
    let Some((message, rest)) = report.strip_prefix("error: ").and_then(|text| text.split_once('\n')) else {
        return plain_problem(template, report);
    };
    let place = rest.lines().next().and_then(|line| line.trim_start().strip_prefix("--> "));
    match place.and_then(parse_place) {
        Some((name, place)) => RenderProblem::new(ProblemKind::Template, name, message).at(place),
        None => plain_problem(template, report),
    }
}

fn plain_problem(template: &str, report: &str) -> RenderProblem {
    RenderProblem::new(ProblemKind::Template, template, report)
}

/// The `note: called from NAME:LINE:COLUMN` lines of the engine's report; it gives them no other way.
fn callers(report: &str) -> Vec<(String, u32)> {
    let notes = report.lines().filter_map(|line| line.strip_prefix("note: called from "));
    notes.filter_map(parse_place).map(|(name, (line, _))| (name.to_owned(), line)).collect()
}

/// A template's name, and the line and column in it.
fn parse_place(text: &str) -> Option<(&str, (u32, u32))> {
    let mut parts = text.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some((parts.next()?, (line, column)))
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

/// The place becomes the pointer: `kickstart/base.ks:12:5`.
impl From<&RenderProblem> for Problem {
    fn from(problem: &RenderProblem) -> Problem {
        let place = ProblemPlace(problem).to_string();
        let text = problem.to_string();
        let message = text.strip_prefix(&place).and_then(|text| text.strip_prefix(": ")).unwrap_or(&text);
        Problem::new(place.clone(), message)
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
        assert_eq!(plain.pointer, "net.ks:3:7");
        assert!(plain.message.starts_with("Variable `hots`"), "{}", plain.message);
    }
}
