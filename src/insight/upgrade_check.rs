//! The check of an upgrade: what another version of a pack would change of the documents of machines. The
//! documents of each machine's workflow are rendered with the content of its channel as it is, and as it
//! would be; `upgrade_diff` compares them. It changes nothing. Start at [`Insight::check_upgrade`].
//!
//! One call checks some of the machines, so that it ends in bounded time with bounded memory, and says where
//! the next one goes on. All machines of a call are rendered with the one content before the other, because a
//! render worker has the templates of one content loaded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::catalog::channel_content::channel_of;
use crate::catalog::params::SecretMode;
use crate::catalog::rendering::{BootContext, RenderPurpose, task_file_text};
use crate::insight::Insight;
use crate::insight::preflight::{PreflightScope, RunOutline, RunPlace};
use crate::insight::upgrade_diff::{MachineDocuments, UpgradeGroup, changes, group};
use crate::kernel::{Caller, Error};
use crate::model::{
    BootenvKind, Channel, Machine, PROD_CHANNEL, Pack, Problem, RefusalCode, Stored, Task, World,
};
use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::documents::BootDocument;
use crate::objects::lanes::WorkFlag;
use crate::render::{ProblemKind, RenderInput, RenderProblem, RenderedText};

/// Most machines of one call.
const MACHINES_MAX: usize = 100;
/// Most documents of one machine, and most bytes of them. What is beyond that is not compared.
const DOCUMENTS_MAX: usize = 128;
const MACHINE_BYTES_MAX: usize = 16 << 20;
/// Most bytes of the documents of one call before it takes no further machine.
const CALL_BYTES_MAX: usize = 64 << 20;
/// How long a call takes further machines.
const CALL_TIME: Duration = Duration::from_secs(8);
/// Most threads that render for one call.
const THREADS_MAX: usize = 4;

/// What is checked.
#[derive(Clone, Debug)]
pub struct UpgradeQuestion {
    /// The name of the pack.
    pub pack: String,
    /// The version; by default the newest that is loaded.
    pub to: Option<String>,
    /// The channel; by default `prod`.
    pub channel: Option<String>,
    /// So many machines, evenly taken from all; by default all.
    pub sample: Option<usize>,
    /// The id of the machine after which this call goes on.
    pub after: Option<String>,
}

/// What an upgrade changes for some of the machines of a channel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UpgradeReport {
    pub pack: String,
    pub channel: String,
    /// The version that the channel has; null if it does not have the pack.
    pub from: Option<String>,
    pub to: String,
    /// Number of machines that are checked in all.
    pub total: usize,
    /// Number of machines that this call checked.
    pub checked: usize,
    /// Number of those for which nothing changes.
    pub unchanged: usize,
    /// Number of those without a workflow: nothing is rendered for them.
    pub without_workflow: usize,
    /// The machines for which something changes, those that fail first.
    pub groups: Vec<UpgradeGroup>,
    /// Where the next call goes on: its `after`. Null if all machines were checked.
    pub next: Option<String>,
}

/// The two contents that are compared.
struct UpgradeContents {
    channel: String,
    from: Option<String>,
    to: String,
    before: Arc<World>,
    after: Arc<World>,
    /// The content that the tables show, which says which machine follows which channel.
    tables: Arc<World>,
}

impl Insight {
    /// Renders what the machines of a channel would get with another version of a pack, and compares it with
    /// what they would get now.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such pack, version or channel, or packs do not fit each other;
    /// [`Error::Busy`].
    pub async fn check_upgrade(
        self: &Arc<Self>,
        caller: &Caller,
        question: UpgradeQuestion,
    ) -> Result<UpgradeReport, Error> {
        let (insight, caller) = (Arc::clone(self), caller.clone());
        let checking = self.checks.run_in_pieces(move |flag| {
            let contents = insight.upgrade_contents(&caller, &question)?;
            let machines = insight.machines_of_channel(&caller, (&contents, &question));
            insight.compare_fleet((&contents, &question), &machines, flag)
        });
        checking.await?
    }

    /// Blocks.
    fn upgrade_contents(
        &self,
        caller: &Caller,
        question: &UpgradeQuestion,
    ) -> Result<UpgradeContents, Error> {
        let channel = question.channel.as_deref().unwrap_or(PROD_CHANNEL);
        let to = self.kernel.read(|world| chosen_version(world, caller, question))?;
        let tables = self.catalog.content();
        let present = caller.find::<Channel>(&tables, channel).map_err(|_| {
            let what = format!("there is no channel `{channel}`");
            Problem::new("/channel", what).coded(RefusalCode::NotFound)
        })?;
        let mut packs = present.spec.packs.clone();
        let from = packs.insert(question.pack.clone(), to.clone());
        let before = match channel {
            PROD_CHANNEL => Arc::clone(&tables),
            _ => self.catalog.content_with((&tables, &present.spec.packs))?,
        };
        let after = self.catalog.content_with((&tables, &packs))?;
        Ok(UpgradeContents { channel: channel.to_owned(), from, to, before, after, tables })
    }

    /// The machines that are checked, in the order of their ids.
    fn machines_of_channel(
        &self,
        caller: &Caller,
        (contents, question): (&UpgradeContents, &UpgradeQuestion),
    ) -> Vec<Arc<Stored<Machine>>> {
        let all: Vec<Arc<Stored<Machine>>> =
            self.kernel.read(|world| caller.visible(&world.machines).cloned().collect());
        let of_channel =
            all.into_iter().filter(|machine| channel_of(&contents.tables, &machine.spec) == contents.channel);
        let of_channel: Vec<_> = of_channel.collect();
        match question.sample.filter(|sample| *sample < of_channel.len()) {
            Some(sample) => {
                let count = of_channel.len();
                let taken = (0..sample).filter_map(|place| of_channel.get(place * count / sample.max(1)));
                taken.cloned().collect()
            }
            None => of_channel,
        }
    }

    /// Blocks.
    fn compare_fleet(
        &self,
        (contents, question): (&UpgradeContents, &UpgradeQuestion),
        machines: &[Arc<Stored<Machine>>],
        flag: &WorkFlag,
    ) -> Result<UpgradeReport, Error> {
        let after = question.after.as_deref();
        let begin = machines.partition_point(|machine| after.is_some_and(|after| *machine.key <= *after));
        let open = machines.get(begin..).unwrap_or_default();
        let open = open.get(..MACHINES_MAX.min(open.len())).unwrap_or_default();
        let until = Instant::now() + CALL_TIME;
        let before = self.render_fleet(open, &contents.before, (until, flag))?;
        let checked = before.iter().take_while(|documents| documents.is_some()).count();
        let open = open.get(..checked).unwrap_or_default();
        // What was rendered with the one content is rendered with the other.
        let late = until + Duration::from_secs(u64::MAX >> 32);
        let after = self.render_fleet(open, &contents.after, (late, flag))?;
        let next = open.last().filter(|_| begin + checked < machines.len()).map(|last| last.key.clone());
        let (mut found, mut unchanged, mut without_workflow) = (Vec::new(), 0, 0);
        for (machine, documents) in open.iter().zip(before.into_iter().zip(after)) {
            let (Some(before), Some(after)) = documents else { continue };
            if before.is_empty() && after.is_empty() {
                without_workflow += 1;
                continue;
            }
            match changes(machine, (&before, &after)) {
                Some(changed) => found.push((machine.spec.name.clone(), changed)),
                None => unchanged += 1,
            }
        }
        Ok(UpgradeReport {
            pack: question.pack.clone(),
            channel: contents.channel.clone(),
            from: contents.from.clone(),
            to: contents.to.clone(),
            total: machines.len(),
            checked,
            unchanged,
            without_workflow,
            groups: group(found),
            next,
        })
    }

    /// The documents of machines with one content; none for those that were not taken in time.
    ///
    /// # Errors
    /// [`Error::Busy`] if no render worker was free for one.
    fn render_fleet(
        &self,
        machines: &[Arc<Stored<Machine>>],
        content: &Arc<World>,
        (until, flag): (Instant, &WorkFlag),
    ) -> Result<Vec<Option<MachineDocuments>>, Error> {
        let done: Mutex<Vec<Option<MachineDocuments>>> = Mutex::new(vec![None; machines.len()]);
        let (taken, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let busy: Mutex<Option<Error>> = Mutex::default();
        let render = || {
            loop {
                let place = taken.fetch_add(1, Ordering::Relaxed);
                let Some(machine) = machines.get(place) else { return };
                let is_full = bytes.load(Ordering::Relaxed) > CALL_BYTES_MAX || Instant::now() >= until;
                if flag.is_given_up() || (place > 0 && is_full) {
                    return;
                }
                match self.documents_of((machine, content), flag) {
                    Ok(documents) => {
                        let size: usize = documents.values().flatten().map(String::len).sum();
                        bytes.fetch_add(size, Ordering::Relaxed);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(slot) = done.get_mut(place) {
                            *slot = Some(documents);
                        }
                    }
                    Err(error) => {
                        *busy.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return;
                    }
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        thread::scope(|scope| {
            // This thread renders too; if the system gives no other one, it does all of it.
            for _ in 1..threads {
                let _ = thread::Builder::new().name("check".to_owned()).spawn_scoped(scope, render);
            }
            render();
        });
        match busy.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// The documents of the machine's workflow: of its own, of the setting's, or of its last run.
    fn documents_of(
        &self,
        (machine, content): (&Arc<Stored<Machine>>, &Arc<World>),
        flag: &WorkFlag,
    ) -> Result<MachineDocuments, Error> {
        let last = machine.status.run.as_ref().map(|run| run.workflow.clone());
        let Some(workflow) = content.workflow_of(&machine.spec).or(last) else { return Ok(BTreeMap::new()) };
        let outline = RunOutline { content, machine, run: None };
        let mut documents = CollectedDocuments::default();
        let Some(parts) = outline.parts(&PreflightScope::Workflow(Some(workflow.clone())), flag) else {
            let why = format!("there is no workflow `{workflow}`");
            return Ok(BTreeMap::from([(START.to_owned(), Err(why))]));
        };
        let found: Vec<String> = parts.found.iter().map(|problem| problem.message.clone()).collect();
        if !found.is_empty() {
            documents.add(START.to_owned(), Err(found.join("\n")));
        }
        for place in &parts.places {
            let boot = self.hypothetical_boot((&parts.machine, content), place);
            let boot = BootContext { purpose: RenderPurpose::Check, ..boot };
            if place.boots {
                self.collect_boot(&boot, &mut documents);
            }
            self.collect_tasks((&boot, place), &mut documents);
            if flag.is_given_up() || documents.busy.is_some() {
                break;
            }
        }
        match documents.busy {
            Some(why) => Err(Error::Busy(why)),
            None => Ok(documents.found),
        }
    }

    fn collect_boot(&self, boot: &BootContext, documents: &mut CollectedDocuments) {
        let bootenv = boot.bootenv.as_ref().filter(|bootenv| bootenv.spec.kind != BootenvKind::Local);
        let Some(bootenv) = bootenv else { return };
        let mut wanted = Vec::new();
        if boot.files().is_some() {
            wanted.push(("boot.ipxe".to_owned(), BootDocument::BootScript(ScriptKind::Ipxe)));
        }
        match self.netboot.rendered_files(boot) {
            Ok(files) => {
                wanted.extend(files.into_iter().map(|(path, file)| (path, BootDocument::File(file.clone()))));
            }
            Err(problem) => documents.note(format!("{}/paths", bootenv.key), Err(problem)),
        }
        for (path, document) in wanted {
            let rendered = self.netboot.render_document(boot, &document, SecretMode::Redacted);
            documents.note(format!("{}/{path}", bootenv.key), rendered);
        }
    }

    /// Only the task and the job differ from one task of a place to the next.
    fn collect_tasks(&self, (boot, place): (&BootContext, &RunPlace), documents: &mut CollectedDocuments) {
        if place.tasks.is_empty() {
            return;
        }
        match self.catalog.input(boot, SecretMode::Redacted) {
            Ok(input) => {
                place.tasks.iter().for_each(|task| self.collect_task((boot, &input), task, documents));
            }
            Err(problem) => documents.note("params".to_owned(), Err(problem)),
        }
    }

    fn collect_task(
        &self,
        (boot, input): (&BootContext, &RenderInput),
        task: &Stored<Task>,
        documents: &mut CollectedDocuments,
    ) {
        let mut input = input.clone();
        input.variables.insert("task".into(), json!({"name": task.key}));
        input.variables.insert("job".into(), json!({"id": Uuid::nil()}));
        let engine = self.catalog.engine_for(boot);
        for template in &task.spec.templates {
            if documents.is_full() {
                return;
            }
            let rendered = task_file_text(&engine, (task.key.as_str(), template), &input);
            documents.note(format!("{}/{}", task.key, template.name), rendered);
        }
    }
}

/// The name of the entry for what prevents a start.
const START: &str = "start";

/// The documents of one machine so far.
#[derive(Default)]
struct CollectedDocuments {
    found: MachineDocuments,
    bytes: usize,
    /// Why a document was not rendered, although nothing is wrong with it.
    busy: Option<String>,
}

impl CollectedDocuments {
    fn is_full(&self) -> bool {
        self.found.len() >= DOCUMENTS_MAX || self.bytes >= MACHINE_BYTES_MAX
    }

    fn note(&mut self, path: String, rendered: Result<RenderedText, RenderProblem>) {
        match rendered {
            Ok(rendered) => self.add(path, Ok(rendered.text)),
            Err(problem) if problem.kind == ProblemKind::Busy => self.busy = Some(problem.to_string()),
            Err(problem) => self.add(path, Err(problem.to_string())),
        }
    }

    fn add(&mut self, path: String, outcome: Result<String, String>) {
        if !self.is_full() {
            self.bytes += outcome.as_ref().map_or(0, String::len);
            self.found.insert(path, outcome);
        }
    }
}

/// The version that is checked: the named one, or the newest that is loaded.
fn chosen_version(world: &World, caller: &Caller, question: &UpgradeQuestion) -> Result<String, Error> {
    let versions =
        caller.visible(&world.packs).filter(|row: &&Arc<Stored<Pack>>| row.spec.pack == question.pack);
    let versions: Vec<&str> = versions.map(|row| row.spec.version.as_str()).collect();
    let newest = versions.iter().copied().max_by_key(|version| Version::parse(version).ok());
    match (&question.to, newest) {
        (_, None) => {
            let what = format!("there is no pack `{}`: load it with `metalwright packs push`", question.pack);
            Err(Problem::new("/pack", what).coded(RefusalCode::NotFound).into())
        }
        (Some(named), Some(_)) if !versions.contains(&named.as_str()) => {
            let what = format!(
                "there is no version {named} of pack `{}`; there are: {}",
                question.pack,
                versions.join(", ")
            );
            Err(Problem::new("/to", what).coded(RefusalCode::NotFound).into())
        }
        (Some(named), Some(_)) => Ok(named.clone()),
        (None, Some(newest)) => Ok(newest.to_owned()),
    }
}
