//! Tests of expanding content to steps.

use serde_json::json;

use super::{put, site};
use crate::model::{Stage, StepKind, Task, Template, Workflow, World};
use crate::runs::flow::expand;

fn names(workflow: &str, world: &World) -> Vec<String> {
    let steps = expand(workflow, world, &|| false).unwrap();
    let kind = |kind| match kind {
        StepKind::Stage => "stage",
        StepKind::Bootenv => "boot",
        StepKind::Task => "task",
    };
    steps.iter().map(|step| format!("{} {}", kind(step.kind), step.name)).collect()
}

#[test]
fn prerequisites_come_once_for_each_boot() {
    let mut world = site();
    put::<Stage>(&mut world, json!({"name": "again", "tasks": ["users"]}));
    put::<Workflow>(&mut world, json!({"name": "both", "stages": ["look", "again", "finish", "last"]}));
    let expected = [
        "stage look",
        "boot live",
        "task base",
        "task report",
        "task users",
        "stage again",
        "task users",
        "stage finish",
        "boot local",
        "task base",
        "task report",
        "stage last",
    ];
    assert_eq!(names("both", &world), expected);
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let mut world = site();
    put::<Task>(
        &mut world,
        json!({"name": "odd", "prerequisites": ["no-task"],
        "templates": [{"name": "x", "template": "no-template"}]}),
    );
    put::<Stage>(&mut world, json!({"name": "odd", "bootenv": "no-boot", "tasks": ["odd"]}));
    put::<Workflow>(&mut world, json!({"name": "odd", "stages": ["odd", "no-stage"]}));
    let problems = expand("odd", &world, &|| false).unwrap_err();
    let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for missing in ["no-boot", "no-task", "no-template", "no-stage"] {
        assert!(text.contains(&format!("`{missing}`")), "{missing} in {text}");
    }
    assert!(expand("nothing", &world, &|| false).unwrap_err()[0].message.contains("no workflow `nothing`"));
}

#[test]
fn a_stage_that_is_named_a_thousand_times_is_read_once_and_refused_with_few_words() {
    let mut world = site();
    // If it were read for each step, three gigabytes would be hashed.
    let text = "x".repeat(1 << 20);
    put::<Template>(&mut world, json!({"name": "large.sh", "body": text}));
    put::<Task>(&mut world, json!({"name": "large", "templates": [{"name": "x", "template": "large.sh"}]}));
    put::<Stage>(&mut world, json!({"name": "large", "tasks": ["large"]}));
    put::<Workflow>(&mut world, json!({"name": "many", "stages": vec!["large"; 1000]}));
    assert_eq!(names("many", &world).len(), 2000);
    put::<Workflow>(&mut world, json!({"name": "more", "stages": vec!["large"; 1001]}));
    assert_eq!(expand("more", &world, &|| false).unwrap_err().len(), 1);
    let absent: Vec<String> = (0..1000).map(|n| format!("absent{n}")).collect();
    put::<Workflow>(&mut world, json!({"name": "absent", "stages": absent}));
    assert_eq!(expand("absent", &world, &|| false).unwrap_err().len(), 64);
}

#[test]
fn a_circle_of_prerequisites_is_shown() {
    let mut world = site();
    put::<Task>(&mut world, json!({"name": "a", "prerequisites": ["b"]}));
    put::<Task>(&mut world, json!({"name": "b", "prerequisites": ["a"]}));
    put::<Stage>(&mut world, json!({"name": "round", "tasks": ["b"]}));
    put::<Workflow>(&mut world, json!({"name": "round", "stages": ["round"]}));
    let problems = expand("round", &world, &|| false).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "the prerequisite b → a → b goes in a circle");
}

#[test]
fn a_digest_changes_with_every_template_that_is_reached_and_with_nothing_else() {
    let world = site();
    let digest = |world: &World| expand("look", world, &|| false).unwrap()[2].digest.clone();
    let before = digest(&world);
    assert_eq!(before.len(), 64);
    assert_eq!(before, digest(&site()));
    let mut other = site();
    put::<Template>(&mut other, json!({"name": "unrelated.sh", "body": "x"}));
    assert_eq!(before, digest(&other));
    put::<Template>(&mut other, json!({"name": "inner.sh", "body": "echo changed"}));
    assert_ne!(before, digest(&other), "an included template counts");
}
