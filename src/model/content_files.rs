//! The files of bootenvs and tasks: each names a stored template or has a text of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::check_file_path;
use super::{Kind, ObjectReference, Problem, RefusalCode};

/// A stored text, as renders get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateText<'a> {
    pub body: &'a str,
    /// It is no template.
    pub verbatim: bool,
}

/// A file or script of a task. Either `template` names a stored template, or `inline` is the body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskTemplate {
    pub name: String,
    /// Where to write the file: absolute, or relative to the job's directory; a template. Absent for a
    /// script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// `inline` is no template, and is the file as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verbatim: bool,
}

/// A file rendered for the machine. Either `template` names a stored template, or `inline` is the body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BootTemplate {
    pub name: String,
    /// The path at which the machine fetches the file, below its capability: `preseed.cfg`. It may be a
    /// template: `hosts/{{ machine.short_name }}.cfg`.
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// `inline` is no template, and is the file as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verbatim: bool,
}

/// Whether a path contains what only a template has.
pub fn is_path_template(path: &str) -> bool {
    path.contains("{{") || path.contains("{%")
}

/// What is wrong with the body of a file.
pub(super) fn one_body(
    (template, inline): (&Option<String>, &Option<String>),
    (verbatim, pointer): (bool, &str),
) -> Vec<Problem> {
    match (template, inline) {
        (Some(_), None) if verbatim => {
            let what = "it is for an `inline` text: a stored template has a `verbatim` of its own";
            let at = format!("{pointer}/verbatim");
            vec![Problem::new(&at, what).coded(RefusalCode::Exclusive)]
        }
        (Some(_), None) | (None, Some(_)) => Vec::new(),
        (given, _) => {
            let both = given.is_some();
            let what = match both {
                true => "give `template` or `inline`, not both",
                false => "give `template` (the name of one) or `inline` (the text itself)",
            };
            let code = if both { RefusalCode::Exclusive } else { RefusalCode::Missing };
            vec![Problem::new(pointer, what).coded(code)]
        }
    }
}

/// Longest template of a path, in bytes.
const PATH_TEMPLATE_BYTES_MAX: usize = 1024;

/// What is wrong with a path. That of a template is checked when it was rendered.
pub(super) fn path_problems(path: &str, pointer: &str) -> Vec<Problem> {
    if !is_path_template(path) {
        return check_file_path(path, pointer);
    }
    if path.len() <= PATH_TEMPLATE_BYTES_MAX {
        return Vec::new();
    }
    let what = format!("a path's template has at most {PATH_TEMPLATE_BYTES_MAX} bytes");
    vec![Problem::new(pointer, what).coded(RefusalCode::TooLarge)]
}

/// The templates that files name.
pub(super) fn template_references<'a>(
    names: impl Iterator<Item = &'a Option<String>>,
) -> impl Iterator<Item = ObjectReference> {
    names.enumerate().filter_map(|(i, name)| {
        let name = name.as_ref()?;
        Some(ObjectReference::new(Kind::Template, name, format!("/templates/{i}/template")))
    })
}
