//! An override: what a site changes of one object of a pack, and keeps over the pack's next versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bounds::{CONTENT_BYTES_MAX, escape};
use super::name::check_name;
use super::{Kind, NoStatus, Noun, Object, ObjectReference, Problem, RefusalCode, Stored};

/// Most blocks, and most fields at any depth, that one override sets.
pub const OVERRIDE_PARTS_MAX: usize = 64;

/// Changes parts of one object that a pack brings: fields, or blocks of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    pub name: String,
    pub target: OverrideTarget,
    /// Fields of the object: a merge patch (RFC 7396), in which null takes a field away. Of a param the
    /// `default` and the `description` can be set, of a template the `description`, of the others everything
    /// but the name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
    /// Texts by the name of the block that each takes the place of, of a template only. `{{ super() }}` in a
    /// text stands for what the block has in the pack.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blocks: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The object that an override changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideTarget {
    pub kind: OverrideKind,
    pub name: String,
}

/// The kinds of objects that can be changed in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverrideKind {
    Template,
    Param,
    Stage,
    Task,
    Workflow,
    Bootenv,
}

impl OverrideKind {
    /// The kind of the object.
    pub fn kind(self) -> Kind {
        match self {
            OverrideKind::Template => Kind::Template,
            OverrideKind::Param => Kind::Param,
            OverrideKind::Stage => Kind::Stage,
            OverrideKind::Task => Kind::Task,
            OverrideKind::Workflow => Kind::Workflow,
            OverrideKind::Bootenv => Kind::Bootenv,
        }
    }

    /// The one of a kind, if its objects can be changed in part.
    pub fn of(kind: Kind) -> Option<Self> {
        use OverrideKind::{Bootenv, Param, Stage, Task, Template, Workflow};
        [Template, Param, Stage, Task, Workflow, Bootenv].into_iter().find(|one| one.kind() == kind)
    }

    /// Whether a field of the object can be set.
    pub fn allows_field(self, field: &str) -> bool {
        match self {
            OverrideKind::Template => field == "description",
            OverrideKind::Param => matches!(field, "default" | "description"),
            _ => field != "name" && field != "labels",
        }
    }

    /// The fields that can be set, for a message.
    pub fn fields_in_words(self) -> &'static str {
        match self {
            OverrideKind::Template => "of a template an override sets blocks and the `description`",
            OverrideKind::Param => "of a param an override sets the `default` and the `description`",
            _ => "an override sets every field but the name and the labels",
        }
    }
}

/// The kinds of objects that packs bring.
pub const PACK_KINDS: [Kind; 8] = [
    Kind::Template,
    Kind::Param,
    Kind::Task,
    Kind::Bootenv,
    Kind::Profile,
    Kind::Stage,
    Kind::Workflow,
    Kind::ClientClass,
];

impl Kind {
    /// Whether packs bring objects of the kind, which those of the site can hide.
    pub fn is_of_packs(self) -> bool {
        PACK_KINDS.contains(&self)
    }
}

impl Override {
    /// Whether it is about this object.
    pub fn is_of(&self, kind: Kind, name: &str) -> bool {
        self.target.kind.kind() == kind && self.target.name == name
    }

    /// JSON pointers to everything that it sets: `/blocks/late`, `/fields/params/vlan`.
    pub fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        for (name, value) in &self.fields {
            add_leaves(value, format!("/fields/{}", escape(name)), &mut parts);
        }
        parts.extend(self.blocks.keys().map(|block| format!("/blocks/{}", escape(block))));
        parts
    }

    /// The first part that another override sets as well, or sets something above or below of.
    pub fn shared_part(&self, other: &Override) -> Option<String> {
        let theirs = other.parts();
        let mut parts = self.parts().into_iter();
        parts.find(|part| theirs.iter().any(|their| reaches(part, their) || reaches(their, part)))
    }
}

/// Whether a pointer is another one, or one to what that is in.
fn reaches(part: &str, other: &str) -> bool {
    other.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Adds the pointers to the values of a merge patch: those that replace something whole.
fn add_leaves(value: &Value, pointer: String, parts: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, inner) in fields {
                add_leaves(inner, format!("{pointer}/{}", escape(name)), parts);
            }
        }
        _ => parts.push(pointer),
    }
}

impl Noun for Override {
    const KIND: Kind = Kind::Override;
    const BYTES_MAX: usize = CONTENT_BYTES_MAX;
    const REFERS_TO: &'static [Kind] =
        &[Kind::Template, Kind::Param, Kind::Stage, Kind::Task, Kind::Workflow, Kind::Bootenv];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn references(&self) -> Vec<ObjectReference> {
        vec![ObjectReference::new(self.target.kind.kind(), &self.target.name, "/target/name")]
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        problems.extend(check_name(&self.target.name, "/target/name"));
        let kind = self.target.kind;
        if kind != OverrideKind::Template && !self.blocks.is_empty() {
            let what = format!("a {} has no blocks: set `fields`", kind.kind());
            problems.push(Problem::new("/blocks", what).coded(RefusalCode::NotAdmitted));
        }
        for field in self.fields.keys().filter(|field| !kind.allows_field(field)) {
            let at = format!("/fields/{}", escape(field));
            problems.push(Problem::new(at, kind.fields_in_words()).coded(RefusalCode::NotAdmitted));
        }
        let parts = self.parts().len();
        if parts == 0 {
            let what = "an override sets something: `fields`, or `blocks` of a template";
            problems.push(Problem::new("", what).coded(RefusalCode::Missing));
        }
        if parts > OVERRIDE_PARTS_MAX {
            let what = format!("sets {parts} fields and blocks, at most {OVERRIDE_PARTS_MAX} are admitted");
            problems.push(Problem::new("", what).coded(RefusalCode::TooLarge));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Override(stored)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::parse_input;

    fn read(body: Value) -> Result<Override, Vec<String>> {
        let faults = |faults: Vec<Problem>| faults.iter().map(ToString::to_string).collect();
        parse_input(body).map(|input| input.spec).map_err(faults)
    }

    fn stage(fields: Value) -> Override {
        read(json!({"name": "o", "target": {"kind": "stage", "name": "s"}, "fields": fields})).unwrap()
    }

    #[test]
    fn an_override_sets_what_its_kind_allows_and_something() {
        let fault = |kind: &str, rest: (&str, Value)| {
            let body = json!({"name": "o", "target": {"kind": kind, "name": "x"}, rest.0: rest.1});
            read(body).unwrap_err().join("\n")
        };
        assert!(fault("stage", ("blocks", json!({"a": "b"}))).contains("/blocks: a stage has no blocks"));
        assert!(fault("param", ("fields", json!({"secret": true}))).contains("/fields/secret: of a param"));
        assert!(fault("task", ("fields", json!({"name": "y"}))).contains("/fields/name"));
        assert!(fault("template", ("fields", json!({"body": "y"}))).contains("/fields/body"));
        assert!(fault("stage", ("fields", json!({}))).contains("sets something"));
        assert!(fault("machine", ("fields", json!({"a": 1}))).contains("/target/kind"));
    }

    #[test]
    fn two_overrides_share_a_part_where_one_sets_something_inside_of_the_other() {
        let shared = |one: Value, other: Value| stage(one).shared_part(&stage(other));
        let params = |name: &str| json!({"params": {name: 1}});
        assert_eq!(shared(params("a"), params("b")), None);
        assert_eq!(shared(params("a"), params("a")), Some("/fields/params/a".to_owned()));
        assert_eq!(shared(params("a"), params("ab")), None);
        assert_eq!(shared(params("a"), json!({"params": null})), Some("/fields/params/a".to_owned()));
        assert_eq!(shared(json!({"params": null}), params("a")), Some("/fields/params".to_owned()));
    }
}
