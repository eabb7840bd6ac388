//! Marks a template for a render that is traced: before each text and each expression stands a call of
//! [`MARK`], which gives nothing and notes where the render is. What is written next comes from there. The
//! marks take over the white space control of the tags beside them, so the document stays byte for byte the
//! same. Lines keep their numbers. `line_trace` is what the calls do.
//!
//! This follows the engine's lexer (`parsing/lexer.rs` of tera), as `references` does.

use std::sync::Arc;

use crate::render::references::{TemplateToken, is_name, next_token, tag_word};

/// The function that the marks call.
pub(super) const MARK: &str = "trace_mark";
/// Most marks of one set of templates.
const POINTS_MAX: usize = 200_000;
/// The comments around what an override put into a template.
const OVERRIDE: &str = "override ";
const END_OF_OVERRIDE: &str = "end of override";
/// Words of expressions that name nothing.
const KEYWORDS: [&str; 14] =
    ["and", "or", "not", "in", "is", "if", "else", "for", "true", "false", "True", "False", "none", "None"];

/// A place of a template that a mark stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TracePoint {
    pub template: Arc<str>,
    /// 1-based; of a text, the line of the first character that is written.
    pub line: u32,
    pub block: Option<Arc<str>>,
    pub override_name: Option<Arc<str>>,
    pub what: PointKind,
}

/// What follows a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PointKind {
    /// Text of the template itself, so many bytes after its white space is trimmed.
    Text(usize),
    /// An expression that uses these names, which is written.
    Value(Vec<String>),
    /// `set` and `for`: names that get their values from others.
    Assign {
        targets: Vec<String>,
        names: Vec<String>,
    },
    /// What is written from here on is gathered: into a variable, or for what is written at the end.
    Hold {
        target: Option<String>,
        names: Vec<String>,
    },
    /// The end of that.
    Release,
    Other,
}

/// The body with marks. Their points are added to those that are there; a mark has the number of its point
/// among them, counted from `first`. None if the text cannot be read, or there are too many.
pub(super) fn marked(
    (name, body): (&str, &str),
    (first, points): (usize, &mut Vec<TracePoint>),
) -> Option<String> {
    let mut marker = TemplateMarker {
        template: Arc::from(name),
        body,
        at: 0,
        line: 1,
        marked: String::with_capacity(body.len() * 2),
        first,
        points,
        trims: false,
        is_child: extends(body),
        blocks: Vec::new(),
        override_name: None,
    };
    // Each turn moves on, so the length of the body is the bound.
    while marker.at < body.len() {
        marker.step()?;
        if marker.points.len() > POINTS_MAX {
            return None;
        }
    }
    Some(marker.marked)
}

/// Whether the first tag is `extends`, which nothing may stand before.
fn extends(body: &str) -> bool {
    let mut rest = body.trim_start();
    while let Some(comment) = rest.strip_prefix("{#") {
        let Some((_, after)) = comment.split_once("#}") else { return false };
        rest = after.trim_start();
    }
    rest.starts_with("{%") && tag_word(rest, 0) == "extends"
}

/// The opening and closing dash of a mark.
#[derive(Clone, Copy)]
struct MarkDashes {
    opens: bool,
    closes: bool,
}

/// A place that marks are added to, and how far it is read.
struct TemplateMarker<'a, 'p> {
    template: Arc<str>,
    body: &'a str,
    at: usize,
    line: u32,
    marked: String,
    first: usize,
    points: &'p mut Vec<TracePoint>,
    /// Whether the last tag ended with a dash: the text that follows loses its leading white space.
    trims: bool,
    /// It extends another template: outside its blocks it writes nothing.
    is_child: bool,
    /// The blocks and components that are open.
    blocks: Vec<OpenBody>,
    override_name: Option<Arc<str>>,
}

/// A block or a component that is open.
enum OpenBody {
    Block(Arc<str>),
    /// Its variables are its own.
    Component,
}

/// A tag or expression that was read.
struct ReadTag<'a> {
    /// Its end in the body.
    end: usize,
    ends_with_dash: bool,
    tokens: Vec<(TemplateToken<'a>, usize)>,
}

impl<'a> TemplateMarker<'a, '_> {
    fn rest(&self) -> &'a str {
        self.body.get(self.at..).unwrap_or_default()
    }

    fn step(&mut self) -> Option<()> {
        match self.rest().get(..2) {
            Some("{#") => self.comment(),
            Some("{%") => match raw_block(self.rest()) {
                Some(raw) => self.raw(&raw),
                None => self.statement(),
            },
            Some("{{") => self.expression(),
            _ => self.text(),
        }
    }

    /// Takes over the body up to `end`.
    fn copy_to(&mut self, end: usize) -> Option<()> {
        let part = self.body.get(self.at..end).filter(|part| !part.is_empty())?;
        self.marked.push_str(part);
        self.line += count_lines(part);
        self.at = end;
        Some(())
    }

    fn is_dashed(&self, at: usize) -> bool {
        self.body.as_bytes().get(at + 2) == Some(&b'-')
    }

    fn mark(&mut self, (line, what): (u32, PointKind), dashes: MarkDashes) {
        if self.is_child && self.blocks.is_empty() {
            return;
        }
        let number = self.first + self.points.len();
        let [opens, closes] = [dashes.opens, dashes.closes].map(|dash| if dash { "-" } else { "" });
        self.marked.push_str(&format!("{{{{{opens} {MARK}(n={number}) {closes}}}}}"));
        let block = self.blocks.iter().rev().find_map(|body| match body {
            OpenBody::Block(name) => Some(Arc::clone(name)),
            OpenBody::Component => None,
        });
        let (template, override_name) = (Arc::clone(&self.template), self.override_name.clone());
        self.points.push(TracePoint { template, line, block, override_name, what });
    }

    fn text(&mut self) -> Option<()> {
        let rest = self.rest();
        let end = start_of_tag(rest).unwrap_or(rest.len());
        let mut text = rest.get(..end)?;
        if self.trims {
            text = text.trim_start();
        }
        let skipped = rest.get(..end)?.len() - text.len();
        let line = self.line + count_lines(rest.get(..skipped)?);
        if end < rest.len() && self.is_dashed(self.at + end) {
            text = text.trim_end();
        }
        if !text.is_empty() {
            let dashes = MarkDashes { opens: false, closes: self.trims };
            self.mark((line, PointKind::Text(text.len())), dashes);
        }
        self.trims = false;
        self.copy_to(self.at + end)
    }

    fn comment(&mut self) -> Option<()> {
        let begin = self.at + if self.is_dashed(self.at) { 3 } else { 2 };
        let length = self.body.get(begin..)?.find("#}")?;
        let said = self.body.get(begin..begin + length)?;
        self.trims |= said.ends_with('-');
        let said = said.trim_matches('-').trim();
        if said == END_OF_OVERRIDE {
            self.override_name = None;
        } else if let Some(name) = said.strip_prefix(OVERRIDE) {
            self.override_name = Some(Arc::from(name.trim()));
        }
        self.copy_to(begin + length + 2)
    }

    fn raw(&mut self, raw: &RawBlock) -> Option<()> {
        let rest = self.rest();
        let whole = rest.get(raw.text.clone())?;
        let starts_trimmed = raw.trims_start || self.trims;
        let mut text = if starts_trimmed { whole.trim_start() } else { whole };
        let line = self.line + count_lines(rest.get(..raw.text.end - text.len())?);
        let next = self.at + raw.end;
        let is_next_dashed = start_of_tag(self.body.get(next..)?) == Some(0) && self.is_dashed(next);
        if raw.trims_end || is_next_dashed {
            text = text.trim_end();
        }
        if !text.is_empty() {
            let dashes = MarkDashes { opens: self.is_dashed(self.at), closes: self.trims };
            self.mark((line, PointKind::Text(text.len())), dashes);
        }
        self.trims = raw.ends_with_dash;
        self.copy_to(next)
    }

    fn expression(&mut self) -> Option<()> {
        let tag = read_tag(self.body, self.at, "}}")?;
        let names = self.names_in(&tag.tokens);
        let calls_super = tag.tokens.iter().any(|(token, _)| matches!(token, TemplateToken::Word("super")));
        let dashes = MarkDashes { opens: self.is_dashed(self.at), closes: false };
        let what = match calls_super {
            true => PointKind::Hold { target: None, names },
            false => PointKind::Value(names),
        };
        self.mark((self.line, what), dashes);
        self.trims = tag.ends_with_dash;
        self.copy_to(tag.end)?;
        if calls_super {
            self.release();
        }
        Some(())
    }

    fn release(&mut self) {
        self.mark((self.line, PointKind::Release), MarkDashes { opens: false, closes: self.trims });
    }

    fn statement(&mut self) -> Option<()> {
        let tag = read_tag(self.body, self.at, "%}")?;
        let word = tag_word(self.body, self.at);
        if let Some(what) = self.point_of(word, &tag) {
            self.mark((self.line, what), MarkDashes { opens: self.is_dashed(self.at), closes: false });
        }
        self.trims = tag.ends_with_dash;
        self.copy_to(tag.end)?;
        match word {
            "block" => {
                let name = words(&tag.tokens).nth(1).unwrap_or_default();
                self.blocks.push(OpenBody::Block(Arc::from(name)));
            }
            "component" => self.blocks.push(OpenBody::Component),
            "endblock" | "endcomponent" => drop(self.blocks.pop()),
            "endset" | "endfilter" => self.release(),
            _ => {}
        }
        Some(())
    }

    /// What a tag does, for those that a mark stands before.
    fn point_of(&self, word: &str, tag: &ReadTag<'_>) -> Option<PointKind> {
        let tokens = tag.tokens.as_slice();
        match word {
            "set" | "set_global" => {
                let name = words(tokens).nth(1)?.to_owned();
                let target = self.scoped(vec![name]).pop()?;
                match tokens.iter().position(|(token, _)| *token == TemplateToken::Sign('=')) {
                    Some(2) => {
                        let names = self.names_in(tokens.get(3..)?);
                        Some(PointKind::Assign { targets: vec![target], names })
                    }
                    _ => Some(PointKind::Hold { target: Some(target), names: Vec::new() }),
                }
            }
            "for" => {
                let at = tokens.iter().position(|(token, _)| *token == TemplateToken::Word("in"))?;
                let targets = words(tokens.get(..at)?).skip(1).map(str::to_owned).collect();
                let targets = self.scoped(targets);
                Some(PointKind::Assign { targets, names: self.names_in(tokens.get(at + 1..)?) })
            }
            "filter" => Some(PointKind::Hold { target: None, names: Vec::new() }),
            "if" | "include" | "" => Some(PointKind::Other),
            _ => None,
        }
    }

    /// The names that an expression uses.
    fn names_in(&self, tokens: &[(TemplateToken<'_>, usize)]) -> Vec<String> {
        self.scoped(used_names(tokens, self.body))
    }

    /// Names as they are known here: those in a component are its own.
    fn scoped(&self, names: Vec<String>) -> Vec<String> {
        match self.blocks.iter().any(|body| matches!(body, OpenBody::Component)) {
            true => names.into_iter().map(|name| format!("<>{name}")).collect(),
            false => names,
        }
    }
}

/// The number of line ends in a text.
fn count_lines(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

fn start_of_tag(text: &str) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| matches!(pair, b"{{" | b"{%" | b"{#"))
}

/// A raw block; its numbers count from its start.
struct RawBlock {
    text: std::ops::Range<usize>,
    end: usize,
    trims_start: bool,
    trims_end: bool,
    ends_with_dash: bool,
}

/// The raw block that a text begins with.
fn raw_block(text: &str) -> Option<RawBlock> {
    let (begin, trims_start) = past_tag(text, "raw")?;
    let mut from = begin;
    loop {
        let tag = from + text.get(from..)?.find("{%")?;
        if let Some((length, ends_with_dash)) = past_tag(text.get(tag..)?, "endraw") {
            let trims_end = text.as_bytes().get(tag + 2) == Some(&b'-');
            return Some(RawBlock {
                text: begin..tag,
                end: tag + length,
                trims_start,
                trims_end,
                ends_with_dash,
            });
        }
        from = tag + 2;
    }
}

/// The length of the tag of this one word that a text begins with, and whether it ends with a dash.
fn past_tag(text: &str, word: &str) -> Option<(usize, bool)> {
    let inside = text.strip_prefix("{%")?;
    let inside = inside.strip_prefix('-').unwrap_or(inside).trim_start_matches(ASCII_SPACES);
    let after = inside.strip_prefix(word)?.trim_start_matches(ASCII_SPACES);
    let (after, dash) = after.strip_prefix('-').map_or((after, false), |after| (after, true));
    let rest = after.strip_prefix("%}")?;
    Some((text.len() - rest.len(), dash))
}

/// Reads the tag or expression that begins at `start`, up to its `close`.
fn read_tag<'a>(body: &'a str, start: usize, close: &str) -> Option<ReadTag<'a>> {
    let mut at = start + 2;
    if body.as_bytes().get(at) == Some(&b'-') {
        at += 1;
    }
    let mut tokens = Vec::new();
    loop {
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        if rest.starts_with(close) {
            return Some(ReadTag { end: at + 2, ends_with_dash: false, tokens });
        }
        if rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(close)) {
            return Some(ReadTag { end: at + 3, ends_with_dash: true, tokens });
        }
        let (token, length) = next_token(rest);
        at += length;
        if !matches!(token, TemplateToken::Sign(sign) if sign.is_whitespace()) {
            tokens.push((token, at));
        }
    }
}

fn words<'a>(tokens: &[(TemplateToken<'a>, usize)]) -> impl Iterator<Item = &'a str> {
    tokens.iter().filter_map(|(token, _)| match token {
        TemplateToken::Word(word) => Some(*word),
        _ => None,
    })
}

/// What the engine skips inside of tags.
const ASCII_SPACES: [char; 5] = [' ', '\t', '\n', '\r', '\x0c'];

fn token_before<'a>(
    (tokens, i): (&[(TemplateToken<'a>, usize)], usize),
    back: usize,
) -> Option<TemplateToken<'a>> {
    i.checked_sub(back).and_then(|at| tokens.get(at)).map(|(token, _)| *token)
}

/// The names of variables that an expression uses, with their fields: `machine.name`.
fn used_names(tokens: &[(TemplateToken<'_>, usize)], body: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_open = false;
    for (i, (token, end)) in tokens.iter().enumerate() {
        let after = body.get(*end..).unwrap_or_default().trim_start();
        let TemplateToken::Word(word) = token else {
            is_open &= matches!(token, TemplateToken::Sign('.' | '?'));
            continue;
        };
        if token_before((tokens, i), 1) == Some(TemplateToken::Sign('.')) {
            if let Some(path) = found.last_mut().filter(|_| is_open) {
                path.push('.');
                path.push_str(word);
            }
            continue;
        }
        let is_test = matches!(
            (token_before((tokens, i), 2), token_before((tokens, i), 1)),
            (_, Some(TemplateToken::Word("is")))
                | (Some(TemplateToken::Word("is")), Some(TemplateToken::Word("not")))
        );
        let is_argument = after.starts_with('=') && !after.starts_with("==");
        let is_filter = token_before((tokens, i), 1) == Some(TemplateToken::Sign('|'));
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        is_open = !(KEYWORDS.contains(word)
            || is_test
            || is_argument
            || is_filter
            || is_number
            || after.starts_with('(')
            || !word.chars().all(is_name));
        if is_open {
            found.push((*word).to_owned());
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
