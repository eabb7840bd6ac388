//! Deadlines: boots, arming, waits and jobs that did not end in time.
//!
//! The server's loop sleeps until [`next_deadline`] or a commit, and then calls [`Runs::expire`]. It sleeps
//! at least a second, so that a deadline that cannot be carried out does not keep it busy.

use jiff::{SignedDuration, Timestamp};

use crate::kernel::{Caller, Error};
use crate::model::{JobState, MachineStatus, MachineWait, World};
use crate::runs::Runs;
use crate::runs::flow::SILENCE_SECONDS;
use crate::runs::jobs::{end_lost, end_open};
use crate::runs::machine_change::{MachineChange, job_key};

/// Most deadlines of one machine that one call carries out.
const DEADLINES_PER_MACHINE_MAX: usize = 8;

/// The present time, and the start of the server: agents could not be heard before it.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineWatch {
    pub now: Timestamp,
    pub up_since: Timestamp,
}

/// The next deadline in the whole world.
pub fn next_deadline(world: &World, watch: DeadlineWatch) -> Option<Timestamp> {
    world.machines.iter().filter_map(|machine| due_at(&machine.status, world, watch)).min()
}

/// The next deadline of one machine.
fn due_at(status: &MachineStatus, world: &World, watch: DeadlineWatch) -> Option<Timestamp> {
    let attempt = status.boot_attempt.as_ref().filter(|attempt| attempt.result.is_none());
    let boot = attempt.and_then(|attempt| attempt.deadline);
    let step = match status.job {
        Some(id) => job_due(id, status, (world, watch)).map(|(at, _)| at),
        None => status.waiting.as_ref().and_then(|waiting| waiting.overdue_at),
    };
    let usual = status.waiting.as_ref().and_then(MachineWait::becomes_overdue_at);
    [boot, status.armed_until, step, doubt_due(status, watch), usual].into_iter().flatten().min()
}

/// When a live system that is in doubt counts as lost. Its agent could not be heard before the server's
/// start.
fn doubt_due(status: &MachineStatus, watch: DeadlineWatch) -> Option<Timestamp> {
    let since = status.live_system.doubted_at?.max(watch.up_since);
    Some(since.saturating_add(SignedDuration::from_secs(SILENCE_SECONDS)).unwrap_or(Timestamp::MAX))
}

/// The deadline of the running job, and the state that it ends in then.
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
    /// Carries out the deadlines that have passed; returns for how many machines.
    ///
    /// # Errors
    /// Those of the store; what was done before stays done.
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
        if doubt_due(&status, watch).is_some_and(|at| at <= watch.now) {
            moving.flow((caller, world), |flow| flow.live_system_silent());
            continue;
        }
        match status.job.and_then(|id| job_due(id, &status, (world, watch))) {
            Some((at, JobState::Failed)) if at <= watch.now => {
                end_open(caller, world, moving, JobState::Failed, "it did not end in time");
            }
            Some((at, _)) if at <= watch.now => {
                end_lost(caller, world, (moving, "its agent was silent too long"))
            }
            _ => moving.flow((caller, world), |flow| flow.expire()),
        }
    }
    Ok(())
}
