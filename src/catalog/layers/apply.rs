//! What overrides make of an object.

use std::sync::Arc;

use serde_json::Value;

use super::LayerFault;
use super::blocks::{BlockText, block_names, replaced};
use crate::model::bounds::escape;
use crate::model::{
    Bootenv, DeclaredSchema, Noun, Object, Override, Param, Problem, RefusalCode, Stage, Stored,
    TEMPLATE_BYTES_MAX, Task, Template, Workflow, nearest, parse_input,
};

/// What the source of an object ends with when overrides apply to it.
const WITH_SITE: &str = " + site";

/// An object of a pack with overrides, in the order of their names. A part that does not fit is left out, and
/// is a fault; the other parts apply.
pub fn apply(base: &Object, overrides: &[Arc<Stored<Override>>]) -> (Object, Vec<LayerFault>) {
    if overrides.is_empty() {
        return (base.clone(), Vec::new());
    }
    match base {
        Object::Template(row) => template(row, overrides),
        Object::Param(row) => finished(with_fields::<Param>(row, overrides, misfits)),
        Object::Stage(row) => finished(with_fields::<Stage>(row, overrides, |_| Vec::new())),
        Object::Task(row) => finished(with_fields::<Task>(row, overrides, |_| Vec::new())),
        Object::Workflow(row) => finished(with_fields::<Workflow>(row, overrides, |_| Vec::new())),
        Object::Bootenv(row) => finished(with_fields::<Bootenv>(row, overrides, |_| Vec::new())),
        other => (other.clone(), Vec::new()),
    }
}

/// An object under way: whether something was changed, and what could not be.
struct ChangedObject<T: Noun> {
    row: Stored<T>,
    changed: bool,
    faults: Vec<LayerFault>,
}

fn finished<T: Noun>(made: ChangedObject<T>) -> (Object, Vec<LayerFault>) {
    let ChangedObject { mut row, changed, faults } = made;
    if changed {
        row.source.push_str(WITH_SITE);
    }
    (T::object(Arc::new(row)), faults)
}

fn with_fields<T: Noun>(
    base: &Stored<T>,
    overrides: &[Arc<Stored<Override>>],
    misfits: fn(&T) -> Vec<Problem>,
) -> ChangedObject<T> {
    let mut made = ChangedObject { row: base.clone(), changed: false, faults: Vec::new() };
    let mut fields = serde_json::to_value(&base.spec).unwrap_or_default();
    for row in overrides.iter().filter(|row| !row.spec.fields.is_empty()) {
        let next = merged(&fields, &row.spec);
        let read = parse_input::<T>(next.clone()).map(|input| input.spec).and_then(|spec| {
            let problems = misfits(&spec);
            if problems.is_empty() { Ok(spec) } else { Err(problems) }
        });
        match read {
            Ok(spec) => (made.row.spec, made.changed, fields) = (spec, true, next),
            Err(problems) => {
                let faults = problems.into_iter().map(|problem| problem.below("/fields"));
                made.faults.extend(faults.map(|problem| LayerFault { of: row.key.clone(), problem }));
            }
        }
    }
    made
}

fn merged(fields: &Value, with: &Override) -> Value {
    let patch = with.fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut next = fields.clone();
    json_patch::merge(&mut next, &Value::Object(patch));
    next
}

/// Why a default does not fit its param, whose schema belongs to the pack.
fn misfits(param: &Param) -> Vec<Problem> {
    let Some(default) = &param.default else { return Vec::new() };
    if param.secret {
        let what = "the param is secret, and a default would be stored in the clear: set the value in a \
                    profile";
        return vec![Problem::new("/default", what).coded(RefusalCode::Exclusive)];
    }
    let schema = DeclaredSchema::of(&param.schema);
    // A schema that is none is the fault of the pack, and told of the param.
    schema.validate(default, "/default").unwrap_or_default()
}

fn template(base: &Stored<Template>, overrides: &[Arc<Stored<Override>>]) -> (Object, Vec<LayerFault>) {
    let mut made = with_fields(base, overrides, |_| Vec::new());
    for row in overrides {
        for (block, text) in &row.spec.blocks {
            match with_block(&made.row.spec, BlockText { block, of: &row.key, text }) {
                Ok(body) => (made.row.spec.body, made.changed) = (body, true),
                Err(problem) => {
                    let problem = problem.at(format!("/blocks/{}", escape(block)));
                    made.faults.push(LayerFault { of: row.key.clone(), problem });
                }
            }
        }
    }
    finished(made)
}

fn with_block(template: &Template, with: BlockText<'_>) -> Result<String, Problem> {
    let block = with.block;
    let name = &template.name;
    if template.verbatim {
        let what = format!("template `{name}` is used as it is, and has no blocks");
        return Err(Problem::new("", what).coded(RefusalCode::NotFound));
    }
    let Some(body) = replaced(&template.body, with) else {
        let known = block_names(&template.body);
        let near = nearest(block, known.iter().map(String::as_str));
        let hint = match near {
            Some(near) => format!("; did you mean `{near}`?"),
            None if known.is_empty() => "; it has none".to_owned(),
            None => format!("; it has {}", listed(&known)),
        };
        let what = format!("template `{name}` has no block `{block}`{hint}");
        return Err(Problem::new("", what).coded(RefusalCode::NotFound));
    };
    if body.len() > TEMPLATE_BYTES_MAX {
        let what = format!("with it the template is longer than {TEMPLATE_BYTES_MAX} bytes");
        return Err(Problem::new("", what).coded(RefusalCode::TooLarge));
    }
    Ok(body)
}

/// Most blocks that a message names.
const LISTED_MAX: usize = 40;

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(LISTED_MAX);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
