//! What an agent does next, as a function of what it heard.

use std::time::Duration;

use crate::model::{AfterJob, Ended, JobOffer, JobWork, ended_by_exit};

/// How long the server may hold back its answer, in seconds.
pub const POLL_SECONDS: u32 = 55;
/// The same for an agent that ends when there is nothing to do: long enough for a task that failed
/// once or twice to come again.
pub const ONCE_POLL_SECONDS: u32 = 5;
/// How often an agent that ends when there is nothing to do tries to reach a server that is away.
const ONCE_FAILURES_MAX: u32 = 15;
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// Pause after being told to reboot without being allowed to.
const MAY_NOT_REBOOT_PAUSE: Duration = Duration::from_secs(60);

/// Whether the agent may reboot the machine and power it off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Power {
    Allowed,
    #[default]
    Forbidden,
}

/// How long the agent works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// There is nothing to do at the moment.
    Idle,
    /// It is stopped.
    #[default]
    Stopped,
}

/// How an agent behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    pub power: Power,
    pub until: Until,
}

/// Why a call to the server did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The network, or a server that restarts: the same call may go well later.
    #[error("{0}")]
    Passing(String),
    /// The job is not in the state the agent thinks.
    #[error("{0}")]
    Conflict(String),
    /// The server does not want to hear this.
    #[error("{0}")]
    Refused(String),
}

/// What the agent heard or saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Offer(JobOffer),
    Nothing {
        ask_again_after: Duration,
    },
    /// A job was reported; its script asked for this.
    JobEnded(Option<AfterJob>),
    Trouble(Trouble),
}

/// Why an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Idle,
    /// A task asked the agent to stop.
    Stopped,
    /// The machine goes down.
    Leaving,
    Failed(String),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Do {
    Ask { wait_seconds: u32 },
    AskAfter(Duration),
    Run(Box<JobWork>),
    Reboot { reason: String },
    PowerOff,
    End(End),
}

/// The memory of the loop.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    manner: Manner,
    /// Calls in a row that did not reach the server.
    failures: u32,
}

impl Steps {
    pub fn new(manner: Manner) -> Self {
        Steps { manner, failures: 0 }
    }

    /// The first thing to do.
    pub fn ask(&self) -> Do {
        let wait_seconds = match self.manner.until {
            Until::Idle => ONCE_POLL_SECONDS,
            Until::Stopped => POLL_SECONDS,
        };
        Do::Ask { wait_seconds }
    }

    /// What to do after `heard`.
    pub fn step(&mut self, heard: Heard) -> Do {
        if !matches!(heard, Heard::Trouble(Trouble::Passing(_))) {
            self.failures = 0;
        }
        match heard {
            Heard::Offer(JobOffer::Run(work)) => Do::Run(work),
            Heard::Offer(JobOffer::Reboot { reason }) => self.leave(Do::Reboot { reason }),
            Heard::Nothing { ask_again_after } => match self.manner.until {
                Until::Idle => Do::End(End::Idle),
                Until::Stopped => Do::AskAfter(ask_again_after),
            },
            Heard::JobEnded(None) => self.ask(),
            Heard::JobEnded(Some(AfterJob::Stop)) => Do::End(End::Stopped),
            Heard::JobEnded(Some(AfterJob::Reboot)) => {
                self.leave(Do::Reboot { reason: "the task asked for it".to_owned() })
            }
            Heard::JobEnded(Some(AfterJob::PowerOff)) => self.leave(Do::PowerOff),
            Heard::Trouble(Trouble::Passing(why)) => self.away(why),
            // The job under way was ended by the server; there may be another.
            Heard::Trouble(Trouble::Conflict(_)) => Do::AskAfter(back_off(1)),
            Heard::Trouble(Trouble::Refused(why)) => Do::End(End::Failed(why)),
        }
    }

    fn leave(&self, how: Do) -> Do {
        match (self.manner.power, self.manner.until) {
            (Power::Allowed, _) => how,
            (Power::Forbidden, Until::Idle) => Do::End(End::Idle),
            (Power::Forbidden, Until::Stopped) => Do::AskAfter(MAY_NOT_REBOOT_PAUSE),
        }
    }

    fn away(&mut self, why: String) -> Do {
        self.failures += 1;
        match self.manner.until {
            Until::Idle if self.failures >= ONCE_FAILURES_MAX => Do::End(End::Failed(why)),
            _ => Do::AskAfter(back_off(self.failures)),
        }
    }
}

/// The pause after so many failures in a row: 1 s, doubling.
pub fn back_off(failures: u32) -> Duration {
    let seconds = 1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(BACK_OFF_MAX)
}

/// Where a script stands among the scripts of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Last,
    Earlier,
}

/// The exit code of a job whose script ended it with `exit`. A script that is not the last and wants to
/// stop, power off or reboot leaves the job incomplete: it runs again from its beginning.
pub fn job_exit(exit: i32, place: Place) -> i32 {
    match (place, ended_by_exit(exit)) {
        (Place::Earlier, Ended { after: Some(_), .. }) if exit < 128 => exit + 128,
        _ => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Manner = Manner { power: Power::Allowed, until: Until::Stopped };
    const ONCE: Manner = Manner { power: Power::Forbidden, until: Until::Idle };

    fn reboot() -> Heard {
        Heard::Offer(JobOffer::Reboot { reason: "r".into() })
    }

    #[test]
    fn a_service_goes_on_and_an_agent_run_once_ends() {
        let pause = Duration::from_secs(5);
        let nothing = || Heard::Nothing { ask_again_after: pause };
        let refused = || Heard::Trouble(Trouble::Refused("no".into()));
        let table = [
            (SERVICE, nothing(), Do::AskAfter(pause)),
            (ONCE, nothing(), Do::End(End::Idle)),
            (SERVICE, reboot(), Do::Reboot { reason: "r".into() }),
            (ONCE, reboot(), Do::End(End::Idle)),
            (Manner { power: Power::Forbidden, ..SERVICE }, reboot(), Do::AskAfter(MAY_NOT_REBOOT_PAUSE)),
            (SERVICE, Heard::JobEnded(None), Do::Ask { wait_seconds: POLL_SECONDS }),
            (ONCE, Heard::JobEnded(None), Do::Ask { wait_seconds: ONCE_POLL_SECONDS }),
            (SERVICE, Heard::JobEnded(Some(AfterJob::Stop)), Do::End(End::Stopped)),
            (SERVICE, Heard::JobEnded(Some(AfterJob::PowerOff)), Do::PowerOff),
            (ONCE, Heard::JobEnded(Some(AfterJob::PowerOff)), Do::End(End::Idle)),
            (SERVICE, refused(), Do::End(End::Failed("no".into()))),
        ];
        for (manner, heard, expected) in table {
            assert_eq!(Steps::new(manner).step(heard.clone()), expected, "{manner:?} {heard:?}");
        }
    }

    #[test]
    fn a_server_that_is_away_is_asked_more_and_more_rarely() {
        let away = || Heard::Trouble(Trouble::Passing("away".into()));
        let mut steps = Steps::new(SERVICE);
        let pauses: Vec<Do> = (0..8).map(|_| steps.step(away())).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60];
        assert_eq!(pauses, seconds.map(|s| Do::AskAfter(Duration::from_secs(s))));
        steps.step(Heard::JobEnded(None));
        assert_eq!(steps.step(away()), Do::AskAfter(Duration::from_secs(1)));
        let mut once = Steps::new(ONCE);
        let all: Vec<Do> = (0..ONCE_FAILURES_MAX).map(|_| once.step(away())).collect();
        assert_eq!(all.last().cloned(), Some(Do::End(End::Failed("away".into()))));
    }

    #[test]
    fn a_reboot_in_the_middle_of_a_job_leaves_it_incomplete() {
        for (exit, last, earlier) in [(0, 0, 0), (64, 64, 192), (16, 16, 144), (192, 192, 192), (1, 1, 1)] {
            assert_eq!((job_exit(exit, Place::Last), job_exit(exit, Place::Earlier)), (last, earlier));
        }
    }
}
