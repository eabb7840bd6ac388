//! Installations whose report is late or lost.

use super::Story;
use crate::model::{BootResult, EventBody, StepState};

/// A run whose installer is at work.
fn installing(workflow: &str) -> Story {
    Story::of(workflow).tells(
        "power  => waiting 1 debian boot.kernel_fetched
         kernel => booting 1 debian boot.answer_fetched
         system => running 1 debian boot.done",
    )
}

fn confirmed(story: &Story) -> Vec<&str> {
    let events = story.events.iter();
    let reasons = events.filter_map(|event| match event {
        EventBody::RunInstallationConfirmed(it) => Some(it.reason.as_str()),
        _ => None,
    });
    reasons.collect()
}

#[test]
fn a_late_done_counts_after_the_time_was_up() {
    let story = installing("deploy").tells(
        "wait 1800 => failed 1 - run.retried
         late-done => complete 4 - -
         late-done => complete 4 - -",
    );
    assert_eq!(story.status.boot_attempt.as_ref().unwrap().result, Some(BootResult::Done));
    assert_eq!(story.steps()[1].note, "the installer reported late that it is done");
    let reasons = confirmed(&story);
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("did not report in time"), "{}", reasons[0]);
}

#[test]
fn a_late_done_counts_after_a_power_on_that_went_to_the_disk() {
    let story = installing("deploy").tells(
        "power     => failed 1 - run.retried
         late-done => complete 4 - -",
    );
    assert!(story.status.unreported_boot.is_none() && story.status.armed_until.is_none());
    assert!(story.steps().iter().all(|step| step.state == StepState::Done));
}

#[test]
fn the_agent_of_the_installed_system_counts_as_done() {
    let story = installing("full").tells(
        "its-agent a => run base; running 4 - job.finished
         late-done   => running 4 - job.finished",
    );
    assert_eq!(confirmed(&story).len(), 1, "the report was only lost");
    let story = installing("full").tells(
        "power       => failed 1 - run.retried
         its-agent a => run base; running 4 - job.finished
         exit 0      => waiting 5 - job.created",
    );
    assert!(confirmed(&story)[0].contains("was powered on again"), "{:?}", confirmed(&story));
    installing("deploy").tells(
        "wait 1800   => failed 1 - run.retried
         its-agent a => wait; complete 4 - -",
    );
}

#[test]
fn an_agent_of_another_installation_shows_nothing() {
    installing("full").tells(
        "installed a => wait; running 1 debian boot.done
         power       => failed 1 - run.retried
         installed a => wait; failed 1 - run.retried",
    );
    // The system before this installation had an agent as well.
    installing("full").tells(
        "done        => waiting 4 - job.created
         restart     => waiting 1 debian boot.kernel_fetched
         its-agent a => reboot; waiting 1 debian boot.kernel_fetched
         power       => waiting 1 debian boot.kernel_fetched
         its-agent b => reboot; waiting 1 debian boot.kernel_fetched",
    );
}

#[test]
fn nothing_late_counts_once_another_boot_is_armed_or_the_run_is_over() {
    installing("deploy").tells(
        "wait 1800   => failed 1 - run.retried
         retry       => waiting 1 debian boot.kernel_fetched
         late-done   => waiting 1 debian boot.kernel_fetched
         its-agent a => reboot; waiting 1 debian boot.kernel_fetched
         power       => waiting 1 debian boot.kernel_fetched
         late-done   => waiting 1 debian boot.kernel_fetched",
    );
    installing("deploy").tells(
        "wait 1800 => failed 1 - run.retried
         cancel    => registered 1 - -
         late-done => registered 1 - -",
    );
}

#[test]
fn an_installer_that_failed_is_not_confirmed_by_anybody() {
    let story = installing("deploy").tells(
        "wait 1800   => failed 1 - run.retried
         late-failed => failed 1 - run.retried
         late-done   => failed 1 - run.retried
         its-agent a => wait; failed 1 - run.retried",
    );
    assert_eq!(story.status.reason, "`debian` reported late that it failed: no disk");
    assert_eq!(story.status.boot_attempt.as_ref().unwrap().result, Some(BootResult::Failed));
    installing("deploy").tells(
        "failed      => failed 1 - run.retried
         late-done   => failed 1 - run.retried
         its-agent a => wait; failed 1 - run.retried
         mark-done   => complete 4 - -",
    );
}
