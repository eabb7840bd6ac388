//! The calls of `include_from` and `include_optional` in one tag, for `references`: what they name must be a
//! plain text, so that all templates that a document can have are known before it is rendered.

use crate::render::problem::{ProblemKind, RenderProblem};
use crate::render::references::{TemplateReference, TemplateReferences, TemplateToken};

/// A tag that names what it includes by no plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render) struct ComputedInclude {
    pub function: &'static str,
    /// Line and column of the tag, 1-based.
    pub place: (u32, u32),
}

/// The function that takes a template of a folder, and the argument that names the folder.
pub(super) const INCLUDE_FROM: &str = "include_from";
const FOLDER: &str = "folder";
/// The function that takes a template that may be absent, and the argument that names it, which comes first.
pub(super) const INCLUDE_OPTIONAL: &str = "include_optional";
const NAME: &str = "name";

/// The calls in one tag.
#[derive(Default)]
pub(super) struct IncludeCalls<'a> {
    from: NamingCalls<'a>,
    optional: NamingCalls<'a>,
}

/// The calls of one function.
#[derive(Default)]
struct NamingCalls<'a> {
    calls: usize,
    names: Vec<&'a str>,
    /// How many of the tokens before the text have come.
    matched: usize,
}

impl<'a> NamingCalls<'a> {
    /// Takes the text of an argument, if nothing is added to it.
    fn take(&mut self, text: &'a str, after: &str) {
        let is_whole = after.trim_start().starts_with([',', ')']) && !text.contains('\\');
        if is_whole && self.names.len() < self.calls {
            self.names.push(text);
        }
    }

    fn finish(
        self,
        function: &'static str,
        place: (u32, u32),
        (names, computed): (&mut Vec<TemplateReference>, &mut Vec<ComputedInclude>),
    ) {
        if self.calls != self.names.len() {
            computed.push(ComputedInclude { function, place });
        }
        let found = self.names.into_iter().map(|name| name.trim_end_matches('/').to_owned());
        names.extend(found.map(|name| TemplateReference { name, place }));
    }
}

impl<'a> IncludeCalls<'a> {
    /// Takes the next token of the tag; `after` is what follows it.
    pub fn see(&mut self, token: &TemplateToken<'a>, after: &str) {
        if matches!(token, TemplateToken::Sign(sign) if sign.is_whitespace()) {
            return;
        }
        self.see_from(token, after);
        self.see_optional(token, after);
    }

    fn see_from(&mut self, token: &TemplateToken<'a>, after: &str) {
        let from = &mut self.from;
        from.calls += usize::from(matches!(token, TemplateToken::Word(INCLUDE_FROM)));
        from.matched = match (from.matched, token) {
            (_, TemplateToken::Word(FOLDER)) => 1,
            (1, TemplateToken::Sign('=')) => 2,
            (2, TemplateToken::Text(folder)) => {
                from.take(folder, after);
                0
            }
            _ => 0,
        };
    }

    fn see_optional(&mut self, token: &TemplateToken<'a>, after: &str) {
        let optional = &mut self.optional;
        optional.matched = match (optional.matched, token) {
            (_, TemplateToken::Word(INCLUDE_OPTIONAL)) => {
                optional.calls += 1;
                1
            }
            (1, TemplateToken::Sign('(')) => 2,
            (2, TemplateToken::Word(NAME)) => 3,
            (3, TemplateToken::Sign('=')) => 4,
            (4, TemplateToken::Text(name)) => {
                optional.take(name, after);
                0
            }
            _ => 0,
        };
    }

    /// Adds the calls. To find a tag's place takes time by what is before it, and most tags have no call.
    pub fn finish(self, place: impl FnOnce() -> (u32, u32), found: &mut TemplateReferences) {
        if self.from.calls + self.optional.calls == 0 {
            return;
        }
        let place = place();
        let TemplateReferences { folders, optional, computed, .. } = found;
        self.from.finish(INCLUDE_FROM, place, (folders, &mut *computed));
        self.optional.finish(INCLUDE_OPTIONAL, place, (optional, computed));
    }
}

/// The problem of an include that is not known before the render.
pub(super) fn computed_problem(name: &str, references: &TemplateReferences) -> Option<RenderProblem> {
    let ComputedInclude { function, place } = references.computed.first()?;
    let (what, example) = match *function {
        INCLUDE_OPTIONAL => ("its name first, and", "name=\"site/motd.sh\""),
        _ => ("its folder", "folder=\"site/disks\", name=…"),
    };
    let message = format!(
        "`{function}` takes {what} as a plain text, so that all templates that a document can have are \
         known: write `{function}({example})`"
    );
    Some(RenderProblem::new(ProblemKind::Template, name, message).at(*place))
}
