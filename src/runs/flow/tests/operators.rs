//! Tests of the actions of operators on single steps: skip, mark as done, pause before, begin at.

use super::Story;
use crate::model::StepState;
use crate::runs::flow::StepReference;
use crate::runs::flow::expand;

fn steps_of(story: &Story) -> Vec<(u32, StepState)> {
    (0u32..).zip(story.steps()).map(|(i, step)| (i, step.state)).collect()
}

#[test]
fn a_run_stops_before_the_step_that_was_named_and_shows_why() {
    let story = Story::of("look").tells(
        "stop 3 => waiting 1 live boot.kernel_fetched
         power  => waiting 1 live boot.kernel_fetched
         live a => run base; running 2 live job.finished
         exit 0 => held 3 live run.resumed
         live a => wait; held 3 live run.resumed",
    );
    assert_eq!(
        story.status.reason,
        "paused: stopped before step 3 (task report of look): look first; `resume` goes on"
    );
    story.tells(
        "resume => waiting 3 live job.created
         live a => run report; running 3 live job.finished
         exit 0 => waiting 4 live job.created",
    );
}

#[test]
fn a_stop_before_a_destructive_boot_arms_nothing_until_resume() {
    let story = Story::of("both").tells(
        "stop 6 => waiting 1 live boot.kernel_fetched
         power  => waiting 1 live boot.kernel_fetched
         live a => run base; running 2 live job.finished
         exit 0 => waiting 3 live job.created
         live a => run firmware; running 3 live job.finished
         exit 0 => waiting 4 live job.created
         live a => run tell; running 4 live job.finished
         exit 0 => held 6 live run.resumed",
    );
    assert_eq!((story.status.armed_until, story.boots().as_deref()), (None, Some("live")));
    let story = story.tells("resume => waiting 6 debian boot.kernel_fetched");
    assert!(story.status.armed_until.is_some());
    Story::of("deploy").tells(
        "restart-until 0 => held 0 - run.resumed
         resume          => waiting 1 debian boot.kernel_fetched",
    );
}

#[test]
fn a_stop_that_was_planned_is_taken_back_by_resume() {
    Story::of("try").tells(
        "stop 1      => waiting 1 - job.created
         resume      => waiting 1 - job.created",
    );
    let story = Story::of("look").tells(
        "stop 3 => waiting 1 live boot.kernel_fetched
         resume => waiting 1 live boot.kernel_fetched
         power  => waiting 1 live boot.kernel_fetched
         live a => run base; running 2 live job.finished
         exit 0 => waiting 3 live job.created",
    );
    assert_eq!(story.status.run.unwrap().stop_before, None);
}

#[test]
fn a_pause_shows_its_reason_until_resume() {
    let story = Story::of("deploy").tells("pause the switch is replaced => held 1 - run.resumed");
    assert_eq!(story.status.reason, "paused: the switch is replaced; `resume` goes on");
    let story = story.tells("resume => waiting 1 debian boot.kernel_fetched");
    assert_eq!(story.status.run.unwrap().pause_reason, "");
}

#[test]
fn a_skipped_task_ends_its_job_and_the_run_goes_on() {
    let story = Story::of("look").tells(
        "power  => waiting 1 live boot.kernel_fetched
         live a => run base; running 2 live job.finished
         skip   => waiting 3 live job.created
         live a => run report; running 3 live job.finished
         exit 1 => failed 3 live run.retried
         skip   => waiting 4 live job.created
         live a => run users; running 4 live job.finished
         exit 0 => complete 7 - -",
    );
    assert_eq!(story.steps()[3].note, "skipped by token:admin: no time");
    let skipped: Vec<u32> =
        steps_of(&story).iter().filter(|s| s.1 == StepState::Skipped).map(|s| s.0).collect();
    assert_eq!(skipped, [2, 3]);
}

#[test]
fn a_task_that_is_still_to_come_is_passed_over_when_the_run_comes_to_it() {
    Story::of("look").tells(
        "power  => waiting 1 live boot.kernel_fetched
         live a => run base; running 2 live job.finished
         skip 3 => running 2 live job.finished
         exit 0 => waiting 4 live job.created
         live a => run users; running 4 live job.finished",
    );
}

#[test]
fn a_skipped_boot_disarms_and_takes_the_tasks_of_a_live_system_with_it() {
    let story = Story::of("deploy").tells(
        "power => waiting 1 debian boot.kernel_fetched
         skip  => complete 4 - -",
    );
    assert!(story.status.armed_until.is_none());
    assert_eq!(story.status.boot_attempt.unwrap().bootenv, None, "its attempt is sent to the disk");
    let story = Story::of("both").tells("skip => waiting 6 debian boot.kernel_fetched");
    assert!(story.steps()[1..5].iter().all(|step| step.state == StepState::Skipped));
}

#[test]
fn a_boot_that_was_marked_as_done_leads_to_what_follows_it() {
    let story = Story::of("full").tells(
        "power       => waiting 1 debian boot.kernel_fetched
         kernel      => booting 1 debian boot.answer_fetched
         mark-done   => waiting 4 - job.created
         done        => waiting 4 - job.created
         installed c => run base; running 4 - job.finished",
    );
    assert_eq!(story.steps()[1].note, "marked as done by token:admin: no time");
    let story = Story::of("inside").tells(
        "power       => waiting 1 debian boot.kernel_fetched
         kernel      => booting 1 debian boot.answer_fetched
         installer b => run base; running 3 debian job.finished
         mark-done   => waiting 4 debian job.created
         installer b => run users; running 4 debian job.finished
         exit 0      => running 5 debian boot.done
         mark-done   => complete 7 - -",
    );
    assert!(story.status.armed_until.is_none());
    Story::of("deploy").tells(
        "power     => waiting 1 debian boot.kernel_fetched
         kernel    => booting 1 debian boot.answer_fetched
         power     => failed 1 - run.retried
         mark-done => complete 4 - -",
    );
}

#[test]
fn a_restart_takes_the_place_of_the_run_and_begins_at_the_step_that_was_named() {
    let story = Story::of("full").tells(
        "power     => waiting 1 debian boot.kernel_fetched
         restart 5 => waiting 5 - job.created",
    );
    assert!(story.status.armed_until.is_none(), "no boot follows that destroys anything");
    assert_eq!(story.boots(), None);
    assert_eq!(story.status.stage.as_deref(), Some("finish"));
    assert!(story.steps()[..5].iter().all(|step| step.state == StepState::Skipped));
    story.tells(
        "installed c => run report; running 5 - job.finished
         exit 0      => complete 6 - -
         restart 0   => waiting 1 debian boot.kernel_fetched",
    );
}

#[test]
fn a_restart_at_a_task_of_a_live_system_boots_that_system_first() {
    Story::of("prepare").tells(
        "restart 4 => waiting 1 live boot.kernel_fetched
         power     => waiting 1 live boot.kernel_fetched
         kernel    => booting 1 live job.created
         live a    => run tell; running 4 live job.finished
         restart 3 => waiting 1 live boot.kernel_fetched
         live a    => run firmware; running 3 live job.finished",
    );
    let story = Story::of("image").tells("restart 3 => waiting 1 wipe boot.kernel_fetched");
    assert!(story.status.armed_until.is_some(), "as `start` does");
    let story = story.tells(
        "power     => waiting 1 wipe boot.kernel_fetched
         kernel    => booting 1 wipe job.created
         live a    => run tell; running 3 wipe job.finished
         restart 3 => waiting 1 wipe boot.kernel_fetched
         live a    => run tell; running 3 wipe job.finished",
    );
    assert!(story.status.armed_until.is_none(), "the system is up: no arming is left over");
}

#[test]
fn a_step_is_named_by_number_or_name_and_an_ambiguous_name_lists_the_steps() {
    let story = Story::of("look");
    let steps = expand("full", &story.world, &|| false).unwrap();
    let find = |reference, first| StepReference::find(&reference, &steps, first);
    let name = |name: &str| StepReference::Name(name.to_owned());
    assert_eq!(find(StepReference::Number(4), 0), Ok(4));
    assert_eq!(find(name("report"), 0), Ok(5));
    let unknown = find(name("nothing"), 4).unwrap_err();
    assert_eq!(
        unknown,
        "there is no step `nothing` here; the steps are step 4 (task base of finish), step 5 (task report of \
         finish)"
    );
    let world = &story.world;
    let steps = expand("both", world, &|| false).unwrap();
    let twice = [steps.clone(), steps].concat();
    let ambiguous = name("tell").find(&twice, 0).unwrap_err();
    assert_eq!(
        ambiguous,
        "`tell` names 2 steps; give the number of one: step 4 (task tell of prepare), step 13 (task tell of \
         prepare)"
    );
    assert_eq!(name("tell").find(&twice, 5), Ok(13), "only steps that are still to come");
}
