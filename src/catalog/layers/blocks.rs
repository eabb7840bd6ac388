//! Puts other texts in the places of blocks of a template, in its text.
//!
//! What stands between the tags of the block becomes `{# override NAME #}`, the text, and `{# end of override
//! #}`: whoever reads the body sees whose a line is. The text is put in as it is: a dash in the opening tag,
//! which would take the white space at its beginning away, goes.

use crate::render::{TemplateBlock, blocks, with_super};

/// What the text of an override stands between, in the body of a template.
const MARK: &str = "{# override ";
const MARK_END: &str = " #}";
const END: &str = "{# end of override #}";

/// The names of the blocks of a template.
pub fn block_names(body: &str) -> Vec<String> {
    blocks(body).into_iter().map(|block| block.name).collect()
}

/// A text for a block, and the override that it is of.
#[derive(Clone, Copy, Debug)]
pub struct BlockText<'a> {
    pub block: &'a str,
    pub of: &'a str,
    pub text: &'a str,
}

/// The body with another text in the place of a block; none if it has no such block.
pub fn replaced(body: &str, with: BlockText<'_>) -> Option<String> {
    let BlockText { block, of, text } = with;
    let TemplateBlock { start, end, .. } = blocks(body).into_iter().find(|found| found.name == block)?;
    let (before, mut own, after) = (body.get(..start)?, body.get(start..end)?, body.get(end..)?);
    let (before, tag_end) = match before.strip_suffix("-%}") {
        Some(before) => (before, "%}"),
        None => (before, ""),
    };
    if !tag_end.is_empty() {
        own = own.trim_start();
    }
    if after.starts_with("{%-") {
        own = own.trim_end();
    }
    let text = with_super((text, own));
    Some([before, tag_end, MARK, of, MARK_END, &text, END, after].concat())
}

/// The block of an override whose text has a line of the body, and the line in it; both count from 1. Of
/// blocks inside of others it is the innermost. It needs no template that is whole.
pub fn place_in_blocks(body: &str, line: u32) -> Option<(String, u32)> {
    let line = u64::from(line);
    let mut marks = body.rmatch_indices(MARK).map(|(at, _)| at);
    let at = marks.find(|at| {
        let end = body.get(*at..).and_then(|rest| rest.find(END)).map_or(body.len(), |end| at + end);
        (line_at(body, *at)..=line_at(body, end)).contains(&line)
    })?;
    let tag = body.get(..at)?.rsplit_once("{%")?.1;
    let name = tag.trim_start_matches('-').trim_start().strip_prefix("block")?.trim_start();
    let name = name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
    let inside = line.saturating_sub(line_at(body, at)) + 1;
    Some((name.to_owned(), u32::try_from(inside).unwrap_or(u32::MAX)))
}

fn line_at(body: &str, at: usize) -> u64 {
    body.get(..at).unwrap_or_default().matches('\n').count() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_block_is_put_in_as_it_is_whatever_dashes_its_tags_have() {
        let body = "{% block x -%}\n own\n{% endblock -%}\nend";
        let with = |text: &'static str| BlockText { block: "x", of: "o", text };
        let made = replaced(body, with("  two\n{{ super() }}")).unwrap();
        let want = "{% block x %}{# override o #}  two\nown\n{# end of override #}{% endblock -%}\nend";
        assert_eq!(made, want);
        let made = replaced("{% block x %}a {%- endblock %}", with("{{ super() }}b ")).unwrap();
        assert_eq!(made, "{% block x %}{# override o #}ab {# end of override #}{%- endblock %}");
        assert_eq!(replaced(body, BlockText { block: "y", of: "o", text: "" }), None);
    }

    #[test]
    fn a_line_of_the_body_is_found_in_the_innermost_block_also_of_a_broken_template() {
        let inner =
            replaced("{% block y %}{% endblock %}", BlockText { block: "y", of: "o", text: "\n{{ d" });
        let text = format!("b\nc{}\n", inner.unwrap());
        let body =
            replaced("a\n{%- block x %}{% endblock %}\nf", BlockText { block: "x", of: "o", text: &text });
        let body = body.unwrap();
        assert_eq!(place_in_blocks(&body, 1), None);
        assert_eq!(place_in_blocks(&body, 2), Some(("x".to_owned(), 1)));
        assert_eq!(place_in_blocks(&body, 4), Some(("y".to_owned(), 2)));
        assert_eq!(place_in_blocks(&body, 6), None);
    }
}
