//! Boot attempts: their beginning, their progress through script, kernel and system, and the documents that
//! could not be rendered on the way.

use uuid::Uuid;

use crate::kernel::{Caller, Error};
use crate::model::event::{BootKernelFetched, BootRenderFailed, NoFields};
use crate::model::{BootProgress, EventBody, Machine, Problem};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::attempt::{PowerOn, PowerOnEvidence};
use crate::netboot::decide::decision::{BootDecision, BootQuestion, Verdict};
use crate::netboot::decide::namespace::is_autoexec;
use crate::netboot::files::Fetch;
use crate::netboot::identify::about;
use crate::rate_limit::warn_limited;
use crate::render::RenderProblem;

/// Most faults of failed renders that are kept for one machine.
const FAULTS_MAX: usize = 16;

impl Netboot {
    /// Handles a request of a booting machine: begins an attempt if this is a new power-on. Returns the facts
    /// afterwards, and the decision.
    pub async fn powered_on(
        &self,
        mut gathered: BootFacts,
        power_on: PowerOn,
        asked: &BootQuestion,
    ) -> Result<(BootFacts, BootDecision), Error> {
        let now = self.kernel.now();
        let Some(machine) = gathered.machine.clone() else {
            let decision = gathered.decide(asked, now);
            return Ok((gathered, decision));
        };
        let caller = Caller::machine(&machine, now);
        let last = machine.status.boot_attempt.as_ref();
        let is_new = power_on.begins_attempt(last, now);
        let next_way = power_on.client_arch.filter(|_| !is_new && power_on.is_next_way(last, now));
        let is_open = last.is_some_and(|last| last.progress != BootProgress::Ended);
        let seen = last.map(|last| last.id);
        if is_new && (is_open || self.kernel.read(|world| gathered.needs_live_system(world))) {
            self.runs
                .flow(&caller, &machine.key, |flow| match power_on.evidence {
                    // Another request of the same power-on was faster.
                    _ if flow.latest_attempt() != seen => {}
                    PowerOnEvidence::Machine => flow.powered_on_again(),
                    PowerOnEvidence::Name => flow.doubt_live_system(),
                })
                .await?;
            gathered = self.again(&gathered);
        }
        let decision = gathered.decide(asked, now);
        if is_new {
            let (id, verdict) = (Uuid::now_v7(), decision.verdict.clone());
            self.runs
                .flow(&caller, &machine.key, |flow| {
                    if flow.attempt().is_some() {
                        // Another network interface of the machine was faster.
                        return;
                    }
                    flow.attempt_started(id, decision.verdict.bootenv().map(str::to_owned));
                    if let Some(attempt) = flow.attempt() {
                        attempt.progress = power_on.reached;
                        attempt.mac = power_on.mac;
                        attempt.client_arch = power_on.client_arch;
                        attempt.server = power_on.server;
                    }
                    flow.say(EventBody::BootDecided(verdict.clone()));
                })
                .await?;
            return Ok((self.again(&gathered), decision));
        }
        if let Some(arch) = next_way {
            self.runs.flow(&caller, &machine.key, |flow| flow.attempt_goes_on(arch)).await?;
        }
        if self.is_redirected(&gathered, &decision.verdict) {
            // An attempt that began before the machine was armed learns here what it boots.
            self.redirect(&gathered, &decision.verdict).await?;
        }
        self.progress(&gathered, power_on.reached).await?;
        Ok((self.again(&gathered), decision))
    }

    fn is_redirected(&self, gathered: &BootFacts, verdict: &Verdict) -> bool {
        let attempt = gathered.machine.as_ref().and_then(|machine| machine.status.boot_attempt.as_ref());
        attempt.is_some_and(|attempt| attempt.bootenv.as_deref() != verdict.bootenv())
    }

    /// The same facts, read again from the present world.
    fn again(&self, gathered: &BootFacts) -> BootFacts {
        self.kernel.read(|world| {
            let machine = gathered.machine.as_ref().and_then(|machine| world.machines.get(&machine.key));
            let mut again = BootFacts::of(world, &self.loaders, machine);
            again.subnet_mode = gathered.subnet_mode;
            again.client_arch = gathered.client_arch;
            again.asks.clone_from(&gathered.asks);
            again
        })
    }

    /// Handles a request for the boot script. If no DHCP packet has shown the power-on, the attempt begins
    /// here.
    pub async fn script_fetched(
        &self,
        fetch: &Fetch,
        gathered: BootFacts,
        asked: &BootQuestion,
    ) -> Result<(BootFacts, BootDecision), Error> {
        self.came_to_script(gathered.machine.as_deref(), fetch.hint.mac);
        let server = Some(fetch.local);
        let (progress, reached) = (BootProgress::Script, reached_by(&fetch.path));
        let is_early = gathered.attempt().is_some_and(|attempt| attempt.progress < reached);
        let evidence = self.evidence_of(fetch, &gathered);
        let power_on = PowerOn {
            evidence,
            progress,
            reached,
            mac: fetch.hint.mac,
            client_arch: None,
            server,
            repeated_since: None,
        };
        let (gathered, decision) = self.powered_on(gathered, power_on, asked).await?;
        if is_early && reached != progress {
            let about = about(gathered.machine.as_deref());
            self.note_boot_event(&about, EventBody::BootScriptFetched(NoFields {}));
        }
        Ok((gathered, decision))
    }

    /// Whether the peer's address is the machine's, or its name in the URL is all that there is.
    fn evidence_of(&self, fetch: &Fetch, gathered: &BootFacts) -> PowerOnEvidence {
        let here = self.kernel.read(|world| self.machine_at(world, fetch.peer));
        match (&gathered.machine, here) {
            (Some(machine), Some(here)) if here.key == machine.key => PowerOnEvidence::Machine,
            _ => PowerOnEvidence::Name,
        }
    }

    async fn redirect(&self, gathered: &BootFacts, verdict: &Verdict) -> Result<(), Error> {
        let Some(machine) = &gathered.machine else { return Ok(()) };
        let (step, bootenv) = (gathered.step(), verdict.bootenv().map(str::to_owned));
        self.runs
            .flow(&Caller::machine(machine, self.kernel.now()), &machine.key, |flow| {
                if let Some(attempt) = flow.attempt() {
                    attempt.bootenv.clone_from(&bootenv);
                    attempt.step = step;
                }
                flow.say(EventBody::BootDecided(verdict.clone()));
            })
            .await?;
        Ok(())
    }

    /// Records that the attempt came at least this far. It is on disk when this returns; a repeated fetch
    /// writes nothing.
    pub async fn progress(&self, gathered: &BootFacts, progress: BootProgress) -> Result<(), Error> {
        let Some(machine) = &gathered.machine else { return Ok(()) };
        let attempt = machine.status.boot_attempt.as_ref();
        if attempt.is_none_or(|attempt| attempt.progress >= progress) {
            return Ok(());
        }
        self.runs
            .flow(&Caller::machine(machine, self.kernel.now()), &machine.key, |flow| match progress {
                BootProgress::Kernel => {
                    flow.kernel_fetched();
                    let bootenv = flow.attempt().and_then(|attempt| attempt.bootenv.clone());
                    flow.say(BootKernelFetched { bootenv });
                }
                BootProgress::System => {
                    flow.system_seen();
                    flow.say(EventBody::BootAnswerFetched(NoFields {}));
                }
                BootProgress::Script => {
                    flow.attempt_progress(progress);
                    flow.say(EventBody::BootScriptFetched(NoFields {}));
                }
                _ => flow.attempt_progress(progress),
            })
            .await?;
        Ok(())
    }

    /// Records that a document of the machine could not be rendered: an event, and a fault that stays until
    /// it can.
    pub async fn render_failed(&self, gathered: &BootFacts, label: &str, problem: &RenderProblem) {
        let Some(machine) = &gathered.machine else {
            warn_limited!(label, %problem, "render failed");
            return;
        };
        let caller = Caller::machine(machine, self.kernel.now());
        let attempt = machine.status.boot_attempt.as_ref().map(|attempt| attempt.id);
        let fault = Problem::from(problem).at(fault_pointer(label));
        let changed = self.kernel.change::<Machine>(&machine.key, caller.now, |next| {
            next.faults.retain(|held| held.pointer != fault.pointer);
            next.faults.truncate(FAULTS_MAX - 1);
            next.faults.push(fault.clone());
            let failed = BootRenderFailed { label: label.to_owned(), problem: problem.clone() };
            Ok(vec![caller.event_about(next, failed).in_attempt(attempt)])
        });
        if let Err(error) = changed.await {
            let machine = &machine.spec.name;
            warn_limited!(machine, label, %problem, %error, "a failed render was not recorded");
        }
    }

    /// Removes faults: those of a document that renders again, or those of all documents.
    pub async fn mended(&self, gathered: &BootFacts, label: Option<&str>) {
        let Some(machine) = &gathered.machine else { return };
        let pointer = label.map_or_else(|| DOCUMENTS.to_owned(), fault_pointer);
        let goes = |held: &Problem| match label {
            Some(_) => held.pointer == pointer,
            None => held.pointer.starts_with(&pointer),
        };
        if !machine.faults.iter().any(goes) {
            return;
        }
        let changed = self.kernel.change::<Machine>(&machine.key, self.kernel.now(), |next| {
            next.faults.retain(|held| !goes(held));
            Ok(Vec::new())
        });
        if let Err(error) = changed.await {
            warn_limited!(machine = machine.spec.name, label, %error, "a fault that is gone is still shown");
        }
    }
}

/// The progress of an attempt that fetched a script. iPXE since 2021 fetches `autoexec.ipxe` over the
/// firmware's network and asks for an address of its own afterwards, which does not begin another attempt.
fn reached_by(path: &str) -> BootProgress {
    if is_autoexec(path) { BootProgress::Loader } else { BootProgress::Script }
}

/// The pointer to the faults of documents among a machine's problems.
const DOCUMENTS: &str = "/documents/";

fn fault_pointer(label: &str) -> String {
    format!("{DOCUMENTS}{}", label.replace('~', "~0").replace('/', "~1"))
}
