//! One change of a machine by the rules of its workflow, as one changeset: the machine, its run, its job, the
//! events.
//!
//! Every change of a machine's run uses [`Runs::move_machine`]: actions, agents, installers, power-ons and
//! deadlines.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::catalog::disk_choice::disk_rule;
use crate::catalog::keeping::KeptContent;
use crate::kernel::{
    Caller, Changeset, ChangesetRead, ChangesetWrite, Error, STALE_RETRIES_MAX, StoreError, WriterHold,
};
use crate::model::event::{FaultsAcceptance, JobNow, MachineParamsGenerated, RunEnded};
use crate::model::{
    ContentView, EventBody, Job, JobState, Machine, Noun, Object, Run, RunEntry, RunResult, RunStep, Stored,
    World,
};
use crate::runs::Runs;
use crate::runs::actions::AcceptedFaults;
use crate::runs::flow::{Flow, JobOutcome, Position, RunStart, note_entry};

/// What a rehearsal erases.
const REHEARSAL: &str = "nothing: it is a rehearsal";
/// What an installer erases that does not ask for the rule of the disks.
const UNKNOWN_DISKS: &str = "the disks that its installer chooses";

/// A machine that is being changed, with its run and everything else that belongs to the change.
#[derive(Debug)]
pub struct MachineChange {
    before: Arc<Stored<Machine>>,
    /// The machine with its next status.
    pub machine: Stored<Machine>,
    run_before: Option<Arc<Stored<Run>>>,
    /// The next revision of the run that the machine's status names.
    run: Option<Stored<Run>>,
    now: Timestamp,
    changeset: Changeset,
    job_end: Option<JobOutcome>,
}

impl MachineChange {
    pub fn new(before: Arc<Stored<Machine>>, world: &World, now: Timestamp) -> Self {
        let named = before.status.run.as_ref().map(|run| run.id.to_string());
        let run_before = named.and_then(|id| world.runs.get(&id)).cloned();
        MachineChange {
            machine: before.next_status(now),
            before,
            run: run_before.as_ref().map(|run| run.next(now)),
            run_before,
            now,
            changeset: Changeset::default(),
            job_end: None,
        }
    }

    /// The run that the machine's status names.
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref().map(|run| &run.spec)
    }

    /// The same run in the form that renders hold.
    pub fn stored_run(&self) -> Option<Arc<Stored<Run>>> {
        self.run.clone().map(Arc::new)
    }

    pub fn steps(&self) -> &[RunStep] {
        self.run().map_or(&[], |run| &run.steps)
    }

    /// The machine's position in its run, with the content that the run sees.
    pub fn position<'a>(&'a self, world: &'a World) -> Position<'a> {
        let content = ContentView::of_run(world, self.run());
        Position { status: &self.machine.status, steps: self.steps(), content }
    }

    /// Applies rules to the machine's status and its run. What they did becomes events, and entries in the
    /// run's record.
    pub fn flow<R>(&mut self, at: (&Caller, &World), rules: impl FnOnce(&mut Flow<'_>) -> R) -> R {
        let (caller, world) = at;
        let run = self.run.as_mut().map(|run| &mut run.spec);
        let mut flow = Flow::new((&mut self.machine.status, run), world, caller.now);
        let result = rules(&mut flow);
        self.job_end = flow.job_end().or(self.job_end.take());
        for mut body in flow.finish() {
            self.note_target(world, &mut body);
            if let Some(run) = &mut self.run {
                let by = &caller.actor.to_string();
                note_entry(&mut run.spec, (caller.now, by), (self.machine.status.cursor, &body));
            }
            self.event(caller, body);
        }
        result
    }

    /// Says of an arming what the boot erases, in its event and in the machine's status.
    fn note_target(&mut self, world: &World, body: &mut EventBody) {
        let EventBody::MachineArmed(armed) = body else { return };
        let content = ContentView::of_run(world, self.run());
        let stage = armed.stage.as_ref().and_then(|name| content.stage(name)).map(|stage| &stage.spec);
        let rehearses = self.machine.status.run.as_ref().is_some_and(|run| run.rehearse);
        let bootenv = content.bootenv(&armed.bootenv).map(|bootenv| &bootenv.spec);
        let rule = bootenv.map(|bootenv| disk_rule(content, (&self.machine.spec, stage), bootenv));
        let erases = match rule {
            _ if rehearses => REHEARSAL.to_owned(),
            Some(Ok(Some(rule))) => rule.words(),
            _ => UNKNOWN_DISKS.to_owned(),
        };
        armed.erases = Some(erases.clone());
        if self.machine.status.armed_until.is_some() {
            self.machine.status.erases = erases;
        }
    }

    /// Says in the run's record which faults were accepted, if there are any.
    pub fn note_accepted(&mut self, caller: &Caller, accepted: &AcceptedFaults) {
        let (Some(run), false) = (&mut self.run, accepted.faults.is_empty()) else { return };
        let AcceptedFaults { faults, reason } = accepted.clone();
        run.spec.accepted.clone_from(&faults);
        let (workflow, stage) = (Some(run.spec.workflow.clone()), self.machine.status.stage.clone());
        let accepted = FaultsAcceptance { run: run.key.parse().ok(), reason, faults, workflow, stage };
        let body = EventBody::RunFaultsAccepted(accepted);
        let by = caller.actor.to_string();
        note_entry(&mut run.spec, (caller.now, &by), (self.machine.status.cursor, &body));
        self.event(caller, body);
    }

    /// Removes the faults of steps, because the run continues.
    pub fn forget_step_faults(&mut self) {
        self.machine.faults.retain(|fault| !fault.pointer.starts_with("/status/steps"));
    }

    /// Begins a run. The previous run ends as superseded if it has not ended.
    pub fn begin_run(&mut self, at: (&Caller, &World), (beginning, run): (RunStart, Run)) {
        self.flow(at, |flow| flow.make_way());
        self.supersede(at.0);
        self.run_before = None;
        self.run = Some(Stored::new(beginning.id.to_string(), run, self.now));
        self.flow(at, |flow| flow.start(beginning));
    }

    /// Replaces the content of the run.
    pub fn refresh_run(&mut self, at: (&Caller, &World), (steps, kept): (Vec<RunStep>, &KeptContent)) {
        let Some(run) = self.run.as_mut().map(|run| &mut run.spec) else { return };
        let before = run.content.clone();
        run.steps = steps;
        kept.name_in(run);
        self.flow(at, |flow| flow.refresh(before.as_deref()));
    }

    /// Adds the content that the run keeps, and what was read to find it. `None` if it has to be found anew.
    pub fn keep(&mut self, world: &World, (kept, reads): (&KeptContent, Vec<ChangesetRead>)) -> Option<()> {
        let changeset = std::mem::take(&mut self.changeset).with_reads(reads);
        self.changeset = kept.commit_with(world, changeset)?;
        Some(())
    }

    /// Adds params that were made for the machine. Their names are in an event, their values nowhere.
    pub fn add_generated(&mut self, caller: &Caller, params: BTreeMap<String, Value>) {
        if params.is_empty() {
            return;
        }
        let names = params.keys().cloned().collect();
        self.machine.spec.params.extend(params);
        self.event(caller, MachineParamsGenerated { params: names });
    }

    fn supersede(&mut self, caller: &Caller) {
        let Some(mut run) = self.run.take().filter(|run| run.spec.is_open()) else { return };
        run.spec.end(RunResult::Superseded, self.now);
        let (seconds, workflow) = (run.spec.seconds, Some(run.spec.workflow.clone()));
        run.spec.add_entry(RunEntry {
            at: caller.now,
            what: "run.ended".to_owned(),
            by: caller.actor.to_string(),
            step: self.machine.status.cursor,
            text: "superseded".to_owned(),
        });
        if let Ok(id) = run.key.parse() {
            self.event(caller, RunEnded { run: id, result: RunResult::Superseded, seconds, workflow });
        }
        self.changeset = std::mem::take(&mut self.changeset).update(Run::object(Arc::new(run)));
    }

    /// Adds an event about the machine.
    pub fn event(&mut self, caller: &Caller, body: impl Into<EventBody>) {
        let event = caller.event_about(&self.machine, body).in_attempt(self.attempt());
        self.changeset.events.push(event);
    }

    /// The boot attempt that the change belongs to.
    fn attempt(&self) -> Option<Uuid> {
        let status = [&self.machine.status, &self.before.status];
        status.into_iter().find_map(|status| status.boot_attempt.as_ref()).map(|attempt| attempt.id)
    }

    /// Adds a new job.
    pub fn create_job(&mut self, caller: &Caller, job: &Stored<Job>) {
        self.note_job(job);
        self.job_event(caller, job);
        self.changeset = std::mem::take(&mut self.changeset).create(Job::object(Arc::new(job.clone())));
    }

    /// Adds the next revision of a job.
    pub fn update_job(&mut self, caller: &Caller, job: &Stored<Job>) {
        self.note_job(job);
        self.job_event(caller, job);
        self.changeset = std::mem::take(&mut self.changeset).update(Job::object(Arc::new(job.clone())));
    }

    /// Records a job in its run. A job that ends later belongs to a run that has ended.
    fn note_job(&mut self, job: &Stored<Job>) {
        let (Ok(id), Some(run)) = (job.key.parse(), self.run.as_mut()) else { return };
        if run.key == job.spec.run.to_string() {
            run.spec.note_job(id, &job.spec);
        }
    }

    /// Adds the event of a job to the machine's timeline.
    fn job_event(&mut self, caller: &Caller, job: &Stored<Job>) {
        let now = JobNow::new(&job.spec, &job.key);
        self.event(caller, job_event(job.spec.state, now));
    }

    /// The changeset. If the change took the machine from an open job, the job ends with it. The run is
    /// written only if it changed, which is not so when an agent merely asks for work.
    fn into_changeset(mut self, at: (&Caller, &World)) -> (Arc<Stored<Machine>>, Changeset) {
        self.end_orphan(at);
        if let Some(run) = self.run.take() {
            let write = match &self.run_before {
                None => Some(Changeset::create as fn(Changeset, Object) -> Changeset),
                Some(before) => (before.spec != run.spec).then_some(Changeset::update as fn(_, _) -> _),
            };
            if let Some(write) = write {
                self.changeset = write(self.changeset, Run::object(Arc::new(run)));
            }
        }
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
        let is_written = self.changeset.writes.iter().any(|write| match write {
            ChangesetWrite::Update(object) | ChangesetWrite::Create(object) => object.key() == key,
            ChangesetWrite::Delete { .. } => false,
        });
        let open = world.jobs.get(&key).filter(|job| job.spec.state.is_open() && !is_written);
        let Some(job) = open else { return };
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
    /// Changes a machine. `change` gets the newest revision, and is called again if another writer was
    /// faster. Nothing is written if nothing changes.
    ///
    /// # Errors
    /// The refusal of `change`, [`Error::NotFound`], or those of the store.
    pub async fn move_machine<R>(
        &self,
        caller: &Caller,
        key: &str,
        mut change: impl FnMut(&World, &mut MachineChange) -> Result<R, Error>,
    ) -> Result<(Arc<Stored<Machine>>, R), Error> {
        for _ in 0..STALE_RETRIES_MAX {
            let before = self.kernel.get::<Machine>(key)?;
            let (moving, result) = self.kernel.read(|world| {
                let mut moving = MachineChange::new(before, world, caller.now);
                let result = change(world, &mut moving)?;
                Ok::<_, Error>((moving, result))
            })?;
            if let Some(machine) = self.commit_move(caller, moving).await? {
                return Ok((machine, result));
            }
        }
        Err(Error::Busy(format!("machine {key} is being changed by many at once; try again")))
    }

    /// Commits a change; none if another writer was faster.
    pub async fn commit_move(
        &self,
        caller: &Caller,
        moving: MachineChange,
    ) -> Result<Option<Arc<Stored<Machine>>>, Error> {
        self.commit_held(caller, moving, None).await
    }

    /// Like [`Runs::commit_move`], through the hold if there is one.
    pub(super) async fn commit_held(
        &self,
        caller: &Caller,
        moving: MachineChange,
        hold: Option<WriterHold>,
    ) -> Result<Option<Arc<Stored<Machine>>>, Error> {
        let (machine, changeset) = self.kernel.read(|world| moving.into_changeset((caller, world)));
        if changeset.writes.is_empty() && changeset.events.is_empty() {
            return Ok(Some(machine));
        }
        match self.kernel.commit_with(hold, changeset).await {
            Ok(_) => Ok(Some(machine)),
            Err(StoreError::Stale { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }
}

/// The key of a job.
pub fn job_key(id: Uuid) -> String {
    id.to_string()
}
