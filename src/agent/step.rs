//! The next action of an agent, as a function of the last answer.

use std::time::Duration;

use crate::model::{AfterJob, JobEnd, JobOffer, JobWork, ended_by_exit};

/// How long the server may delay its answer, in seconds.
pub const POLL_SECONDS: u32 = 55;
/// The same for an agent that ends when it is idle: long enough for a failed task to be handed out again.
pub const ONCE_POLL_SECONDS: u32 = 5;
/// How often an agent that ends when it is idle tries to reach the server.
const ONCE_FAILURES_MAX: u32 = 15;
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// Pause after a requested reboot that the policy forbids.
const MAY_NOT_REBOOT_PAUSE: Duration = Duration::from_secs(60);

/// Whether the agent may reboot the machine and power it off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PowerPolicy {
    Allowed,
    #[default]
    Forbidden,
}

/// When the agent ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopCondition {
    /// When there is nothing to do.
    Idle,
    /// When it is stopped.
    #[default]
    Stopped,
}

/// The agent's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentPolicy {
    pub power: PowerPolicy,
    pub until: StopCondition,
}

/// Why a call to the server failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The network failed, or the server restarts: the same call may succeed later.
    #[error("{0}")]
    Passing(String),
    /// The job is in another state than the agent expected.
    #[error("{0}")]
    Conflict(String),
    /// The server refused the call.
    #[error("{0}")]
    Refused(String),
}

/// An answer or an event.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentInput {
    Offer(JobOffer),
    Nothing {
        ask_again_after: Duration,
    },
    /// A job was reported; its script asked for this.
    JobEnded(Option<AfterJob>),
    Trouble(CallError),
}

/// Why an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentEnd {
    Idle,
    /// A task asked the agent to stop.
    Stopped,
    /// The machine reboots or powers off.
    Leaving,
    Failed(String),
}

/// The next action.
#[derive(Clone, Debug, PartialEq)]
pub enum NextAction {
    Ask { wait_seconds: u32 },
    AskAfter(Duration),
    Run(Box<JobWork>),
    Reboot { reason: String },
    PowerOff,
    End(AgentEnd),
}

/// The state of the loop.
#[derive(Clone, Debug, Default)]
pub struct AgentSteps {
    manner: AgentPolicy,
    /// Consecutive calls that did not reach the server.
    failures: u32,
}

impl AgentSteps {
    pub fn new(manner: AgentPolicy) -> Self {
        AgentSteps { manner, failures: 0 }
    }

    /// The first action.
    pub fn ask(&self) -> NextAction {
        let wait_seconds = match self.manner.until {
            StopCondition::Idle => ONCE_POLL_SECONDS,
            StopCondition::Stopped => POLL_SECONDS,
        };
        NextAction::Ask { wait_seconds }
    }

    /// The action after `heard`.
    pub fn step(&mut self, heard: AgentInput) -> NextAction {
        if !matches!(heard, AgentInput::Trouble(CallError::Passing(_))) {
            self.failures = 0;
        }
        match heard {
            AgentInput::Offer(JobOffer::Run(work)) => NextAction::Run(work),
            AgentInput::Offer(JobOffer::Reboot { reason }) => self.leave(NextAction::Reboot { reason }),
            AgentInput::Nothing { ask_again_after } => match self.manner.until {
                StopCondition::Idle => NextAction::End(AgentEnd::Idle),
                StopCondition::Stopped => NextAction::AskAfter(ask_again_after),
            },
            AgentInput::JobEnded(None) => self.ask(),
            AgentInput::JobEnded(Some(AfterJob::Stop)) => NextAction::End(AgentEnd::Stopped),
            AgentInput::JobEnded(Some(AfterJob::Reboot)) => {
                self.leave(NextAction::Reboot { reason: "the task asked for it".to_owned() })
            }
            AgentInput::JobEnded(Some(AfterJob::PowerOff)) => self.leave(NextAction::PowerOff),
            AgentInput::Trouble(CallError::Passing(why)) => self.away(why),
            // The server ended the job; there may be another one.
            AgentInput::Trouble(CallError::Conflict(_)) => NextAction::AskAfter(back_off(1)),
            AgentInput::Trouble(CallError::Refused(why)) => NextAction::End(AgentEnd::Failed(why)),
        }
    }

    fn leave(&self, how: NextAction) -> NextAction {
        match (self.manner.power, self.manner.until) {
            (PowerPolicy::Allowed, _) => how,
            (PowerPolicy::Forbidden, StopCondition::Idle) => NextAction::End(AgentEnd::Idle),
            (PowerPolicy::Forbidden, StopCondition::Stopped) => NextAction::AskAfter(MAY_NOT_REBOOT_PAUSE),
        }
    }

    fn away(&mut self, why: String) -> NextAction {
        self.failures += 1;
        match self.manner.until {
            StopCondition::Idle if self.failures >= ONCE_FAILURES_MAX => {
                NextAction::End(AgentEnd::Failed(why))
            }
            _ => NextAction::AskAfter(back_off(self.failures)),
        }
    }
}

/// The pause after so many consecutive failures: 1 s, doubling.
pub fn back_off(failures: u32) -> Duration {
    let seconds = 1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(BACK_OFF_MAX)
}

/// The position of a script among the scripts of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptPlace {
    Last,
    Earlier,
}

/// The exit code of a job whose script ended with `exit`. If a script that is not the last one asks for a
/// stop, power-off or reboot, the job is incomplete: it runs again from its beginning.
pub fn job_exit(exit: i32, place: ScriptPlace) -> i32 {
    match (place, ended_by_exit(exit)) {
        (ScriptPlace::Earlier, JobEnd { after: Some(_), .. }) if exit < 128 => exit + 128,
        _ => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: AgentPolicy = AgentPolicy { power: PowerPolicy::Allowed, until: StopCondition::Stopped };
    const ONCE: AgentPolicy = AgentPolicy { power: PowerPolicy::Forbidden, until: StopCondition::Idle };

    fn reboot() -> AgentInput {
        AgentInput::Offer(JobOffer::Reboot { reason: "r".into() })
    }

    #[test]
    fn a_service_goes_on_and_an_agent_run_once_ends() {
        let pause = Duration::from_secs(5);
        let nothing = || AgentInput::Nothing { ask_again_after: pause };
        let refused = || AgentInput::Trouble(CallError::Refused("no".into()));
        let table = [
            (SERVICE, nothing(), NextAction::AskAfter(pause)),
            (ONCE, nothing(), NextAction::End(AgentEnd::Idle)),
            (SERVICE, reboot(), NextAction::Reboot { reason: "r".into() }),
            (ONCE, reboot(), NextAction::End(AgentEnd::Idle)),
            (
                AgentPolicy { power: PowerPolicy::Forbidden, ..SERVICE },
                reboot(),
                NextAction::AskAfter(MAY_NOT_REBOOT_PAUSE),
            ),
            (SERVICE, AgentInput::JobEnded(None), NextAction::Ask { wait_seconds: POLL_SECONDS }),
            (ONCE, AgentInput::JobEnded(None), NextAction::Ask { wait_seconds: ONCE_POLL_SECONDS }),
            (SERVICE, AgentInput::JobEnded(Some(AfterJob::Stop)), NextAction::End(AgentEnd::Stopped)),
            (SERVICE, AgentInput::JobEnded(Some(AfterJob::PowerOff)), NextAction::PowerOff),
            (ONCE, AgentInput::JobEnded(Some(AfterJob::PowerOff)), NextAction::End(AgentEnd::Idle)),
            (SERVICE, refused(), NextAction::End(AgentEnd::Failed("no".into()))),
        ];
        for (manner, heard, expected) in table {
            assert_eq!(AgentSteps::new(manner).step(heard.clone()), expected, "{manner:?} {heard:?}");
        }
    }

    #[test]
    fn a_server_that_is_away_is_asked_more_and_more_rarely() {
        let away = || AgentInput::Trouble(CallError::Passing("away".into()));
        let mut steps = AgentSteps::new(SERVICE);
        let pauses: Vec<NextAction> = (0..8).map(|_| steps.step(away())).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60];
        assert_eq!(pauses, seconds.map(|s| NextAction::AskAfter(Duration::from_secs(s))));
        steps.step(AgentInput::JobEnded(None));
        assert_eq!(steps.step(away()), NextAction::AskAfter(Duration::from_secs(1)));
        let mut once = AgentSteps::new(ONCE);
        let all: Vec<NextAction> = (0..ONCE_FAILURES_MAX).map(|_| once.step(away())).collect();
        assert_eq!(all.last().cloned(), Some(NextAction::End(AgentEnd::Failed("away".into()))));
    }

    #[test]
    fn a_reboot_in_the_middle_of_a_job_leaves_it_incomplete() {
        for (exit, last, earlier) in [(0, 0, 0), (64, 64, 192), (16, 16, 144), (192, 192, 192), (1, 1, 1)] {
            assert_eq!(
                (job_exit(exit, ScriptPlace::Last), job_exit(exit, ScriptPlace::Earlier)),
                (last, earlier)
            );
        }
    }
}
