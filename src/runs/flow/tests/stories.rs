//! Tests of the rules: state and event give the next state.

use serde_json::json;

use super::{Story, put};
use crate::model::{BootResult, EventBody, EventKind, Stage, StepState, Task};

#[test]
fn an_install_goes_from_start_to_complete() {
    let story = Story::of("deploy").tells(
        "power   => waiting 1 debian boot.kernel_fetched
         loader  => waiting 1 debian boot.kernel_fetched
         kernel  => booting 1 debian boot.answer_fetched
         system  => running 1 debian boot.done
         done    => complete 4 - -
         power   => complete 4 - -",
    );
    assert!(story.status.armed_until.is_none());
    assert!(story.status.run.as_ref().unwrap().ended_at.is_some());
    assert!(story.steps().iter().all(|step| step.state == StepState::Done));
    let count = |kind| story.events.iter().filter(|event| event.kind() == Some(kind)).count();
    assert_eq!((count(EventKind::RunCompleted), count(EventKind::MachineArmed)), (1, 1));
}

#[test]
fn arming_is_set_by_start_and_used_up_by_the_kernel() {
    let mut story = Story::of("deploy").tells("power => waiting 1 debian boot.kernel_fetched");
    assert!(story.status.armed_until.is_some());
    assert_eq!(story.status.boot_attempt.as_ref().unwrap().bootenv.as_deref(), Some("debian"));
    story = story.tells("kernel => booting 1 debian boot.answer_fetched");
    assert!(story.status.armed_until.is_none());
    assert_eq!(story.boots(), None);
}

#[test]
fn a_power_on_in_the_middle_of_an_install_fails_the_run_and_goes_to_the_disk() {
    let story = Story::of("deploy").tells(
        "power  => waiting 1 debian boot.kernel_fetched
         kernel => booting 1 debian boot.answer_fetched
         power  => failed 1 - run.retried
         kernel => failed 1 - run.retried
         done   => failed 1 - run.retried
         retry  => waiting 1 debian boot.kernel_fetched
         power  => waiting 1 debian boot.kernel_fetched",
    );
    assert!(story.status.armed_until.is_some(), "retry arms anew");
    assert_eq!(story.status.boot_attempt.unwrap().number, 3);
}

#[test]
fn three_power_ons_that_fetch_no_kernel_hold_the_machine() {
    let story = Story::of("deploy").tells(
        "power    => waiting 1 debian boot.kernel_fetched
         power    => waiting 1 debian boot.kernel_fetched
         wait 900 => waiting 1 debian boot.kernel_fetched
         power    => waiting 1 debian boot.kernel_fetched
         power    => held 1 - run.retried
         power    => held 1 - run.retried",
    );
    assert!(
        story.status.reason.contains("3 attempts to boot `debian` led nowhere"),
        "{}",
        story.status.reason
    );
    assert!(story.status.armed_until.is_none());
    story.tells("retry => waiting 1 debian boot.kernel_fetched");
}

#[test]
fn an_installer_that_reports_a_failure_or_nothing_fails_at_its_boot() {
    let story = Story::of("deploy").tells(
        "power  => waiting 1 debian boot.kernel_fetched
         kernel => booting 1 debian boot.answer_fetched
         system => running 1 debian boot.done
         failed => failed 1 - run.retried",
    );
    assert_eq!(story.status.reason, "`debian` reported that it failed: no disk");
    assert_eq!(story.steps()[1].state, StepState::Failed);
    let story = Story::of("deploy").tells(
        "power     => waiting 1 debian boot.kernel_fetched
         kernel    => booting 1 debian boot.answer_fetched
         wait 1799 => booting 1 debian boot.answer_fetched
         wait 1    => failed 1 - run.retried
         system    => failed 1 - run.retried",
    );
    assert_eq!(story.status.boot_attempt.unwrap().result, Some(BootResult::TimedOut));
}

#[test]
fn arming_that_runs_out_holds_the_machine_until_it_is_armed_again() {
    Story::of("deploy").tells(
        "wait 86399 => waiting 1 debian boot.kernel_fetched
         wait 1     => held 1 - run.retried
         power      => held 1 - run.retried
         arm        => waiting 1 debian boot.kernel_fetched
         disarm     => held 1 - run.retried
         retry      => waiting 1 debian boot.kernel_fetched
         power      => waiting 1 debian boot.kernel_fetched
         disarm     => held 1 - run.retried
         kernel     => held 1 - run.retried",
    );
}

#[test]
fn a_rehearsal_passes_over_what_would_follow_an_installation() {
    let story = Story::rehearsal("full").tells(
        "power  => waiting 1 debian boot.kernel_fetched
         kernel => booting 1 debian boot.answer_fetched
         system => running 1 debian boot.done
         done   => complete 6 - -",
    );
    let notes: Vec<(&str, StepState)> =
        story.steps().iter().map(|step| (step.note.as_str(), step.state)).collect();
    assert_eq!(notes[1].1, StepState::Done);
    assert_eq!(notes[3].1, StepState::Done, "leaving to the disk");
    assert_eq!(notes[4], ("rehearsal: nothing was installed", StepState::Skipped));
    assert_eq!(notes[5], ("rehearsal: nothing was installed", StepState::Skipped));
    assert!(story.status.reason.contains("rehearsal"));
}

#[test]
fn tasks_after_an_install_wait_for_the_installed_system() {
    Story::of("full").tells(
        "power       => waiting 1 debian boot.kernel_fetched
         installed a => reboot; waiting 1 debian boot.kernel_fetched
         kernel      => booting 1 debian boot.answer_fetched
         installer b => wait; running 1 debian boot.done
         done        => waiting 4 - job.created
         installer b => wait; waiting 4 - job.created
         installed c => run base; running 4 - job.finished
         exit 0      => waiting 5 - job.created
         installed c => run report; running 5 - job.finished
         exit 0      => complete 6 - -
         installed c => wait; complete 6 - -",
    );
}

#[test]
fn tasks_of_an_installer_run_in_it_before_it_is_done() {
    Story::of("inside").tells(
        "power       => waiting 1 debian boot.kernel_fetched
         kernel      => booting 1 debian boot.answer_fetched
         installed a => wait; booting 1 debian boot.answer_fetched
         installer b => run base; running 3 debian job.finished
         exit 0      => waiting 4 debian job.created
         installer b => run users; running 4 debian job.finished
         exit 0      => running 5 debian boot.done
         installer b => wait; running 5 debian boot.done
         done        => complete 7 - -",
    );
    let story = Story::of("inside").tells(
        "power       => waiting 1 debian boot.kernel_fetched
         kernel      => booting 1 debian boot.answer_fetched
         installer b => run base; running 3 debian job.finished
         failed      => failed 1 - run.retried",
    );
    assert_eq!(story.steps()[3].state, StepState::Pending, "they run again after `retry`");
    assert_eq!(story.status.job, None);
    Story::of("inside").tells(
        "power       => waiting 1 debian boot.kernel_fetched
         kernel      => booting 1 debian boot.answer_fetched
         done        => waiting 3 - job.created
         installed c => run base; running 3 - job.finished",
    );
}

#[test]
fn a_live_boot_ends_when_its_agent_asks_and_no_other_agent_gets_its_tasks() {
    Story::of("look").tells(
        "power       => waiting 1 live boot.kernel_fetched
         kernel      => booting 1 live job.created
         live a      => run base; running 2 live job.finished
         exit 0      => waiting 3 live job.created
         live a      => run report; running 3 live job.finished
         exit 64     => waiting 4 live job.created
         live a      => reboot; waiting 4 live job.created
         power       => waiting 4 live job.created
         live b      => run users; running 4 live job.finished
         exit 0      => complete 7 - -",
    );
}

#[test]
fn an_agent_elsewhere_is_told_to_reboot_a_few_times_and_then_the_machine_is_held() {
    let story = Story::of("look").tells(
        "installed a => reboot; waiting 1 live boot.kernel_fetched
         installed a => reboot; waiting 1 live boot.kernel_fetched
         installed b => reboot; waiting 1 live boot.kernel_fetched
         installed c => reboot; waiting 1 live boot.kernel_fetched
         installed d => hold; held 1 - run.retried
         installed d => wait; held 1 - run.retried",
    );
    assert!(story.status.reason.contains("boot order"), "{}", story.status.reason);
}

#[test]
fn a_failed_task_is_tried_again_with_a_pause_and_then_its_failure_tasks_run() {
    let story = Story::of("try").tells(
        "installed a => run flaky; running 1 - job.finished
         exit 1      => waiting 1 - job.created
         installed a => wait; waiting 1 - job.created
         wait 2      => waiting 1 - job.created
         installed a => run flaky; running 1 - job.finished
         exit 1      => waiting 1 - job.created
         wait 3      => waiting 1 - job.created
         installed a => wait; waiting 1 - job.created
         wait 1      => waiting 1 - job.created
         installed a => run flaky; running 1 - job.finished
         exit 3      => waiting 1 - job.created
         installed a => run tell; running 1 - job.finished
         exit 9      => failed 1 - run.retried
         installed a => wait; failed 1 - run.retried
         retry       => waiting 1 - job.created
         installed a => run flaky; running 1 - job.finished
         exit 0      => complete 2 - -",
    );
    let failed = story.events.iter().find_map(|event| match event {
        EventBody::RunFailed(failed) => Some(failed),
        _ => None,
    });
    assert_eq!(failed.unwrap().reason, "task `flaky` failed: exit code 3");
}

#[test]
fn an_incomplete_task_runs_again_and_not_for_ever() {
    let mut story = Story::of("try").tells(
        "installed a => run flaky; running 1 - job.finished
         exit 128    => waiting 1 - job.created
         installed a => run flaky; running 1 - job.finished
         exit 192    => waiting 1 - job.created
         installed a => reboot; waiting 1 - job.created
         installed b => run flaky; running 1 - job.finished",
    );
    assert_eq!(story.status.tries.failures, 0);
    for _ in 3..crate::runs::flow::JOBS_PER_STEP_MAX {
        story.happen("exit 128");
        assert_eq!(story.happen("installed b").unwrap(), "run flaky");
    }
    story.happen("exit 128");
    assert_eq!(story.happen("installed b").unwrap(), "run tell");
}

#[test]
fn stop_and_pause_let_the_job_end_and_hand_out_no_other() {
    Story::of("try").tells(
        "installed a => run flaky; running 1 - job.finished
         pause       => running 1 - job.finished
         exit 128    => held 1 - run.resumed
         installed a => wait; held 1 - run.resumed
         resume      => waiting 1 - job.created
         installed a => run flaky; running 1 - job.finished
         exit 144    => held 1 - run.resumed
         resume      => waiting 1 - job.created",
    );
    let story = Story::of("deploy").tells(
        "pause  => held 1 - run.resumed
         power  => held 1 - run.resumed
         kernel => held 1 - run.resumed",
    );
    assert!(story.status.armed_until.is_none());
    story.tells(
        "resume => waiting 1 debian boot.kernel_fetched
         power  => waiting 1 debian boot.kernel_fetched
         kernel => booting 1 debian boot.answer_fetched
         pause  => booting 1 debian boot.answer_fetched
         done   => held 2 - run.resumed
         resume => complete 4 - -",
    );
}

#[test]
fn cancel_ends_the_run_and_disarms() {
    let story = Story::of("deploy").tells(
        "power  => waiting 1 debian boot.kernel_fetched
         cancel => registered 1 - -
         kernel => registered 1 - -
         done   => registered 1 - -",
    );
    assert!(story.status.armed_until.is_none());
    assert!(story.status.run.as_ref().unwrap().ended_at.is_some());
    assert_eq!(story.steps()[1].state, StepState::Skipped);
}

#[test]
fn a_wait_for_an_agent_or_a_power_on_does_not_last_for_ever() {
    let story = Story::of("try").tells(
        "wait 3599 => waiting 1 - job.created
         wait 1    => failed 1 - run.retried",
    );
    assert_eq!(story.status.reason, "no agent came in time to run task `flaky`");
    Story::of("look").tells("wait 86400 => held 1 - run.retried");
}

#[test]
fn a_destructive_live_boot_is_armed_for_one_attempt_too() {
    let story = Story::of("erase").tells(
        "power  => waiting 1 wipe boot.kernel_fetched
         kernel => booting 1 wipe job.created
         live a => wait; complete 4 - -",
    );
    assert!(story.status.armed_until.is_none());
}

#[test]
fn content_that_is_gone_holds_the_run() {
    let mut story = Story::of("try");
    story.world.remove(crate::model::Kind::Task, "flaky");
    let mut story = story.tells("power => held 1 - run.retried");
    assert!(story.status.reason.contains("`flaky` does not exist any more"));
    put::<Task>(&mut story.world, json!({"name": "flaky"}));
    story.tells("retry => waiting 1 - job.created");
}

const PEER: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

/// A story whose installer, of a stage of 30 minutes that usually takes 10, has its answers.
fn installing() -> Story {
    let mut story = Story::of("deploy");
    let stage = json!({
        "name": "install", "bootenv": "debian", "timeout_seconds": 1800, "expected_seconds": 600,
    });
    put::<Stage>(&mut story.world, stage);
    story.tells(
        "power   => waiting 1 debian boot.kernel_fetched
         kernel  => booting 1 debian boot.answer_fetched
         system  => running 1 debian boot.done",
    )
}

#[test]
fn an_installer_that_is_silent_for_longer_than_usual_is_overdue_before_it_fails() {
    let mut story = installing().tells("wait 599 => running 1 debian boot.done");
    assert!(!story.status.waiting.as_ref().unwrap().overdue);
    story = story.tells("wait 1 => running 1 debian boot.done");
    assert_eq!(
        story.status.reason,
        "the installer of `debian` is at work; overdue since 1970-01-01 00:10 UTC"
    );
    let told = story.events.iter().find_map(|event| match event {
        EventBody::RunOverdue(it) => Some(it.clone()),
        _ => None,
    });
    let told = told.unwrap();
    assert_eq!((told.step, told.name.as_deref()), (1, Some("debian")));
    assert_eq!(told.until, story.status.waiting.as_ref().unwrap().overdue_at);
    assert!(told.reason.contains("it may ask at its console"), "{}", told.reason);
    let count = |story: &Story| {
        story.events.iter().filter(|event| event.kind() == Some(EventKind::RunOverdue)).count()
    };
    story = story.tells("wait 600 => running 1 debian boot.done");
    assert_eq!(count(&story), 1, "it is said once");
    story.flow(|flow| flow.installer_heard());
    assert_eq!(story.status.reason, "the installer of `debian` is at work");
    story = story.tells("wait 600 => running 1 debian boot.done");
    assert_eq!(count(&story), 2, "and again after another silence");
    story.tells("wait 1200 => failed 1 - run.retried");
}

#[test]
fn what_is_heard_of_an_installer_puts_off_its_end_for_a_day_at_most() {
    let mut story = installing();
    for _ in 0..47 {
        story = story.tells("wait 1799 => running 1 debian boot.done");
        story.flow(|flow| flow.installer_heard());
    }
    let kernel = story.status.boot_attempt.as_ref().unwrap().kernel_fetched_at.unwrap();
    let deadline = story.status.boot_attempt.as_ref().unwrap().deadline.unwrap();
    assert_eq!(deadline.duration_since(kernel).as_secs(), 86_353, "the last word and half an hour");
    story = story.tells("wait 1799 => running 1 debian boot.done");
    story.flow(|flow| flow.installer_heard());
    let deadline = story.status.boot_attempt.as_ref().unwrap().deadline.unwrap();
    assert_eq!(deadline.duration_since(kernel).as_secs(), 86_400);
    story.tells("wait 60 => failed 1 - run.retried");
}

#[test]
fn an_installer_that_asks_says_so_until_it_no_longer_does() {
    let mut story = installing();
    let ask = |story: &mut Story, text: &str| story.flow(|flow| flow.installer_asks(text, PEER));
    let asked = |story: &Story| {
        let kind = Some(EventKind::BootInstallerAsks);
        story.events.iter().filter(|event| event.kind() == kind).count()
    };
    ask(&mut story, "Debian archive mirror hostname:");
    assert_eq!(story.status.reason, "the installer asks: Debian archive mirror hostname:");
    assert_eq!(story.summary(), "running 1 debian boot.done");
    ask(&mut story, "Debian archive mirror hostname:");
    assert_eq!(asked(&story), 1, "the same question is no news");
    ask(&mut story, "Bad archive mirror");
    assert_eq!(asked(&story), 2);
    ask(&mut story, "");
    assert_eq!(story.status.reason, "the installer of `debian` is at work");
    ask(&mut story, "Bad archive mirror");
    story = story.tells("done => complete 4 - -");
    assert_eq!(story.status.boot_attempt.as_ref().unwrap().asks, None);
    ask(&mut story, "Bad archive mirror");
    assert_eq!(asked(&story), 3, "a boot that has ended asks nothing");
}

#[test]
fn an_agent_that_does_not_come_is_overdue_after_the_time_its_stage_usually_takes() {
    let mut story = Story::of("full");
    let stage = json!({"name": "finish", "bootenv": "local", "tasks": ["report"], "expected_seconds": 300});
    put::<Stage>(&mut story.world, stage);
    story = story.tells(
        "power    => waiting 1 debian boot.kernel_fetched
         kernel   => booting 1 debian boot.answer_fetched
         system   => running 1 debian boot.done
         done     => waiting 4 - job.created
         wait 299 => waiting 4 - job.created",
    );
    assert!(!story.status.waiting.as_ref().unwrap().overdue);
    story = story.tells("wait 1 => waiting 4 - job.created");
    assert!(story.status.reason.contains("overdue since"), "{}", story.status.reason);
    story.tells("installed b1 => run base; running 4 - job.finished");
}
