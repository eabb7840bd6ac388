//! What is overdue: boots, arming, waits and jobs that did not come to an end by themselves.
//!
//! The server's loop sleeps until [`next_deadline`] or a commit, and then calls [`Runs::expire`]. It
//! sleeps at least a second, so that a deadline that cannot be met does not keep it busy.

use jiff::{SignedDuration, Timestamp};

use crate::kernel::{Caller, Error};
use crate::model::{JobState, MachineStatus, World};
use crate::runs::Runs;
use crate::runs::flow::SILENCE_SECONDS;
use crate::runs::jobs::{end_lost, end_open};
use crate::runs::machine_change::{MachineChange, job_key};

/// Most deadlines of one machine that are carried out in one go.
const DEADLINES_PER_MACHINE_MAX: usize = 8;

/// The time, and since when the server runs: agents could not be heard before.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineWatch {
    pub now: Timestamp,
    pub up_since: Timestamp,
}

/// When something will be overdue next, in the whole world.
pub fn next_deadline(world: &World, watch: DeadlineWatch) -> Option<Timestamp> {
    world.machines.iter().filter_map(|machine| due_at(&machine.status, world, watch)).min()
}

/// When something of one machine will be overdue.
fn due_at(status: &MachineStatus, world: &World, watch: DeadlineWatch) -> Option<Timestamp> {
    let attempt = status.boot_attempt.as_ref().filter(|attempt| attempt.result.is_none());
    let boot = attempt.and_then(|attempt| attempt.deadline);
    let step = match status.job {
        Some(id) => job_due(id, status, (world, watch)).map(|(at, _)| at),
        None => status.waiting.as_ref().and_then(|waiting| waiting.overdue_at),
    };
    [boot, status.armed_until, step].into_iter().flatten().min()
}

/// When the job under way is overdue, and as what it ends then.
fn job_due(
    id: uuid::Uuid,
    status: &MachineStatus,
    (world, watch): (&World, DeadlineWatch),
) -> Option<(Timestamp, JobState)> {
    let Some(job) = world.jobs.get(&job_key(id)) else { return Some((watch.now, JobState::Lost)) };
    let heard = [status.last_seen, Some(job.updated_at), Some(watch.up_since)].into_iter().flatten().max()?;
    let silent = heard.saturating_add(SignedDuration::from_secs(SILENCE_SECONDS)).unwrap_or(Timestamp::MAX);
    match job.spec.deadline {
        deadline if deadline <= silent => Some((deadline, JobState::Failed)),
        _ => Some((silent, JobState::Lost)),
    }
}

impl Runs {
    /// Ends what is overdue; returns how many machines that moved.
    ///
    /// # Errors
    /// What the store says; what was done before stays done.
    pub async fn expire(&self, watch: DeadlineWatch) -> Result<usize, Error> {
        let due: Vec<String> = self.kernel.read(|world| {
            let overdue =
                |status: &MachineStatus| due_at(status, world, watch).is_some_and(|at| at <= watch.now);
            world.machines.iter().filter(|m| overdue(&m.status)).map(|m| m.key.clone()).collect()
        });
        let caller = Caller::server(watch.now);
        for key in &due {
            match self
                .move_machine(&caller, key, |world, moving| expire_one(&caller, world, (moving, watch)))
                .await
            {
                Ok(_) | Err(Error::NotFound { .. } | Error::Busy(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(due.len())
    }
}

fn expire_one(
    caller: &Caller,
    world: &World,
    (moving, watch): (&mut MachineChange, DeadlineWatch),
) -> Result<(), Error> {
    for _ in 0..DEADLINES_PER_MACHINE_MAX {
        let status = moving.machine.status.clone();
        if due_at(&status, world, watch).is_none_or(|at| at > watch.now) {
            break;
        }
        match status.job.and_then(|id| job_due(id, &status, (world, watch))) {
            Some((at, JobState::Failed)) if at <= watch.now => {
                end_open(caller, world, moving, JobState::Failed, "it did not end in its time");
            }
            Some((at, _)) if at <= watch.now => {
                end_lost(caller, world, (moving, "its agent was silent too long"))
            }
            _ => moving.flow((caller, world), |flow| flow.expire()),
        }
    }
    Ok(())
}
