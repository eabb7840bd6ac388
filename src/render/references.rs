//! Finds the templates and components that a template names, without rendering it.
//!
//! The template engine checks names itself but does not report them. The include depth, the provenance and
//! the message about a broken include need them. This parser follows the engine's lexical rules (strings,
//! comments, raw blocks) and nothing more: it only explains, while the engine decides.

use std::collections::BTreeSet;

use crate::render::include_calls::{ComputedInclude, IncludeCalls};
use crate::render::nesting::{BlockReference, BlockTags};

/// An `include` or `extends` of another template, an `include_optional` of one, or an `include_from` a folder
/// of templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateReference {
    pub name: String,
    /// Line and column of the tag, 1-based.
    pub place: (u32, u32),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TemplateReferences {
    pub templates: Vec<TemplateReference>,
    /// The template that it extends.
    pub extends: Option<String>,
    /// The templates of `include_optional`: they may be absent.
    pub optional: Vec<TemplateReference>,
    /// The folders that `include_from` takes templates from.
    pub folders: Vec<TemplateReference>,
    /// The tags that name what they include by no plain text.
    pub computed: Vec<ComputedInclude>,
    /// Its blocks, in their order.
    pub blocks: Vec<BlockReference>,
    /// Components that this template defines.
    pub defines: BTreeSet<String>,
    /// Components that it uses.
    pub uses: BTreeSet<String>,
}

pub(super) fn scan(body: &str) -> TemplateReferences {
    let mut found = TemplateReferences::default();
    let mut at = 0;
    let mut blocks = BlockTags::new(body);
    while let Some(start) = find(body, at, "{") {
        at = match body.get(start..start + 2) {
            Some("{#") => find(body, start + 2, "#}").map_or(body.len(), |end| end + 2),
            Some("{{") => read_tag(body, start, &mut found),
            Some("{%") if tag_word(body, start) == "raw" => end_of_raw(body, start),
            Some("{%") => {
                found.blocks.extend(blocks.see(start));
                read_tag(body, start, &mut found)
            }
            _ => start + 1,
        };
    }
    found
}

pub(super) fn find(body: &str, from: usize, what: &str) -> Option<usize> {
    Some(from + body.get(from..)?.find(what)?)
}

/// The first word of the tag that opens at `start`.
pub(super) fn tag_word(body: &str, start: usize) -> &str {
    let inside = body.get(start + 2..).unwrap_or_default();
    let inside = inside.strip_prefix('-').unwrap_or(inside).trim_start();
    inside.split(|c: char| !is_name(c)).next().unwrap_or_default()
}

pub(super) fn end_of_raw(body: &str, start: usize) -> usize {
    let mut at = start + 2;
    while let Some(tag) = find(body, at, "{%") {
        at = tag + 2;
        if tag_word(body, tag) == "endraw" {
            break;
        }
    }
    find(body, at, "%}").map_or(body.len(), |end| end + 2)
}

/// Where the tag or expression that opens at `start` ends.
pub(super) fn tag_end(body: &str, start: usize) -> usize {
    let close = if body.get(start..start + 2) == Some("{%") { "%}" } else { "}}" };
    let mut at = start + 2;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(close) {
            return at + 2;
        }
        at += next_token(rest).1;
    }
    body.len()
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
    let mut calls = IncludeCalls::default();
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(close) {
            calls.finish(|| place(body, start), found);
            return at + 2;
        }
        let (token, length) = next_token(rest);
        calls.see(&token, rest.get(length..).unwrap_or_default());
        match (&before, &token) {
            (Some(TemplateToken::Word(tag @ ("include" | "extends"))), TemplateToken::Text(name))
                if statement && words == 1 =>
            {
                let name = (*name).to_owned();
                if *tag == "extends" {
                    found.extends = Some(name.clone());
                }
                found.templates.push(TemplateReference { name, place: place(body, start) });
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
            (names, found.computed.into_iter().map(|tag| tag.place).collect::<Vec<_>>())
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
    fn an_optional_template_is_found_where_its_name_is_a_plain_text_and_comes_first() {
        let optional = |body: &str| {
            let found = scan(body);
            let names: Vec<String> = found.optional.into_iter().map(|optional| optional.name).collect();
            assert_eq!((found.templates, found.folders), (Vec::new(), Vec::new()), "{body}");
            (names, found.computed.into_iter().map(|tag| tag.place).collect::<Vec<_>>())
        };
        let known = |name: &str| (vec![name.to_owned()], Vec::new());
        assert_eq!(optional("{{ include_optional(name=\"a/b\") }}"), known("a/b"));
        assert_eq!(optional("{% set t = include_optional ( name = 'a', with={\"name\": x}) %}"), known("a"));
        assert_eq!(optional("{{ param(name=\"a\") ~ include_optional(name=\"b\") }}"), known("b"));
        assert_eq!(optional("{# {{ include_optional(name=\"a\") }} #}"), (Vec::new(), Vec::new()));
        for body in [
            "{{ include_optional(name=x) }}",
            "{{ include_optional(name=\"a\" ~ x) }}",
            "{{ include_optional(with={}, name=\"a\") }}",
            "{{ include_optional() }}",
        ] {
            assert_eq!(optional(body), (Vec::new(), vec![(1, 1)]), "{body}");
        }
    }

    #[test]
    fn blocks_are_found_with_the_block_that_they_stand_in() {
        let body =
            "{% block a -%}{%- block b %}{% endblock b %}{% endblock %}{# {% block c %} #}\n{%block d%}";
        let found = scan(body).blocks;
        assert_eq!(found.iter().map(|block| block.place).collect::<Vec<_>>(), [(1, 1), (1, 15), (2, 1)]);
        let blocks: Vec<_> = found.into_iter().map(|block| (block.name, block.inside)).collect();
        let expected = [("a", None), ("b", Some("a")), ("d", None)];
        assert_eq!(blocks, expected.map(|(name, of)| (name.to_owned(), of.map(str::to_owned))));
        assert_eq!(scan("{% extends 'base' %}{% include 'x' %}").extends.as_deref(), Some("base"));
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
        for body in ["{", "{%", "{{ 'a", "{% include \"a", "{% raw %}", "{#", "{% include 'é\\", "{% block"]
        {
            scan(body);
        }
    }
}
