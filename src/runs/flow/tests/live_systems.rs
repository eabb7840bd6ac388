//! Tests of a live system that loses power during its tasks.

use serde_json::json;

use super::Story;
use crate::model::{EventBody, EventKind, JobState, LiveSystem, MachineStatus, StepState};
use crate::runs::flow::LIVE_RESTARTS_MAX;

/// A machine in the third task of its live system, which destroys nothing.
fn in_its_third_task() -> Story {
    Story::of("prepare").tells(
        "power  => waiting 1 live boot.kernel_fetched
         kernel => booting 1 live job.created
         live a => run base; running 2 live job.finished
         exit 0 => waiting 3 live job.created
         live a => run firmware; running 3 live job.finished
         exit 0 => waiting 4 live job.created
         live a => run tell; running 4 live job.finished",
    )
}

#[test]
fn a_live_system_that_loses_power_runs_its_tasks_again_but_for_those_that_survive() {
    let story = in_its_third_task().tells(
        "power  => waiting 1 live boot.kernel_fetched
         kernel => booting 1 live job.created
         live b => run base; running 2 live job.finished
         exit 0 => waiting 4 live job.created
         live b => run tell; running 4 live job.finished
         exit 0 => complete 7 - -",
    );
    let lost = story.events.iter().find_map(|event| match event {
        EventBody::RunLiveSystemLost(lost) => Some(lost),
        _ => None,
    });
    let reason = &lost.unwrap().reason;
    assert!(
        reason.starts_with("step 4 (task tell of prepare), running since 1970-01-01T00:00:00Z"),
        "{reason}"
    );
    assert_eq!(story.steps()[3].state, StepState::Done);
}

#[test]
fn an_agent_with_another_boot_id_says_that_the_live_system_lost_power() {
    let mut story = in_its_third_task();
    story.flow(|flow| {
        flow.agent_seen(crate::model::Environment::Live, "b", None);
        let end = flow.job_end().unwrap();
        assert_eq!(end.state, JobState::Lost);
        assert_eq!(end.reason, "the machine lost power in the live system `live`");
    });
    story.tells(
        "live b => run base; running 2 live job.finished
         exit 0 => waiting 4 live job.created
         live b => run tell; running 4 live job.finished",
    );
}

#[test]
fn a_boot_in_the_machines_name_is_a_doubt_that_the_agent_of_the_live_system_ends() {
    in_its_third_task().tells(
        "named     => running 4 live job.finished
         report    => running 4 live job.finished
         named     => running 4 live job.finished
         kernel    => running 4 live job.finished
         done      => running 4 live job.finished
         exit 0    => complete 7 - -",
    );
    in_its_third_task().tells(
        "named   => running 4 live job.finished
         silence => waiting 1 live boot.kernel_fetched",
    );
    let story = in_its_third_task().tells(
        "named  => running 4 live job.finished
         kernel => running 4 live job.finished
         live b => run base; running 2 live job.finished",
    );
    assert_eq!(story.status.live_system.doubted_at, None);
    // What may have erased disks boots the disk meanwhile, and fails as after a loss of power.
    let story = Story::of("image").tells(
        "power   => waiting 1 wipe boot.kernel_fetched
         kernel  => booting 1 wipe job.created
         live a  => run firmware; running 2 wipe job.finished
         named   => running 2 wipe job.finished",
    );
    assert_eq!(story.boots(), None);
    story.tells("silence => failed 1 - run.retried");
    // A reboot that was asked for is no doubt.
    let story = Story::of("prepare").tells(
        "power   => waiting 1 live boot.kernel_fetched
         kernel  => booting 1 live job.created
         live a  => run base; running 2 live job.finished
         exit 64 => waiting 3 live job.created
         named   => waiting 3 live job.created",
    );
    assert_eq!(story.status.live_system, LiveSystem::default());
}

#[test]
fn a_reboot_that_was_asked_for_or_another_agent_loses_nothing() {
    Story::of("prepare").tells(
        "power       => waiting 1 live boot.kernel_fetched
         kernel      => booting 1 live job.created
         live a      => run base; running 2 live job.finished
         exit 64     => waiting 3 live job.created
         power       => waiting 3 live job.created
         live b      => run firmware; running 3 live job.finished
         exit 192    => waiting 3 live job.created
         live c      => run firmware; running 3 live job.finished
         installed d => wait; running 3 live job.finished
         live d      => wait; running 3 live job.finished",
    );
}

#[test]
fn a_live_system_that_loses_power_again_and_again_holds_the_machine() {
    let mut story = in_its_third_task();
    for restart in 0..LIVE_RESTARTS_MAX {
        story = story.tells(
            "power  => waiting 1 live boot.kernel_fetched
             kernel => booting 1 live job.created",
        );
        assert_eq!(story.status.live_system.restarts, restart + 1);
        assert_eq!(story.happen(&format!("live {restart}")).unwrap(), "run base");
    }
    let story = story.tells("power => held 2 live run.retried");
    assert!(
        story.status.reason.contains("`live` 4 times, the last time at step 2"),
        "{}",
        story.status.reason
    );
    let story = story.tells(
        "retry  => waiting 1 live boot.kernel_fetched
         power  => waiting 1 live boot.kernel_fetched",
    );
    assert_eq!(story.status.live_system.restarts, 0);
}

#[test]
fn a_destructive_live_system_that_loses_power_fails_the_run_until_retry_arms_again() {
    let story = Story::of("image").tells(
        "power  => waiting 1 wipe boot.kernel_fetched
         kernel => booting 1 wipe job.created
         live a => run firmware; running 2 wipe job.finished
         exit 0 => waiting 3 wipe job.created
         live a => run tell; running 3 wipe job.finished
         power  => failed 1 - run.retried
         kernel => failed 1 - run.retried
         power  => failed 1 - run.retried",
    );
    assert_eq!((story.status.armed_until, story.boots()), (None, None), "nothing arms it by itself");
    let reason = &story.status.reason;
    for part in
        ["`wipe`", "step 3 (task tell of image), running since", "boot progress ended", "`retry` arms"]
    {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    let story = story.tells("retry => waiting 1 wipe boot.kernel_fetched");
    assert!(story.status.armed_until.is_some());
    assert!(story.steps()[2].state == StepState::Pending, "the disk of that task may be erased");
    let story = story.tells(
        "power  => waiting 1 wipe boot.kernel_fetched
         kernel => booting 1 wipe job.created
         live b => run firmware; running 2 wipe job.finished",
    );
    assert!(story.status.armed_until.is_none());
}

#[test]
fn a_paused_machine_in_a_destructive_live_system_is_not_armed_by_resume() {
    let story = Story::of("image").tells(
        "power  => waiting 1 wipe boot.kernel_fetched
         kernel => booting 1 wipe job.created
         live a => run firmware; running 2 wipe job.finished
         pause  => running 2 wipe job.finished
         exit 0 => held 3 wipe run.resumed
         power  => failed 1 - run.retried
         resume => failed 1 - run.retried",
    );
    assert!(story.status.armed_until.is_none());
}

#[test]
fn a_stopped_run_whose_live_system_is_gone_goes_on_with_its_boot() {
    let failed = || in_its_third_task().tells("exit 1 => failed 4 live run.retried");
    let lost = failed().tells("power => failed 4 live run.retried");
    lost.tells(
        "retry => waiting 1 live boot.kernel_fetched
         power => waiting 1 live boot.kernel_fetched",
    );
    failed().tells(
        "power     => failed 4 live run.retried
         mark-done => complete 7 - -
         restart 0 => waiting 1 live boot.kernel_fetched",
    );
    Story::of("prepare").tells(
        "power  => waiting 1 live boot.kernel_fetched
         live a => run base; running 2 live job.finished
         exit 1 => failed 2 live run.retried
         power  => failed 2 live run.retried
         skip   => waiting 1 live boot.kernel_fetched
         power  => waiting 1 live boot.kernel_fetched
         live b => run firmware; running 3 live job.finished",
    );
    Story::of("prepare").tells(
        "power  => waiting 1 live boot.kernel_fetched
         live a => run base; running 2 live job.finished
         pause  => running 2 live job.finished
         exit 0 => held 3 live run.resumed
         power  => held 3 live run.resumed
         resume => waiting 1 live boot.kernel_fetched",
    );
    let story = Story::of("image").tells(
        "power  => waiting 1 wipe boot.kernel_fetched
         kernel => booting 1 wipe job.created
         live a => run firmware; running 2 wipe job.finished
         exit 1 => failed 2 wipe run.retried
         power  => failed 2 wipe run.retried
         skip   => held 1 - run.retried",
    );
    assert!(story.status.armed_until.is_none(), "only `arm` and `retry` arm it");
    story.tells("arm => waiting 1 wipe boot.kernel_fetched");
}

#[test]
fn nothing_is_done_again_once_the_tasks_of_a_live_system_are_done() {
    let story = Story::of("both").tells(
        "power   => waiting 1 live boot.kernel_fetched
         kernel  => booting 1 live job.created
         live a  => run base; running 2 live job.finished
         exit 0  => waiting 3 live job.created
         live a  => run firmware; running 3 live job.finished
         exit 0  => waiting 4 live job.created
         live a  => run tell; running 4 live job.finished
         exit 0  => waiting 6 debian boot.kernel_fetched
         disarm  => held 6 - run.retried
         power   => held 6 - run.retried",
    );
    assert!(story.events.iter().all(|event| event.kind() != Some(EventKind::RunLiveSystemLost)));
}

#[test]
fn what_older_servers_wrote_reads_and_tasks_keep_their_digests() {
    let started_at = "2026-01-02T03:04:05Z";
    let run = json!({"id": uuid::Uuid::nil(), "workflow": "look", "started_at": started_at, "paused": true});
    let status: MachineStatus =
        serde_json::from_value(json!({"state": "held", "run": run, "cursor": 2})).unwrap();
    let run = status.run.unwrap();
    assert_eq!((run.pause_reason.as_str(), run.stop_before, run.from_step), ("", None, None));
    assert_eq!(status.live_system, LiveSystem::default());
    let task = &super::site().tasks.get("base").unwrap().spec.clone();
    assert_eq!(serde_json::to_value(task).unwrap().get("survives_reboot"), None);
}
