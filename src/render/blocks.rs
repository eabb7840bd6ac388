//! Finds the blocks of a template in its text, for those who put other texts in their places.

use crate::render::references::{end_of_raw, find, tag_end, tag_word};

/// Most blocks that are looked at in one template.
const BLOCKS_MAX: usize = 4096;

/// A block of a template, as byte offsets in its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateBlock {
    pub name: String,
    /// Where the opening tag begins.
    pub open: usize,
    /// Where the text between the two tags begins and ends.
    pub start: usize,
    pub end: usize,
    /// Where the closing tag ends.
    pub close: usize,
}

/// The blocks of a template, also those inside of others, in the order in which they open. One that nothing
/// closes is left out: the engine refuses such a template.
pub fn blocks(body: &str) -> Vec<TemplateBlock> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(start) = find(body, at, "{").filter(|_| found.len() < BLOCKS_MAX) {
        at = match body.get(start..start + 2) {
            Some("{#") => find(body, start + 2, "#}").map_or(body.len(), |end| end + 2),
            Some("{{") => tag_end(body, start),
            Some("{%") if tag_word(body, start) == "raw" => end_of_raw(body, start),
            Some("{%") => {
                let end = tag_end(body, start);
                note_tag(body, (start, end), (&mut open, &mut found));
                end
            }
            _ => start + 1,
        };
    }
    found.sort_by_key(|block: &TemplateBlock| block.open);
    found
}

/// Opens or closes a block, if the tag between two places does.
fn note_tag(
    body: &str,
    (start, end): (usize, usize),
    (open, found): (&mut Vec<TemplateBlock>, &mut Vec<TemplateBlock>),
) {
    match tag_word(body, start) {
        "block" => {
            let name = block_name(body.get(start..end).unwrap_or_default());
            open.push(TemplateBlock { name: name.to_owned(), open: start, start: end, end, close: end });
        }
        "endblock" => {
            let closed = open.pop().map(|block| TemplateBlock { end: start, close: end, ..block });
            found.extend(closed.filter(|block| !block.name.is_empty()));
        }
        _ => {}
    }
}

/// The name in `{%- block NAME -%}`.
fn block_name(tag: &str) -> &str {
    let inside = tag.strip_prefix("{%").unwrap_or(tag).trim_start_matches('-').trim_start();
    let name = inside.strip_prefix("block").unwrap_or_default().trim_start();
    name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// The text of a block in place of the calls of `super()` in another one. A dash in the call takes away the
/// white space beside it, as everywhere in a template.
pub fn with_super((text, own): (&str, &str)) -> String {
    let mut made = String::with_capacity(text.len() + own.len());
    let (mut at, mut trims) = (0, false);
    for (start, end) in super_calls(text) {
        let before = text.get(at..start).unwrap_or_default();
        let call = text.get(start..end).unwrap_or_default();
        let before = if trims { before.trim_start() } else { before };
        made.push_str(if call.starts_with("{{-") { before.trim_end() } else { before });
        made.push_str(own);
        (at, trims) = (end, call.ends_with("-}}"));
    }
    let rest = text.get(at..).unwrap_or_default();
    made.push_str(if trims { rest.trim_start() } else { rest });
    made
}

/// Where the calls of `super()` begin and end.
fn super_calls(text: &str) -> Vec<(usize, usize)> {
    let (mut calls, mut at) = (Vec::new(), 0);
    while let Some(start) = find(text, at, "{") {
        at = match text.get(start..start + 2) {
            Some("{#") => find(text, start + 2, "#}").map_or(text.len(), |end| end + 2),
            Some("{%") if tag_word(text, start) == "raw" => end_of_raw(text, start),
            Some("{%") => tag_end(text, start),
            Some("{{") => {
                let end = tag_end(text, start);
                if is_super(text.get(start..end).unwrap_or_default()) {
                    calls.push((start, end));
                }
                end
            }
            _ => start + 1,
        };
    }
    calls
}

fn is_super(call: &str) -> bool {
    let inside = call.strip_prefix("{{").and_then(|call| call.strip_suffix("}}")).unwrap_or_default();
    let inside = inside.trim_matches('-');
    inside.split_whitespace().collect::<String>() == "super()"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(body: &str) -> Vec<(String, String)> {
        let inside = |block: TemplateBlock| (block.name, body[block.start..block.end].to_owned());
        blocks(body).into_iter().map(inside).collect()
    }

    fn pair(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn blocks_are_found_with_their_texts_also_inside_of_others() {
        let body = "a\n{% block one %}1{%- block two -%}2{% endblock two %}{% endblock %}\
                    b{%block three%}{%endblock%}";
        let one = pair("one", "1{%- block two -%}2{% endblock two %}");
        assert_eq!(named(body), [one, pair("two", "2"), pair("three", "")]);
    }

    #[test]
    fn what_only_looks_like_a_block_is_none() {
        let body = "{# {% block a %}x{% endblock %} #}{% raw %}{% block b %}{% endblock %}{% endraw %}\
                    {{ \"{% block c %}\" }}{% block d %}{{ \"{% endblock %}\" }}{% endblock d %}";
        assert_eq!(named(body), [pair("d", "{{ \"{% endblock %}\" }}")]);
        for body in ["{% block", "{% block a %}x", "{% endblock %}", "{% block %}{% endblock %}", "{"] {
            assert_eq!(named(body), [], "{body}");
        }
    }

    #[test]
    fn super_is_the_text_of_the_block_itself() {
        assert_eq!(with_super(("a {{ super() }} b", "own")), "a own b");
        assert_eq!(with_super(("a\n{{- super ( ) -}}\n b", "own")), "aownb");
        assert_eq!(with_super(("{{ x }} {{ \"super()\" }}", "own")), "{{ x }} {{ \"super()\" }}");
        assert_eq!(with_super(("{{ super(", "own")), "{{ super(");
    }
}
