//! Finds the templates and components that a template names, without rendering it.
//!
//! The template engine checks names itself but does not report them. The include depth, the provenance and
//! the message about a broken include need them. This parser follows the engine's lexical rules (strings,
//! comments, raw blocks) and nothing more: it only explains, while the engine decides.

use std::collections::BTreeSet;

/// An `include` or `extends` of another template, or an `include_from` a folder of templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateReference {
    pub name: String,
    /// Line and column of the tag, 1-based.
    pub place: (u32, u32),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TemplateReferences {
    pub templates: Vec<TemplateReference>,
    /// The folders that `include_from` takes templates from.
    pub folders: Vec<TemplateReference>,
    /// The tags that call `include_from` with a folder that is no plain text.
    pub unknown_folders: Vec<(u32, u32)>,
    /// Components that this template defines.
    pub defines: BTreeSet<String>,
    /// Components that it uses.
    pub uses: BTreeSet<String>,
}

pub(super) fn scan(body: &str) -> TemplateReferences {
    let mut found = TemplateReferences::default();
    let mut at = 0;
    while let Some(start) = find(body, at, "{") {
        at = match body.get(start..start + 2) {
            Some("{#") => find(body, start + 2, "#}").map_or(body.len(), |end| end + 2),
            Some("{{") => read_tag(body, start, &mut found),
            Some("{%") if tag_word(body, start) == "raw" => end_of_raw(body, start),
            Some("{%") => read_tag(body, start, &mut found),
            _ => start + 1,
        };
    }
    found
}

fn find(body: &str, from: usize, what: &str) -> Option<usize> {
    Some(from + body.get(from..)?.find(what)?)
}

/// The first word of the tag that opens at `start`.
pub(super) fn tag_word(body: &str, start: usize) -> &str {
    let inside = body.get(start + 2..).unwrap_or_default();
    let inside = inside.strip_prefix('-').unwrap_or(inside).trim_start();
    inside.split(|c: char| !is_name(c)).next().unwrap_or_default()
}

fn end_of_raw(body: &str, start: usize) -> usize {
    let mut at = start + 2;
    while let Some(tag) = find(body, at, "{%") {
        at = tag + 2;
        if tag_word(body, tag) == "endraw" {
            break;
        }
    }
    find(body, at, "%}").map_or(body.len(), |end| end + 2)
}

pub(super) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TemplateToken<'a> {
    Word(&'a str),
    Text(&'a str),
    Sign(char),
}

/// Reads one tag or expression; returns its end.
fn read_tag(body: &str, start: usize, found: &mut TemplateReferences) -> usize {
    let statement = body.get(start..start + 2) == Some("{%");
    let close = if statement { "%}" } else { "}}" };
    let mut at = start + 2;
    let mut before = None;
    let mut words = 0;
    let mut calls = FolderCalls::default();
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(close) {
            calls.finish(|| place(body, start), found);
            return at + 2;
        }
        let (token, length) = next_token(rest);
        calls.see(&token, rest.get(length..).unwrap_or_default());
        match (&before, &token) {
            (Some(TemplateToken::Word("include" | "extends")), TemplateToken::Text(name))
                if statement && words == 1 =>
            {
                found
                    .templates
                    .push(TemplateReference { name: (*name).to_owned(), place: place(body, start) });
            }
            (Some(TemplateToken::Word("component")), TemplateToken::Word(_)) if statement && words == 1 => {
                found.defines.insert(dotted_name(rest).to_owned());
            }
            (Some(TemplateToken::Sign('<')), TemplateToken::Word(_)) => {
                found.uses.insert(dotted_name(rest).to_owned());
            }
            _ => {}
        }
        match token {
            TemplateToken::Sign(sign) if sign.is_whitespace() || (sign == '-' && words == 0) => {}
            token => {
                words += usize::from(matches!(token, TemplateToken::Word(_)));
                before = Some(token);
            }
        }
        at += length;
    }
    body.len()
}

/// The call of `include_from`, and the argument that names its folder.
const INCLUDE_FROM: &str = "include_from";
const FOLDER: &str = "folder";

/// The calls of `include_from` in one tag.
#[derive(Default)]
struct FolderCalls<'a> {
    calls: usize,
    folders: Vec<&'a str>,
    /// How many of the tokens `folder` and `=` have come.
    matched: usize,
}

impl<'a> FolderCalls<'a> {
    /// Takes the next token of the tag; `after` is what follows it.
    fn see(&mut self, token: &TemplateToken<'a>, after: &str) {
        self.calls += usize::from(matches!(token, TemplateToken::Word(INCLUDE_FROM)));
        self.matched = match (self.matched, token) {
            (matched, TemplateToken::Sign(sign)) if sign.is_whitespace() => matched,
            (_, TemplateToken::Word(FOLDER)) => 1,
            (1, TemplateToken::Sign('=')) => 2,
            (2, TemplateToken::Text(folder)) if after.trim_start().starts_with([',', ')']) => {
                if self.folders.len() < self.calls && !folder.contains('\\') {
                    self.folders.push(*folder);
                }
                0
            }
            _ => 0,
        };
    }

    /// Adds the calls. To find a tag's place takes time by what is before it, and most tags have no call.
    fn finish(self, place: impl FnOnce() -> (u32, u32), found: &mut TemplateReferences) {
        if self.calls == 0 {
            return;
        }
        let place = place();
        if self.calls != self.folders.len() {
            found.unknown_folders.push(place);
        }
        let folders = self.folders.into_iter().map(|name| name.trim_end_matches('/').to_owned());
        found.folders.extend(folders.map(|name| TemplateReference { name, place }));
    }
}

/// The first token of `rest` and its length in bytes. `rest` is not empty.
pub(super) fn next_token(rest: &str) -> (TemplateToken<'_>, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    if matches!(first, '"' | '\'' | '`') {
        let inside = rest.get(1..).unwrap_or_default();
        let length = end_of_text(inside, first);
        return (TemplateToken::Text(inside.get(..length).unwrap_or_default()), length + 2);
    }
    if is_name(first) {
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        return (TemplateToken::Word(rest.get(..length).unwrap_or_default()), length);
    }
    (TemplateToken::Sign(first), first.len_utf8())
}

fn end_of_text(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at,
            _ => {}
        }
    }
    inside.len()
}

fn dotted_name(rest: &str) -> &str {
    let length = rest.find(|c| !is_name(c) && c != '.').unwrap_or(rest.len());
    rest.get(..length).unwrap_or_default()
}

fn place(body: &str, at: usize) -> (u32, u32) {
    let before = body.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    (one_based(before.matches('\n').count()), one_based(column))
}

fn one_based(count: usize) -> u32 {
    u32::try_from(count + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str) -> Vec<String> {
        scan(body).templates.into_iter().map(|reference| reference.name).collect()
    }

    #[test]
    fn includes_are_found_with_any_quote_and_any_spacing() {
        assert_eq!(names("{% include \"a\" %}{%include 'b'%}{%- include `c` -%}"), ["a", "b", "c"]);
        assert_eq!(
            names("{% extends \"base\" %}\n{% block x %}{% include \"in\" %}{% endblock %}"),
            ["base", "in"]
        );
    }

    #[test]
    fn what_only_looks_like_an_include_is_not_one() {
        assert_eq!(names("{# {% include \"a\" %} #}"), [""; 0]);
        assert_eq!(names("{% raw %}{% include \"a\" %}{%- endraw %}{% include \"b\" %}"), ["b"]);
        assert_eq!(names("{{ \"}}{% include 'a' %}\" }}{% set x = \"%}{% include 'b' %}\" %}"), [""; 0]);
        assert_eq!(names("{{ include }} { % include 'a' %}"), [""; 0]);
    }

    #[test]
    fn the_folder_of_a_computed_include_is_found_where_it_is_a_plain_text() {
        let folders = |body: &str| {
            let found = scan(body);
            let names: Vec<String> = found.folders.into_iter().map(|folder| folder.name).collect();
            (names, found.unknown_folders)
        };
        let known = |name: &str| (vec![name.to_owned()], Vec::new());
        assert_eq!(folders("{{ include_from(folder=\"a/b\", name=x) }}"), known("a/b"));
        assert_eq!(folders("{% set t = include_from(name=f(folder=1), folder = 'a/' ) %}"), known("a"));
        assert_eq!(folders("{{ param(folder=\"a\") }}"), (Vec::new(), Vec::new()));
        for body in [
            "{{ include_from(folder=x, name=y) }}",
            "{{ include_from(folder=\"a\" ~ x, name=y) }}",
            "{{ include_from(name=y) }}",
        ] {
            assert_eq!(folders(body), (Vec::new(), vec![(1, 1)]), "{body}");
        }
    }

    #[test]
    fn a_reference_has_its_place() {
        let found = scan("one\n  é {% include \"a\" %}");
        assert_eq!(found.templates, [TemplateReference { name: "a".into(), place: (2, 5) }]);
    }

    #[test]
    fn components_are_told_from_comparisons() {
        let found = scan("{% component ui.Card(x) %}{% endcomponent %}{{ <Disk n={1} /> }}{{ 1 < 2 }}");
        assert_eq!(found.defines, BTreeSet::from(["ui.Card".to_owned()]));
        assert!(found.uses.contains("Disk"));
        assert!(scan("{% <ui.Card> %}x{% </ui.Card> %}").uses.contains("ui.Card"));
    }

    #[test]
    fn unfinished_tags_do_not_hang_or_panic() {
        for body in ["{", "{%", "{{ 'a", "{% include \"a", "{% raw %}", "{#", "{% include 'é\\"] {
            scan(body);
        }
    }
}
