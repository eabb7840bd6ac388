//! One change to a machine by the rules of its workflow, as one changeset: the machine, its job, the events.
//!
//! Everything that moves a machine goes through [`Runs::move_machine`]: actions, agents, installers,
//! power-ons and deadlines.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::kernel::{Caller, Error, STALE_RETRIES_MAX};
use crate::model::event::JobNow;
use crate::model::{
    Bootenv, EventBody, Job, JobState, Machine, Noun, Stage, StepKind, Stored, Task, Workflow, World,
};
use crate::runs::Runs;
use crate::runs::flow::{Flow, JobOutcome};
use crate::store::{self, Changeset, TrackedWorld};

/// A machine that is being changed, with what belongs to the change.
#[derive(Debug)]
pub struct MachineChange {
    before: Arc<Stored<Machine>>,
    /// The machine with its next status.
    pub machine: Stored<Machine>,
    changeset: Changeset,
    job_end: Option<JobOutcome>,
}

impl MachineChange {
    pub fn new(before: Arc<Stored<Machine>>, now: Timestamp) -> Self {
        MachineChange {
            machine: before.next_status(now),
            before,
            changeset: Changeset::default(),
            job_end: None,
        }
    }

    /// Applies rules to the machine's status; what they did becomes events.
    pub fn flow<R>(&mut self, at: (&Caller, &World), rules: impl FnOnce(&mut Flow<'_>) -> R) -> R {
        let (caller, world) = at;
        let mut flow = Flow::new(&mut self.machine.status, world, caller.now);
        let result = rules(&mut flow);
        self.job_end = flow.job_end().or(self.job_end.take());
        for body in flow.finish() {
            self.event(caller, body);
        }
        self.note_new_run(world);
        result
    }

    /// The faults of steps go: the run goes on.
    pub fn forget_step_faults(&mut self) {
        self.machine.faults.retain(|fault| !fault.pointer.starts_with("/status/steps"));
    }

    /// A run that begins needs the objects that it goes through: none of them may go, or become another,
    /// before the run is on disk. From then on the run keeps them (`rules::machine::running_through`).
    fn note_new_run(&mut self, world: &World) {
        let run = |machine: &Stored<Machine>| machine.status.run.as_ref().map(|run| run.id);
        if run(&self.machine) == run(&self.before) {
            return;
        }
        let tracked = TrackedWorld::new(world);
        let status = &self.machine.status;
        if let Some(run) = &status.run {
            tracked.get::<Workflow>(&run.workflow);
        }
        for step in &status.steps {
            tracked.get::<Stage>(&step.stage);
            let _ = match step.kind {
                StepKind::Bootenv => tracked.get::<Bootenv>(&step.name).is_some(),
                StepKind::Task => tracked.get::<Task>(&step.name).is_some(),
                StepKind::Stage => tracked.get::<Stage>(&step.name).is_some(),
            };
        }
        self.changeset.reads.extend(tracked.into_reads());
    }

    /// Adds an event about the machine.
    pub fn event(&mut self, caller: &Caller, body: impl Into<EventBody>) {
        let event = caller.event_about(&self.machine, body).in_attempt(self.attempt());
        self.changeset.events.push(event);
    }

    /// The attempt that the change belongs to.
    fn attempt(&self) -> Option<Uuid> {
        let status = [&self.machine.status, &self.before.status];
        status.into_iter().find_map(|status| status.boot_attempt.as_ref()).map(|attempt| attempt.id)
    }

    /// Adds a new job.
    pub fn create_job(&mut self, caller: &Caller, job: &Stored<Job>) {
        self.job_event(caller, job);
        self.changeset = std::mem::take(&mut self.changeset).create(Job::object(Arc::new(job.clone())));
    }

    /// Adds the next revision of a job.
    pub fn update_job(&mut self, caller: &Caller, job: &Stored<Job>) {
        self.job_event(caller, job);
        self.changeset = std::mem::take(&mut self.changeset).update(Job::object(Arc::new(job.clone())));
    }

    /// What happens to jobs is part of their machine's timeline.
    fn job_event(&mut self, caller: &Caller, job: &Stored<Job>) {
        let now = JobNow::new(&job.spec, &job.key);
        self.event(caller, job_event(job.spec.state, now));
    }

    /// The changeset. A job that the machine was taken from ends with it.
    fn into_changeset(mut self, at: (&Caller, &World)) -> (Arc<Stored<Machine>>, Changeset) {
        self.end_orphan(at);
        let changed = self.machine.status != self.before.status
            || self.machine.faults != self.before.faults
            || self.machine.spec != self.before.spec;
        let now = self.machine.status_updated_at.unwrap_or(self.machine.updated_at);
        let machine = Arc::new(self.machine.numbered_after(&self.before, now));
        match changed {
            true => (Arc::clone(&machine), self.changeset.update(Machine::object(machine))),
            false => (self.before, self.changeset),
        }
    }

    fn end_orphan(&mut self, (caller, world): (&Caller, &World)) {
        let Some(id) = self.before.status.job.filter(|id| self.machine.status.job != Some(*id)) else {
            return;
        };
        let key = id.to_string();
        let open = world.jobs.get(&key).filter(|job| job.spec.state.is_open());
        if let Some(job) = open.filter(|_| {
            !self.changeset.writes.iter().any(|write: &store::ChangesetWrite| match write {
                store::ChangesetWrite::Update(object) | store::ChangesetWrite::Create(object) => {
                    object.key() == key
                }
                store::ChangesetWrite::Delete { .. } => false,
            })
        }) {
            let mut job = job.next(caller.now);
            let JobOutcome { state, reason } = self.job_end.take().unwrap_or_else(|| JobOutcome {
                state: JobState::Cancelled,
                reason: self.machine.status.reason.clone(),
            });
            (job.spec.state, job.spec.reason) = (state, reason);
            job.spec.ended_at = Some(caller.now);
            self.update_job(caller, &job);
        }
    }
}

fn job_event(state: JobState, now: JobNow) -> EventBody {
    match state {
        JobState::Created => EventBody::JobCreated(now),
        JobState::Running => EventBody::JobStarted(now),
        JobState::Finished => EventBody::JobFinished(now),
        JobState::Failed => EventBody::JobFailed(now),
        JobState::Incomplete => EventBody::JobIncomplete(now),
        JobState::Cancelled => EventBody::JobCancelled(now),
        JobState::Lost => EventBody::JobLost(now),
    }
}

impl Runs {
    /// Moves a machine: `change` sees the newest revision and is called again when somebody else was
    /// quicker. Nothing is written when nothing changes.
    ///
    /// # Errors
    /// What `change` refuses, [`Error::NotFound`], or what the store says.
    pub async fn move_machine<R>(
        &self,
        caller: &Caller,
        key: &str,
        mut change: impl FnMut(&World, &mut MachineChange) -> Result<R, Error>,
    ) -> Result<(Arc<Stored<Machine>>, R), Error> {
        for _ in 0..STALE_RETRIES_MAX {
            let mut moving = MachineChange::new(self.kernel.get::<Machine>(key)?, caller.now);
            let result = change(&self.kernel.world(), &mut moving)?;
            if let Some(machine) = self.commit_move(caller, moving).await? {
                return Ok((machine, result));
            }
        }
        Err(Error::Busy(format!("machine {key} is being changed by many at once; try again")))
    }

    /// Commits a move; none when somebody else was quicker.
    pub async fn commit_move(
        &self,
        caller: &Caller,
        moving: MachineChange,
    ) -> Result<Option<Arc<Stored<Machine>>>, Error> {
        let (machine, changeset) = moving.into_changeset((caller, &self.kernel.world()));
        if changeset.writes.is_empty() && changeset.events.is_empty() {
            return Ok(Some(machine));
        }
        match self.kernel.try_commit(changeset).await {
            Ok(_) => Ok(Some(machine)),
            Err(store::StoreError::Stale { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }
}

/// The key of a job.
pub fn job_key(id: Uuid) -> String {
    id.to_string()
}
