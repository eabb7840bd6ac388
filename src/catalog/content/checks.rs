//! Checks of what a pack has as a whole: names, templates, params. They are those of a write over the API.

use std::collections::{BTreeMap, BTreeSet};

use super::files::PlacedObject;
use crate::model::{DeclaredSchema, Object, Param, Problem, ProblemKind, RefusalCode};
use crate::pack_files::{FileFault, PackFile, with_lines};
use crate::render::{TemplateSource, check_all};

/// Every fault of the objects, with the path of its file and the line. A template may include or extend one
/// that another pack has.
pub(super) fn faults(objects: &[PlacedObject], files: &[PackFile]) -> Vec<FileFault> {
    let mut faults = repeated(objects);
    faults.extend(template_faults(objects));
    faults.extend(objects.iter().flat_map(param_faults));
    let mut by_file: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for (path, problem) in faults {
        by_file.entry(path).or_default().push(problem);
    }
    let placed = by_file.into_iter().flat_map(|(path, problems)| {
        let text = files.iter().find(|file| file.path == path && path.ends_with(".yaml"));
        let problems = match text {
            Some(file) => with_lines(&String::from_utf8_lossy(&file.body), problems),
            None => problems,
        };
        problems.into_iter().map(move |problem| (path.clone(), problem))
    });
    placed.collect()
}

/// Objects of a kind with one name.
fn repeated(objects: &[PlacedObject]) -> Vec<FileFault> {
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    let again =
        objects.iter().filter(|placed| !seen.insert((placed.object.kind().as_str(), placed.object.key())));
    let told = again.map(|placed| {
        let what = format!("the pack has {} `{}` twice", placed.object.kind(), placed.object.key());
        let problem = Problem::new(placed.pointer.clone(), what).coded(RefusalCode::Duplicate);
        (placed.path.clone(), problem)
    });
    told.collect()
}

fn template_faults(objects: &[PlacedObject]) -> Vec<FileFault> {
    let templates = objects.iter().filter_map(|placed| match &placed.object {
        Object::Template(row) => Some((row, &placed.path)),
        _ => None,
    });
    let paths: BTreeMap<&str, &String> =
        templates.clone().map(|(row, path)| (row.key.as_str(), path)).collect();
    let broken = check_all(templates.map(|(row, _)| TemplateSource {
        name: row.spec.name.clone(),
        body: row.spec.body.clone(),
        verbatim: row.spec.verbatim,
    }));
    let told = broken.into_iter().filter(|(_, fault)| fault.kind != ProblemKind::Include);
    told.filter_map(|(name, fault)| {
        let path = (*paths.get(name.as_str())?).clone();
        Some((path, Problem { template: None, ..Problem::from(&fault) }))
    })
    .collect()
}

fn param_faults(placed: &PlacedObject) -> Vec<FileFault> {
    let Object::Param(row) = &placed.object else { return Vec::new() };
    let faults = faults_of_param(&row.spec);
    faults.into_iter().map(|problem| (placed.path.clone(), problem.below(&placed.pointer))).collect()
}

fn faults_of_param(param: &Param) -> Vec<Problem> {
    let schema = DeclaredSchema::of(&param.schema);
    if let Some(fault) = schema.fault() {
        let what = format!("not a usable JSON Schema: {}", fault.message);
        return vec![Problem::new(format!("/schema{}", fault.pointer), what).coded(RefusalCode::BadSchema)];
    }
    match &param.default {
        Some(_) if param.secret => {
            let what = "a secret param cannot have a default, which everybody could read";
            vec![Problem::new("/default", what).coded(RefusalCode::Exclusive)]
        }
        Some(default) => schema.validate(default, "/default").unwrap_or_else(|fault| vec![fault]),
        None => Vec::new(),
    }
}
