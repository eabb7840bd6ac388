//! The blocks of templates: where they are, and how deep they nest, with those of the templates that a
//! template extends.
//!
//! The engine recurses for each block inside of another. A block that a template replaces may hold one that
//! stands around it in the template below: such blocks would never end. The engine refuses neither.

use std::collections::{BTreeMap, BTreeSet};

use crate::render::compile::{
    BLOCK_DEPTH_MAX, COMPONENT_DEPTH_MAX, INCLUDE_DEPTH_MAX, SourceText, SourceTexts,
};
use crate::render::include_calls::computed_problem;
use crate::render::problem::{ProblemKind, RenderProblem};
use crate::render::references::{TemplateReferences, tag_word};

/// Deepest nesting that is told from an endless one.
const NESTING_MAX: usize = 2 * INCLUDE_DEPTH_MAX;
/// Most blocks that a message names.
const BLOCKS_SHOWN_MAX: usize = 16;

/// A block of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockReference {
    pub name: String,
    /// The block that it stands in.
    pub inside: Option<String>,
    /// Line and column of its tag, 1-based.
    pub place: (u32, u32),
}

/// The tags of the blocks of a template, which are looked at in their order.
pub(super) struct BlockTags<'a> {
    body: &'a str,
    /// The blocks that have begun and not ended.
    open: Vec<String>,
    /// The byte that was looked at last, and its line and column.
    at: usize,
    place: (u32, u32),
}

impl<'a> BlockTags<'a> {
    pub fn new(body: &'a str) -> Self {
        BlockTags { body, open: Vec::new(), at: 0, place: (1, 1) }
    }

    /// The block that begins with the tag at a byte, which stands after those before.
    pub fn see(&mut self, at: usize) -> Option<BlockReference> {
        match tag_word(self.body, at) {
            "block" => {
                self.go_to(at);
                let (name, inside) = (self.name(at), self.open.last().cloned());
                self.open.push(name.clone());
                Some(BlockReference { name, inside, place: self.place })
            }
            "endblock" => {
                self.open.pop();
                None
            }
            _ => None,
        }
    }

    /// Counts lines and columns from the last place on, so that all tags of a text take one pass.
    fn go_to(&mut self, at: usize) {
        for c in self.body.get(self.at..at).unwrap_or_default().chars() {
            let (line, column) = self.place;
            self.place = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        self.at = at;
    }

    /// The name in `{%- block NAME -%}`.
    fn name(&self, at: usize) -> String {
        let tag = self.body.get(at + 2..).unwrap_or_default();
        let tag = tag.strip_prefix('-').unwrap_or(tag).trim_start();
        let name = tag.strip_prefix("block").unwrap_or_default().trim_start();
        name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    }
}

/// How deep the blocks of a template nest: 0 without any, 1 where none stands inside of another.
///
/// # Errors
/// Blocks stand inside of one another, or nest deeper than [`NESTING_MAX`].
pub(super) fn nesting(name: &str, sources: &SourceTexts) -> Result<usize, RenderProblem> {
    let mut within: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in lineage(name, sources) {
        for block in &source.references.blocks {
            let around = within.entry(&block.name).or_default();
            around.extend(block.inside.as_deref());
        }
    }
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    // After so many rounds the blocks that nest so deep are known.
    for _ in 0..NESTING_MAX {
        let known = depths.len();
        for (block, around) in &within {
            let around = around.iter().map(|outer| depths.get(outer).copied());
            if let Some(deepest) = around.collect::<Option<Vec<usize>>>() {
                depths.entry(*block).or_insert(1 + deepest.into_iter().max().unwrap_or(0));
            }
        }
        if depths.len() == known {
            break;
        }
    }
    if depths.len() == within.len() {
        return Ok(depths.into_values().max().unwrap_or(0));
    }
    Err(circle(name, sources, within.keys().filter(|block| !depths.contains_key(*block)).copied().collect()))
}

/// The template and those that it extends, as far as they exist. A circle of them is found elsewhere.
fn lineage<'a>(name: &str, sources: &'a SourceTexts) -> Vec<&'a SourceText> {
    let next = |source: &&'a SourceText| sources.get(source.references.extends.as_ref()?);
    std::iter::successors(sources.get(name), next).take(INCLUDE_DEPTH_MAX).collect()
}

fn circle(name: &str, sources: &SourceTexts, blocks: Vec<&str>) -> RenderProblem {
    let named: Vec<String> = blocks.iter().take(BLOCKS_SHOWN_MAX).map(|block| format!("`{block}`")).collect();
    let message = format!(
        "the blocks {} stand inside of one another, here and in what this template extends, more than \
         {NESTING_MAX} deep or without end",
        named.join(", ")
    );
    let problem = RenderProblem::new(ProblemKind::Template, name, message);
    let own = sources.get(name).map(|source| source.references.blocks.iter());
    let own = own.and_then(|mut own| own.find(|block| blocks.contains(&block.name.as_str())));
    match own {
        Some(block) => problem.at(block.place),
        None => problem,
    }
}

/// The problem of a template that includes one which extends another: the engine would print the blocks of
/// that alone.
pub(super) fn include_problem(
    name: &str,
    source: &SourceText,
    sources: &SourceTexts,
) -> Option<RenderProblem> {
    let TemplateReferences { templates, extends, .. } = &source.references;
    let mut included = templates.iter().filter(|reference| Some(&reference.name) != extends.as_ref());
    let (reference, base) = included.find_map(|reference| {
        Some((reference, sources.get(&reference.name)?.references.extends.as_ref()?))
    })?;
    let target = &reference.name;
    let (folder, file) = target.rsplit_once('/').unwrap_or(("FOLDER", target));
    let message = format!(
        "`{target}` extends `{base}`, and `include` would give its blocks alone: write \
         `{{{{ include_from(folder=\"{folder}\", name=\"{file}\") }}}}`"
    );
    Some(RenderProblem::new(ProblemKind::Template, name, message).at(reference.place))
}

/// The problem of a text without a name that has blocks or extends a template.
fn unnamed_problem(name: &str, found: &TemplateReferences) -> Option<RenderProblem> {
    let extends = found.extends.as_ref().and_then(|_| found.templates.first());
    let place = found.blocks.first().map(|block| block.place).or(extends.map(|tag| tag.place))?;
    let message = "only a template with a name has blocks and extends another: store this text as a template";
    Some(RenderProblem::new(ProblemKind::Template, name, message).at(place))
}

/// The problem of a text without a name that only a template may have, or that none may have.
pub(super) fn inline_problem(name: &str, references: &TemplateReferences) -> Option<RenderProblem> {
    computed_problem(name, references).or_else(|| unnamed_problem(name, references))
}

/// How deep a template goes: itself and what it can include, without and with the blocks.
#[derive(Clone, Copy, Default)]
pub(super) struct TemplateDepth {
    templates: usize,
    with_blocks: usize,
}

impl TemplateDepth {
    pub fn max_of(self, other: &TemplateDepth) -> Self {
        TemplateDepth {
            templates: self.templates.max(other.templates),
            with_blocks: self.with_blocks.max(other.with_blocks),
        }
    }

    /// The depth of a template whose blocks nest so deep, above templates of this depth.
    pub fn with(self, blocks: usize) -> Self {
        TemplateDepth { templates: self.templates + 1, with_blocks: self.with_blocks + 1 + blocks }
    }
}

/// The problem of a template that goes deeper than it may.
pub(super) fn too_deep(name: &str, depth: TemplateDepth, sources: &SourceTexts) -> Option<RenderProblem> {
    let defines = sources.get(name).is_some_and(|source| !source.references.defines.is_empty());
    let (what, [most, most_with_blocks]) = match defines {
        true => ("a template that defines components", [COMPONENT_DEPTH_MAX; 2]),
        false => ("a template", [INCLUDE_DEPTH_MAX, BLOCK_DEPTH_MAX]),
    };
    let TemplateDepth { templates, with_blocks } = depth;
    let message = if templates > most {
        format!("includes nest {templates} templates deep: {what} may have {most}")
    } else if with_blocks > most_with_blocks {
        format!("includes and blocks nest {with_blocks} deep: {what} may have {most_with_blocks}")
    } else {
        return None;
    };
    Some(RenderProblem::new(ProblemKind::Template, name, message))
}
