//! Blocks of templates: those that fill nothing, and empty ones that nobody fills.

use std::collections::{BTreeMap, BTreeSet};

use super::{LintFinding, LintRule, LintSeverity, LintedText, pattern};
use crate::model::nearest;

const UNKNOWN: LintRule = LintRule {
    name: "unknown-block",
    severity: LintSeverity::Error,
    remedy: "use the name of a block of the template that this one extends: other blocks are left out",
};
const UNFILLED: LintRule = LintRule {
    name: "unfilled-block",
    severity: LintSeverity::Note,
    remedy: "fill it in a template that extends this one, or delete it",
};
/// Most templates of which one extends the next.
const CHAIN_MAX: usize = 64;

/// The blocks of one template.
#[derive(Default)]
struct TemplateBlocks {
    /// Each block with its line, and whether nothing stands in it.
    blocks: BTreeMap<String, (usize, bool)>,
    extends: Option<String>,
}

pub(super) fn findings(own: &[LintedText], base: &[LintedText]) -> Vec<LintFinding> {
    let mut known: BTreeMap<&str, TemplateBlocks> = BTreeMap::new();
    for text in base.iter().chain(own) {
        known.extend(text.template().map(|name| (name, blocks_of(&text.text))));
    }
    let filled: BTreeSet<&str> = known
        .values()
        .filter(|template| template.extends.is_some())
        .flat_map(|template| template.blocks.keys().map(String::as_str))
        .collect();
    let mut found = Vec::new();
    for text in own {
        let Some(template) = text.template().and_then(|name| known.get(name)) else { continue };
        match &template.extends {
            Some(extended) => found.extend(unknown_blocks(text, (template, extended), &known)),
            None => {
                let empty = template.blocks.iter().filter(|(name, (_, is_empty))| {
                    *is_empty && !is_hook(name) && !filled.contains(name.as_str())
                });
                found.extend(empty.map(|(name, (line, _))| {
                    let what = format!("nobody fills the block `{name}`");
                    LintFinding::of(&UNFILLED, (&text.path, Some(*line)), what)
                }));
            }
        }
    }
    found
}

/// A block that is there for sites to fill.
fn is_hook(name: &str) -> bool {
    name.starts_with("before_") || name.starts_with("after_")
}

fn unknown_blocks(
    text: &LintedText,
    (template, extended): (&TemplateBlocks, &str),
    known: &BTreeMap<&str, TemplateBlocks>,
) -> Vec<LintFinding> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut next = Some(extended);
    for _ in 0..CHAIN_MAX {
        // A template that is not among these packs may have any block.
        let Some(name) = next else { break };
        let Some(base) = known.get(name) else { return Vec::new() };
        names.extend(base.blocks.keys().map(String::as_str));
        next = base.extends.as_deref();
    }
    let unknown = template.blocks.iter().filter(|(name, _)| !names.contains(name.as_str()));
    unknown
        .map(|(name, (line, _))| {
            let near = nearest(name, names.iter().copied());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let what = format!("the template `{extended}` has no block `{name}`{near}");
            LintFinding::of(&UNKNOWN, (&text.path, Some(*line)), what)
        })
        .collect()
}

fn blocks_of(text: &str) -> TemplateBlocks {
    let mut found = TemplateBlocks::default();
    let (Some(tag), Some(extends)) = (
        pattern(r"\{%-?\s*block\s+([A-Za-z0-9_]+)\s*-?%\}(\s*\{%-?\s*endblock)?"),
        pattern(r#"\{%-?\s*extends\s+["']([^"']+)["']"#),
    ) else {
        return found;
    };
    found.extends = extends.captures(text).and_then(|tag| Some(tag.get(1)?.as_str().to_owned()));
    for block in tag.captures_iter(text) {
        let (Some(whole), Some(name)) = (block.get(0), block.get(1)) else { continue };
        let line = text.get(..whole.start()).unwrap_or_default().matches('\n').count() + 1;
        found.blocks.insert(name.as_str().to_owned(), (line, block.get(2).is_some()));
    }
    found
}
