//! From a site's copy of an object to an override: what the copy has that the object of the pack has not.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::bounds::escape;
use crate::model::{Object, OverrideKind, Problem, RefusalCode, Template};
use crate::render::{TemplateBlock, blocks};

/// What an override has to set so that the object of the pack is what the copy is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CopyDifference {
    pub fields: BTreeMap<String, Value>,
    pub blocks: BTreeMap<String, String>,
    /// The parts of the copy that no override can have, by pointers into the copy.
    pub left: Vec<Problem>,
}

/// Compares a copy with the object of a pack that it was made of. Both are of the same kind.
pub fn adopt((original, copy): (&Object, &Object)) -> CopyDifference {
    let mut made = CopyDifference::default();
    let Some(kind) = OverrideKind::of(original.kind()) else {
        let what = format!("a {} cannot be overridden in part", original.kind());
        return CopyDifference { left: vec![Problem::new("", what).coded(RefusalCode::NotAdmitted)], ..made };
    };
    let (before, after) = (spec(original), spec(copy));
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    for name in names.filter(|name| *name != "name" && before.get(*name) != after.get(*name)) {
        if kind == OverrideKind::Template && name == "body" {
            continue;
        }
        match patch_of(before.get(name), after.get(name)).filter(|_| kind.allows_field(name)) {
            Some(patch) => drop(made.fields.insert(name.clone(), patch)),
            None => made.left.push(left(&format!("/{}", escape(name)), kind.fields_in_words())),
        }
    }
    if original.labels() != copy.labels() {
        made.left.push(left("/labels", "labels are those of the pack"));
    }
    if let (Some(original), Some(copy)) = (original.of::<Template>(), copy.of::<Template>()) {
        adopt_body(&original.spec.body, &copy.spec.body, &mut made);
    }
    made
}

fn left(pointer: &str, why: &str) -> Problem {
    Problem::new(pointer, why).coded(RefusalCode::NotAdmitted)
}

fn spec(object: &Object) -> Map<String, Value> {
    let document = object.encode().ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    match document.and_then(|mut document| document.get_mut("spec").map(Value::take)) {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The merge patch from one value to another; none if there is none.
fn patch_of(before: Option<&Value>, after: Option<&Value>) -> Option<Value> {
    let patch = match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => difference(before, after),
        (_, after) => after.cloned().unwrap_or_default(),
    };
    let mut made = before.cloned().unwrap_or_default();
    json_patch::merge(&mut made, &patch);
    (made == after.cloned().unwrap_or_default()).then_some(patch)
}

/// Depth is bounded by that of objects.
fn difference(before: &Map<String, Value>, after: &Map<String, Value>) -> Value {
    let mut patch = Map::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(value)) {
        let inner = match (before.get(name), value) {
            (Some(Value::Object(before)), Value::Object(after)) => difference(before, after),
            _ => value.clone(),
        };
        patch.insert(name.clone(), inner);
    }
    Value::Object(patch)
}

/// A piece of a template: text that stays, or what is in the places of blocks that follow each other.
enum BodyPiece<'a> {
    Fixed(&'a str),
    /// Names and own texts.
    Places(Vec<(&'a str, &'a str)>),
}

/// Finds what a copy has in the places of the blocks. The copy may have the tags, or be older than they are.
fn adopt_body(original: &str, copy: &str, made: &mut CopyDifference) {
    if original == copy {
        return;
    }
    let names: Vec<TemplateBlock> = outer_blocks(original);
    let pieces = pieces(original, &names);
    let bare = without_tags(copy);
    match aligned(&pieces, &bare) {
        Some(texts) => made.blocks.extend(texts),
        None => {
            let what = "the text differs outside of the blocks of the original: keep the copy, or bring the \
                        difference into a block";
            made.left.push(left("/body", what));
        }
    }
}

/// The blocks that are in no other one.
fn outer_blocks(body: &str) -> Vec<TemplateBlock> {
    let mut outer: Vec<TemplateBlock> = Vec::new();
    for block in blocks(body) {
        if outer.last().is_none_or(|last| block.open >= last.close) {
            outer.push(block);
        }
    }
    outer
}

/// A template as its outer blocks cut it, without the white space that dashes in their tags take away.
fn pieces<'a>(body: &'a str, outer: &'a [TemplateBlock]) -> Vec<BodyPiece<'a>> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    for block in outer {
        let (before, own) = (between(body, at, block.open), between(body, block.start, block.end));
        match pieces.last_mut() {
            Some(BodyPiece::Places(places)) if before.is_empty() => places.push((block.name.as_str(), own)),
            _ => {
                pieces.push(BodyPiece::Fixed(before));
                pieces.push(BodyPiece::Places(vec![(&block.name, own)]));
            }
        }
        at = block.close;
    }
    pieces.push(BodyPiece::Fixed(between(body, at, body.len())));
    pieces
}

/// The text between two tags, as it is rendered.
fn between(body: &str, start: usize, end: usize) -> &str {
    let mut text = body.get(start..end).unwrap_or_default();
    if body.get(..start).is_some_and(|before| before.ends_with("-%}")) {
        text = text.trim_start();
    }
    if body.get(end..).is_some_and(|after| after.starts_with("{%-")) {
        text = text.trim_end();
    }
    text
}

/// The text without the tags of its outer blocks.
fn without_tags(body: &str) -> String {
    let outer = outer_blocks(body);
    let texts = pieces(body, &outer).into_iter().map(|piece| match piece {
        BodyPiece::Fixed(text) => text.to_owned(),
        BodyPiece::Places(places) => places.into_iter().map(|(_, own)| own).collect(),
    });
    texts.collect()
}

/// The texts of blocks that differ, where all that stays is in the copy in its order.
fn aligned(pieces: &[BodyPiece<'_>], copy: &str) -> Option<BTreeMap<String, String>> {
    let (mut texts, mut rest) = (BTreeMap::new(), copy);
    let mut open: Option<&[(&str, &str)]> = None;
    for (number, piece) in pieces.iter().enumerate() {
        match piece {
            BodyPiece::Places(places) => open = Some(places),
            BodyPiece::Fixed(fixed) => {
                let is_last = number + 1 == pieces.len();
                let at = match (open, is_last) {
                    (None, _) => rest.starts_with(fixed).then_some(0)?,
                    (Some(_), true) => {
                        rest.len().checked_sub(fixed.len()).filter(|_| rest.ends_with(fixed))?
                    }
                    (Some(_), false) => rest.find(fixed)?,
                };
                let (found, after) = rest.split_at_checked(at)?;
                texts.extend(open.take().into_iter().flat_map(|places| texts_of(places, found)));
                rest = after.get(fixed.len()..)?;
            }
        }
    }
    rest.is_empty().then_some(texts)
}

/// Which block has what of a text in the places of several that follow each other: what is before the own
/// text of the longest is of the block before it, what is after of the one behind it.
fn texts_of(places: &[(&str, &str)], found: &str) -> Vec<(String, String)> {
    let own: String = places.iter().map(|(_, own)| *own).collect();
    if own == found {
        return Vec::new();
    }
    let longest = places.iter().enumerate().max_by_key(|(_, (_, own))| own.len());
    let Some((middle, (name, text))) = longest else { return Vec::new() };
    let others: usize = places.iter().map(|(_, own)| own.len()).sum::<usize>() - text.len();
    let split = found.split_once(text).filter(|_| !text.is_empty() && others == 0);
    let Some((before, after)) = split else {
        // The whole is of the longest one, and the others are empty.
        let others = places.iter().enumerate().filter(|(at, (_, own))| *at != middle && !own.is_empty());
        let emptied = others.map(|(_, (name, _))| ((*name).to_owned(), String::new()));
        return emptied.chain([((*name).to_owned(), found.to_owned())]).collect();
    };
    let mut texts = Vec::new();
    let sides = [(middle.checked_sub(1), before), (Some(middle + 1), after)];
    let mut kept = text.to_string();
    for (at, added) in sides.into_iter().filter(|(_, added)| !added.is_empty()) {
        match at.and_then(|at| places.get(at)) {
            Some((neighbour, _)) => texts.push(((*neighbour).to_owned(), added.to_owned())),
            None if at.is_none() => kept.insert_str(0, added),
            None => kept.push_str(added),
        }
    }
    if kept != *text {
        texts.push(((*name).to_owned(), kept));
    }
    texts
}
