//! The life of a machine: switched on, booted through firmware, loader and script, installed, switched on
//! again. Start at [`SimulatedMachine::live`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::simulate::address::UsableAddress;
use crate::simulate::agent::{self, AgentResult};
use crate::simulate::console::MachineConsole;
use crate::simulate::dhcp::{ClientLease, DhcpReach, DhcpSession};
use crate::simulate::failure::StepFailure;
use crate::simulate::firmware::{DhcpProgram, FirmwareKind, MachineIdentity};
use crate::simulate::http::{MachineHttp, UserAgent};
use crate::simulate::installer::{self, InstallResult};
use crate::simulate::interpreter::{
    EffectOutcome, ImageSelection, KernelBoot, ScriptEffect, ScriptInterpreter,
};
use crate::simulate::options::{FirmwareTiming, SimulateOptions};
use crate::simulate::script::{IpxeScript, SCRIPT_BYTES_MAX, ScriptSettings};
use crate::simulate::tftp;

/// Most power-ons of a machine in one run.
pub const POWER_ONS_MAX: u32 = 8;
/// Most scripts that one power-on fetches. The server's screens make a machine ask again and again; this ends
/// it.
const SCRIPTS_MAX: u32 = 4;

/// How a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineEnd {
    /// It booted its disk, and nothing was installed.
    Disk,
    Installed,
    Rehearsed,
    /// A script switched it off.
    Off,
    /// It runs a live system with nothing left to do.
    Live,
    /// Its installer waits for a person.
    Asks,
}

/// A simulated machine.
pub struct SimulatedMachine {
    pub options: Arc<SimulateOptions>,
    pub identity: MachineIdentity,
    /// Its address if no DHCP server gives one.
    pub fallback: std::net::Ipv4Addr,
    pub console: MachineConsole,
    pub installed: Option<InstallResult>,
    held: Option<UsableAddress>,
    /// The task during which the power is cut, once.
    cut_at: Option<String>,
}

/// The result of a power-on.
enum BootEnd {
    Kernel(KernelBoot),
    Disk,
    Reboot,
    Off,
}

/// The network of the machine's present program.
struct MachineNetwork {
    dhcp: Option<(DhcpSession, DhcpReach)>,
    http: MachineHttp,
    address: std::net::Ipv4Addr,
}

impl SimulatedMachine {
    pub fn new(options: Arc<SimulateOptions>, index: u32, console: MachineConsole) -> Self {
        let identity = MachineIdentity::of(options.mac_of(index));
        let fallback = options.address_of(index);
        let cut_at = options.power_off.clone();
        SimulatedMachine { options, identity, fallback, console, installed: None, held: None, cut_at }
    }

    /// The last address of the machine.
    pub fn address(&self) -> Option<std::net::Ipv4Addr> {
        self.held.as_ref().map(|held| held.address)
    }

    /// Runs until there is nothing left to boot.
    ///
    /// # Errors
    /// The first step that failed.
    pub async fn live(&mut self) -> Result<MachineEnd, StepFailure> {
        let mut why = "the first boot".to_owned();
        while self.console.power_ons() < POWER_ONS_MAX {
            self.console.power_on(&why).await;
            let mut network = self.connect().await?;
            why = match self.boot(&mut network).await? {
                BootEnd::Kernel(boot) => match self.run_kernel(&network, &boot).await? {
                    Some(why) => why,
                    None => return Ok(self.ended_without_disk()),
                },
                BootEnd::Reboot => "the script said so".to_owned(),
                BootEnd::Off => return Ok(MachineEnd::Off),
                BootEnd::Disk => match self.run_disk(&network).await? {
                    Some(why) => why,
                    None => return Ok(self.ended()),
                },
            };
        }
        let came = format!("it was switched on {POWER_ONS_MAX} times");
        Err(StepFailure::new("power", "an end of the workflow", came))
    }

    /// Releases what the machine holds.
    pub async fn switch_off(&mut self) {
        if let Some(held) = self.held.take() {
            held.release().await;
        }
    }

    fn ended_without_disk(&self) -> MachineEnd {
        match &self.installed {
            Some(installed) if installed.asks => MachineEnd::Asks,
            _ => MachineEnd::Live,
        }
    }

    fn ended(&self) -> MachineEnd {
        match &self.installed {
            None => MachineEnd::Disk,
            Some(installed) if installed.rehearsed => MachineEnd::Rehearsed,
            Some(_) => MachineEnd::Installed,
        }
    }

    async fn connect(&mut self) -> Result<MachineNetwork, StepFailure> {
        let dhcp = match self.options.reach() {
            Some(reach) => Some((DhcpSession::open(&reach, self.options.timing.dhcp_wait()).await?, reach)),
            None => {
                self.held = Some(UsableAddress::existing(self.fallback));
                None
            }
        };
        Ok(MachineNetwork { dhcp, http: MachineHttp::new(self.fallback)?, address: self.fallback })
    }

    /// Gets an address for a program of the machine; none if addresses come from elsewhere.
    async fn lease(
        &mut self,
        network: &mut MachineNetwork,
        speaker: DhcpProgram,
    ) -> Result<Option<ClientLease>, StepFailure> {
        let Some((dhcp, reach)) = &network.dhcp else { return Ok(None) };
        let lease = dhcp.lease(&self.identity, speaker, &mut self.console).await?;
        match self.address().filter(|address| *address != lease.address) {
            Some(held) => {
                let expected = format!("the address {held}, which the machine has already");
                Err(StepFailure::new(
                    "dhcp",
                    expected,
                    format!("{} came for another client of it", lease.address),
                ))
            }
            None => {
                if self.held.is_none() {
                    self.held = Some(UsableAddress::take(lease.address, lease.prefix, reach).await?);
                }
                if network.address != lease.address {
                    (network.address, network.http) = (lease.address, MachineHttp::new(lease.address)?);
                }
                Ok(Some(lease))
            }
        }
    }

    /// Firmware, loader and script.
    async fn boot(&mut self, network: &mut MachineNetwork) -> Result<BootEnd, StepFailure> {
        let firmware = self.options.firmware;
        let first = firmware.first();
        let mut lease = self.lease(network, first).await?;
        if lease.as_ref().is_some_and(|lease| !lease.boots(first)) {
            return Ok(self.go_to_disk("the firmware has nothing to boot").await);
        }
        if firmware != FirmwareKind::Ipxe {
            self.load(network, lease.as_ref()).await?;
            let ipxe = DhcpProgram::Ipxe(firmware);
            lease = self.lease(network, ipxe).await?;
            if lease.as_ref().is_some_and(|lease| !lease.boots(ipxe)) {
                return Ok(self.go_to_disk("iPXE has nothing to boot").await);
            }
        }
        let url = match &lease {
            Some(lease) => lease.boot_file.clone(),
            None => {
                let MachineIdentity { mac, uuid } = self.identity;
                format!("http://{}/boot.ipxe?mac={mac}&uuid={uuid}", self.options.boot_http())
            }
        };
        self.run_scripts(network, (url, lease.as_ref())).await
    }

    async fn go_to_disk(&mut self, why: &str) -> BootEnd {
        self.console.say("disk", format!("{why}: on to the disk")).await;
        BootEnd::Disk
    }

    /// The firmware loads iPXE.
    async fn load(
        &mut self,
        network: &MachineNetwork,
        lease: Option<&ClientLease>,
    ) -> Result<(), StepFailure> {
        let firmware = self.options.firmware;
        if firmware == FirmwareKind::Http {
            let url = lease.map_or_else(
                || format!("http://{}/{}", self.options.boot_http(), firmware.loader()),
                |lease| lease.boot_file.clone(),
            );
            return self.load_over_http(network, &url).await;
        }
        let (server, path) = match (lease, self.options.tftp) {
            (Some(lease), _) => (self.options.tftp_at(lease.next_server), lease.boot_file.clone()),
            (None, Some(server)) => (server, firmware.loader().to_owned()),
            (None, None) => return Ok(()),
        };
        let source = tftp::TftpSource {
            server,
            path,
            from: network.address,
            firmware,
            first_wait: self.options.timing.tftp_wait(),
        };
        tftp::load(&source, &mut self.console).await.map(drop)
    }

    async fn load_over_http(&mut self, network: &MachineNetwork, url: &str) -> Result<(), StepFailure> {
        let began = Instant::now();
        let head = network.http.head(UserAgent::Uefi, url).await?;
        let path = url.split(['?', '#']).next().unwrap_or(url);
        if head.content_type != "application/efi" && !path.ends_with(".efi") {
            let expected = format!("{url} to be of the type application/efi, or to end in .efi");
            return Err(StepFailure::new("http", expected, format!("its type is `{}`", head.content_type)));
        }
        self.console.step("http.head", began, format!("{url} has {} bytes", head.bytes)).await;
        let began = Instant::now();
        let bytes = network.http.count(UserAgent::Uefi, url).await?;
        if bytes != head.bytes {
            let expected = format!("the {} bytes of {url} that HEAD announced", head.bytes);
            return Err(StepFailure::new("http", expected, format!("{bytes} bytes came")));
        }
        self.console.step("http.get", began, format!("{url}, {bytes} bytes")).await;
        Ok(())
    }

    /// Runs scripts until one of them ends them.
    async fn run_scripts(
        &mut self,
        network: &MachineNetwork,
        (mut url, lease): (String, Option<&ClientLease>),
    ) -> Result<BootEnd, StepFailure> {
        let script = self.fetch_script(network, &url).await?;
        let mut interpreter = ScriptInterpreter::new(script, self.settings(network, lease));
        let (mut scripts, mut said) = (1, String::new());
        let mut outcome = EffectOutcome::Succeeded;
        loop {
            let effect = interpreter.next(outcome);
            let effect = effect
                .map_err(|fault| StepFailure::new("script", format!("{url} to run"), fault.to_string()))?;
            outcome = match effect {
                ScriptEffect::Say(text) => {
                    self.console.say("ipxe", text.clone()).await;
                    said = text;
                    EffectOutcome::Succeeded
                }
                ScriptEffect::Sleep { seconds } => self.sleep(seconds).await,
                ScriptEffect::Fetch { url: file, selects, .. } => {
                    self.fetch_image(network, (&url, &file), selects).await
                }
                ScriptEffect::Chain { url: next, place } => {
                    scripts += 1;
                    if scripts > SCRIPTS_MAX {
                        let came =
                            format!("{SCRIPTS_MAX} scripts only asked again; the last one said: {said}");
                        return Err(StepFailure::new("script", "a script that boots", came));
                    }
                    url = resolve((&url, &next));
                    match self.fetch_script(network, &url).await {
                        Ok(script) => {
                            let entered = interpreter.enter(script, place);
                            entered
                                .map_err(|fault| StepFailure::new("script", "to chain", fault.to_string()))?;
                            EffectOutcome::Succeeded
                        }
                        Err(failure) => self.unsuccessful(&failure).await,
                    }
                }
                ScriptEffect::Boot(boot) => return Ok(BootEnd::Kernel(boot)),
                ScriptEffect::Disk => return Ok(self.go_to_disk("the script starts the disk").await),
                ScriptEffect::Exit { code } => {
                    let why = format!("the script leaves to the firmware with {code}");
                    return Ok(self.go_to_disk(&why).await);
                }
                ScriptEffect::Reboot => return Ok(BootEnd::Reboot),
                ScriptEffect::PowerOff => return Ok(BootEnd::Off),
            };
        }
    }

    /// The settings that scripts can read.
    fn settings(&self, network: &MachineNetwork, lease: Option<&ClientLease>) -> ScriptSettings {
        let MachineIdentity { mac, uuid } = self.identity;
        let next_server = lease.map(|lease| lease.next_server.to_string()).unwrap_or_default();
        let filename = lease.map(|lease| lease.boot_file.clone()).unwrap_or_default();
        let pairs = [
            ("netX", "net0".to_owned()),
            ("mac", mac.to_string()),
            ("net0/mac", mac.to_string()),
            ("netX/mac", mac.to_string()),
            ("ip", network.address.to_string()),
            ("net0/ip", network.address.to_string()),
            ("netX/ip", network.address.to_string()),
            ("uuid", uuid.to_string()),
            ("platform", self.options.firmware.platform().to_owned()),
            ("buildarch", "x86_64".to_owned()),
            ("manufacturer", "Metalwright".to_owned()),
            ("product", "Simulated machine".to_owned()),
            ("next-server", next_server),
            ("filename", filename),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    async fn fetch_script(&mut self, network: &MachineNetwork, url: &str) -> Result<IpxeScript, StepFailure> {
        let began = Instant::now();
        let text = network.http.text(UserAgent::Ipxe, url, SCRIPT_BYTES_MAX).await?;
        let script = IpxeScript::parse(&text);
        let script = script.map_err(|fault| {
            StepFailure::new("script", format!("an iPXE script at {url}"), fault.to_string())
        })?;
        self.console.step("script", began, format!("{url}, {} bytes", text.len())).await;
        Ok(script)
    }

    async fn fetch_image(
        &mut self,
        network: &MachineNetwork,
        (script, file): (&str, &str),
        selects: ImageSelection,
    ) -> EffectOutcome {
        let step = if selects == ImageSelection::Kernel { "kernel" } else { "initrd" };
        let url = resolve((script, file));
        let began = Instant::now();
        match network.http.count(UserAgent::Ipxe, &url).await {
            Ok(bytes) => {
                self.console.step(step, began, format!("{url}, {bytes} bytes")).await;
                EffectOutcome::Succeeded
            }
            Err(failure) => self.unsuccessful(&failure).await,
        }
    }

    /// Prints a failure that the script may handle.
    async fn unsuccessful(&mut self, failure: &StepFailure) -> EffectOutcome {
        self.console.say("ipxe", failure.to_string()).await;
        EffectOutcome::Failed
    }

    async fn sleep(&mut self, seconds: u32) -> EffectOutcome {
        match self.options.timing {
            FirmwareTiming::Fast => self.console.say("ipxe", format!("sleeps {seconds} s (skipped)")).await,
            FirmwareTiming::Real => tokio::time::sleep(Duration::from_secs(seconds.into())).await,
        }
        EffectOutcome::Succeeded
    }

    /// Runs the kernel that was booted from the network. Returns why the machine is switched on next, if it
    /// is.
    async fn run_kernel(
        &mut self,
        network: &MachineNetwork,
        boot: &KernelBoot,
    ) -> Result<Option<String>, StepFailure> {
        let initrds = boot.initrds.join(" ");
        self.console.say("boot", format!("{} with {initrds}; {}", boot.kernel, boot.command_line)).await;
        if let Some(agent) = installer::agent_of(&boot.command_line) {
            return self.run_live(network, agent).await;
        }
        let Some(answer) = installer::answer_of(&boot.command_line) else {
            return Err(StepFailure::new(
                "boot",
                "a kernel command line that names an answer file (url=, preseed/url=, inst.ks=) or a live \
                 system's agent (metalwright.agent=)",
                boot.command_line.clone(),
            ));
        };
        if self.installed.is_some() {
            let came = format!("the installer was booted again, with {}", answer.url);
            return Err(StepFailure::new(
                "boot",
                "the disk, after the installer reported that it was done",
                came,
            ));
        }
        let mut network = MachineNetwork { dhcp: None, http: network.http.clone(), address: network.address };
        self.renew(&mut network, answer.speaker).await?;
        let installed = installer::install(&network.http, &answer, &self.options, &mut self.console).await?;
        let why = if installed.rehearsed { "the rehearsal switched it off" } else { "the installer reboots" };
        let why = (!installed.asks).then(|| why.to_owned());
        self.installed = Some(installed);
        Ok(why)
    }

    /// A live system runs its agent, which gets its configuration from the server.
    async fn run_live(
        &mut self,
        network: &MachineNetwork,
        agent: &str,
    ) -> Result<Option<String>, StepFailure> {
        let mut network = MachineNetwork { dhcp: None, http: network.http.clone(), address: network.address };
        self.renew(&mut network, DhcpProgram::Udhcpc).await?;
        let began = Instant::now();
        let configuration =
            network.http.text(UserAgent::Installer, agent, installer::DOCUMENT_BYTES_MAX).await?;
        self.console.step("file", began, format!("{agent}, {} bytes", configuration.len())).await;
        self.run_agent(&configuration).await
    }

    /// Runs the agent. Returns why the machine is switched on again, if it is.
    async fn run_agent(&mut self, configuration: &str) -> Result<Option<String>, StepFailure> {
        let cut_at = self.cut_at.as_deref();
        let host = agent::AgentHost { options: &self.options, mac: self.identity.mac, cut_at };
        Ok(match agent::work(configuration, host, &mut self.console).await? {
            AgentResult::Idle => None,
            AgentResult::Reboot(why) => Some(why),
            AgentResult::PowerCut => {
                let task = self.cut_at.take().unwrap_or_default();
                Some(format!("the power was cut in the middle of {task}"))
            }
        })
    }

    /// The operating system asks for an address of its own.
    async fn renew(&mut self, network: &mut MachineNetwork, speaker: DhcpProgram) -> Result<(), StepFailure> {
        if let Some(reach) = self.options.reach() {
            network.dhcp = Some((DhcpSession::open(&reach, self.options.timing.dhcp_wait()).await?, reach));
            self.lease(network, speaker).await?;
        }
        Ok(())
    }

    /// Runs the system on the disk. Returns why the machine is switched on again, if it is.
    async fn run_disk(&mut self, network: &MachineNetwork) -> Result<Option<String>, StepFailure> {
        let agent = self.installed.as_ref().and_then(|installed| installed.agent.clone());
        let Some(configuration) = agent else {
            let what = match self.ended() {
                MachineEnd::Installed => "no agent is installed",
                _ => "nothing was installed",
            };
            self.console.say("disk", format!("{what}; this machine is done")).await;
            return Ok(None);
        };
        let mut network = MachineNetwork { dhcp: None, http: network.http.clone(), address: network.address };
        self.renew(&mut network, DhcpProgram::NetworkManager).await?;
        self.run_agent(&configuration).await
    }
}

/// Resolves a URL of a script of `base`.
fn resolve((base, url): (&str, &str)) -> String {
    let joined = reqwest::Url::parse(base).and_then(|base| base.join(url));
    joined.map_or_else(|_| url.to_owned(), |url| url.to_string())
}
