//! The report on a failed render for the author of the template: where, what, through which includes.

use tera::ErrorKind;

use crate::model::nearest;
pub use crate::model::{ProblemKind, RenderProblem};
use crate::render::engine::INLINE;

/// The template engine's name for an unnamed body.
const ENGINE_INLINE: &str = "__tera_one_off";

/// Converts the engine's error about `template`, the one that was rendered or added.
pub(super) fn from_tera(error: &tera::Error, template: &str) -> RenderProblem {
    let problem = match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            let mut problem = RenderProblem::new(ProblemKind::Template, report.filename(), report.message())
                .at((number(report.span().start_line), number(report.span().start_col + 1)));
            problem.included_from = callers(&error.to_string());
            problem
        }
        _ => from_report(&error.to_string(), template),
    };
    with_available(problem.renamed(ENGINE_INLINE, INLINE.to_owned()))
}

/// Moves the engine's list of known names out of the message, and suggests the most similar one.
fn with_available(mut problem: RenderProblem) -> RenderProblem {
    for list in [" Available variables: ", " Available fields: "] {
        let Some((message, names)) = problem.message.split_once(list) else { continue };
        problem.available = names.split(", ").map(str::to_owned).collect();
        let asked = message.split('`').nth(1).unwrap_or_default();
        let meant = nearest(asked, problem.available.iter().map(String::as_str));
        problem.message = match meant {
            Some(meant) => format!("{message} Did you mean `{meant}`?"),
            None => message.to_owned(),
        };
        break;
    }
    problem
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Reads the engine's report as text, for errors without structure: the first fault and its place.
fn from_report(report: &str, template: &str) -> RenderProblem {
    let fault = report.strip_prefix("error: ").and_then(from_fault);
    fault.unwrap_or_else(|| plain_problem(template, report))
}

/// One fault of the engine's report, without the `error: ` that it begins with.
pub(super) fn from_fault(fault: &str) -> Option<RenderProblem> {
    let (message, rest) = fault.split_once('\n')?;
    let place = rest.lines().next().and_then(|line| line.trim_start().strip_prefix("--> "));
    let (name, place) = place.and_then(parse_place)?;
    Some(RenderProblem::new(ProblemKind::Template, name, message).at(place))
}

fn plain_problem(template: &str, report: &str) -> RenderProblem {
    RenderProblem::new(ProblemKind::Template, template, report)
}

/// The `note: called from NAME:LINE:COLUMN` lines of the engine's report, which has them only as text.
fn callers(report: &str) -> Vec<(String, u32)> {
    let notes = report.lines().filter_map(|line| line.strip_prefix("note: called from "));
    notes.filter_map(parse_place).map(|(name, (line, _))| (name.to_owned(), line)).collect()
}

/// A template's name, with line and column.
fn parse_place(text: &str) -> Option<(&str, (u32, u32))> {
    let mut parts = text.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some((parts.next()?, (line, column)))
}
