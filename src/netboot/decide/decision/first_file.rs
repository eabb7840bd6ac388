//! The file that firmware starts with: iPXE as the tables say, another loader if the bootenv names one,
//! signed loaders for Secure Boot. A name is given only if the file exists.

use super::{BootGrant, BootQuestion, DecisionFacts, DecisionRule, RuleTrace};
use crate::model::{Arch, Bootenv, Machine, Stored, SubnetMode, is_template};
use crate::netboot::decide::chainload::{ROUNDS_MAX, ROUNDS_WITHIN, goes_round};
use crate::netboot::decide::client::NetbootClient;
use crate::netboot::decide::loader::{self, LoaderTransport, NextStage, next_stage};
use crate::netboot::decide::signed::{self, SecureBoot};

use jiff::Timestamp;

/// Why there is no https URL, and what to do about it.
pub const HTTPS_IS_OFF: &str = "the HTTPS boot listener is off; start the server with \
     `--boot-https ADDRESS:PORT` (`boot.https`)";

/// Why the bootenv cannot be started with the loaders that it or Secure Boot requires: a file is missing.
pub(super) fn fault(
    asked: &BootQuestion,
    facts: &DecisionFacts<'_>,
    (machine, bootenv): (&Stored<Machine>, &Stored<Bootenv>),
) -> Option<String> {
    let files = bootenv.spec.arches.get(&machine.spec.arch)?;
    let is_bios = is_bios(asked, machine);
    if facts.secure_boot != SecureBoot::Off && !is_bios {
        match (signed_start(facts, machine.spec.arch), facts.secure_boot) {
            (Err(why), SecureBoot::Required) => return Some(why),
            (Err(_), _) => {}
            (Ok(_), _) => return None,
        }
    }
    let name = files.loader.as_deref().filter(|name| loader::is_for_bios(name) == is_bios)?;
    let is_there = facts.loaders.is_none_or(|loaders| loaders.contains(name));
    (!is_there).then(|| {
        let bootenv = &bootenv.spec.name;
        let needs = loader::companion(name)
            .map_or_else(String::new, |needed| format!(", or {needed} is not, which it needs"));
        format!(
            "the loader {name} that {bootenv} names is not on the server{needs}: install the package that \
             has it, or put it into the folder `loaders` of the data directory, and restart the server"
        )
    })
}

/// The first file of the chain that the machine's bootenv names.
fn signed_start(facts: &DecisionFacts<'_>, arch: Arch) -> Result<String, String> {
    let bootenv = facts.bootenv.ok_or_else(|| "there is no bootenv".to_owned())?;
    let chain = bootenv.spec.arches.get(&arch).and_then(|files| files.secure_boot.as_deref());
    let chain = chain.ok_or_else(|| {
        let name = &bootenv.spec.name;
        format!("{name} names no signed loaders for {arch}: its `secure_boot` is empty")
    })?;
    match facts.loaders {
        Some(loaders) if facts.subnet_mode == Some(SubnetMode::Proxy) => {
            signed::start_beside(chain, arch, loaders)
        }
        Some(loaders) => signed::start(chain, arch, loaders),
        None => Err("it is not known which loaders there are".to_owned()),
    }
}

/// Whether the firmware that sent the request, or began the boot, is a BIOS.
fn is_bios(asked: &BootQuestion, machine: &Stored<Machine>) -> bool {
    let code = match asked {
        BootQuestion::BootData(client) => client.arches.first().copied(),
        _ => machine.status.boot_attempt.as_ref().and_then(|attempt| attempt.client_arch),
    };
    code.is_some_and(loader::is_bios)
}

impl RuleTrace {
    pub(super) fn first_file(
        &mut self,
        client: &NetbootClient,
        facts: &DecisionFacts<'_>,
        now: Timestamp,
    ) -> BootGrant {
        let answer = match next_stage(client) {
            Ok(NextStage::Script) => return BootGrant::ScriptUrl,
            Ok(NextStage::Server { menu }) => {
                let answer = BootGrant::BootServer { menu };
                self.passed("loader", answer.to_string());
                return answer;
            }
            Ok(NextStage::File(file)) => {
                let is_path = !file.contains("://") && !is_template(&file);
                let over = if is_path { LoaderTransport::of(client) } else { LoaderTransport::Tftp };
                if let Some(why) = no_https(client, over, facts) {
                    return self.refused(why);
                }
                let answer = BootGrant::BootFile { file, over };
                self.passed("loader", answer.to_string());
                return answer;
            }
            Ok(NextStage::FullIpxe(name)) => {
                BootGrant::LoaderUrl { name: name.to_owned(), over: LoaderTransport::Tftp }
            }
            Ok(NextStage::Loader { name, transport }) => {
                match self.firmware_loader(client, (name, transport), facts) {
                    Ok(answer) => answer,
                    Err(why) => return self.refused(why),
                }
            }
            Err(why) => return self.refused(why.to_string()),
        };
        if let (BootGrant::Loader { name } | BootGrant::LoaderUrl { name, .. }, Some(loaders)) =
            (&answer, facts.loaders)
            && !loaders.contains(name)
        {
            return self.refused(format!("the loader {name} is not installed on the server"));
        }
        self.passed("loader", answer.to_string());
        self.unless_round(answer, facts, now)
    }

    /// The loader for firmware whose usual loader is `name`.
    fn firmware_loader(
        &mut self,
        client: &NetbootClient,
        (name, transport): (&'static str, LoaderTransport),
        facts: &DecisionFacts<'_>,
    ) -> Result<BootGrant, String> {
        if let Some(why) = no_https(client, transport, facts) {
            return Err(why);
        }
        let is_bios = client.arches.first().copied().is_some_and(loader::is_bios);
        let arch = loader::loader_named(name).map_or(Arch::Amd64, |loader| loader.arch);
        let signed = if is_bios { None } else { self.signed_loader(facts, arch)? };
        let name = match (signed, transport, facts.loaders) {
            (Some(start), LoaderTransport::Http | LoaderTransport::Https, Some(loaders)) => {
                signed::over_http(&start, loaders)
            }
            (Some(start), ..) => start,
            (None, ..) => usual_loader(facts, name, client).to_owned(),
        };
        Ok(match transport {
            LoaderTransport::Tftp => BootGrant::Loader { name },
            over => BootGrant::LoaderUrl { name: on_a_disk(name, facts, arch), over },
        })
    }

    /// The signed loader to begin with; `None` if unsigned loaders are allowed.
    fn signed_loader(&mut self, facts: &DecisionFacts<'_>, arch: Arch) -> Result<Option<String>, String> {
        if facts.secure_boot == SecureBoot::Off {
            return Ok(None);
        }
        // A screen, or a script for an unknown machine, boots no kernel: any chain can show it.
        let found = signed_start(facts, arch).or_else(|why| {
            let boots = facts.bootenv.is_some() && facts.secure_boot == SecureBoot::Preferred;
            facts.loaders.and_then(|loaders| signed::any_start(arch, loaders)).filter(|_| !boots).ok_or(why)
        });
        match (found, facts.secure_boot) {
            (Ok(start), _) => {
                self.passed("secure_boot", format!("signed loaders, beginning with {start}"));
                Ok(Some(start))
            }
            (Err(why), SecureBoot::Required) => Err(format!("Secure Boot is required, and {why}")),
            (Err(why), _) => {
                let detail = format!("{why}; firmware with Secure Boot on refuses the usual loader");
                self.passed("secure_boot", detail);
                Ok(None)
            }
        }
    }

    /// Refuses a loader that leads back to the same request: it would be fetched for ever.
    fn unless_round(&mut self, answer: BootGrant, facts: &DecisionFacts<'_>, now: Timestamp) -> BootGrant {
        let Some(loader) = answer.loader() else { return answer };
        if !goes_round(facts.asks, loader, now) {
            return answer;
        }
        let minutes = ROUNDS_WITHIN.as_mins();
        let detail = format!(
            "it got the loader {} {ROUNDS_MAX} times in {minutes} minutes and never came to its script: \
             it gets nothing for a while. The firmware does not run this loader, or the loader finds no \
             network. Name another in the bootenv's `loader`, or put a newer one into the folder `loaders`",
            loader.0
        );
        self.rules.push(DecisionRule { rule: "chainload", matched: true, detail });
        BootGrant::NoBootData
    }

    fn refused(&mut self, why: String) -> BootGrant {
        self.rules.push(DecisionRule { rule: "loader", matched: true, detail: why });
        BootGrant::NoBootData
    }
}

/// Why the client cannot fetch from this server in this way: its class wants HTTPS, which is off.
fn no_https(client: &NetbootClient, over: LoaderTransport, facts: &DecisionFacts<'_>) -> Option<String> {
    let class =
        client.quirks.https.as_ref().filter(|_| over == LoaderTransport::Https && !facts.serves_https)?;
    Some(format!("its client class {class} wants https URLs: {HTTPS_IS_OFF}"))
}

/// A GRUB that comes over HTTP as a file finds no configuration: it comes as a disk if there is one.
fn on_a_disk(name: String, facts: &DecisionFacts<'_>, arch: Arch) -> String {
    let is_grub = signed::is_grub(&name);
    let image = facts
        .loaders
        .filter(|_| is_grub)
        .and_then(|loaders| signed::any_start(arch, loaders).map(|start| signed::over_http(&start, loaders)));
    image.unwrap_or(name)
}

/// The loader that the bootenv names, if it fits the firmware and exists; else the usual loader, or else
/// another that does the same.
fn usual_loader<'a>(facts: &DecisionFacts<'a>, usual: &'a str, client: &NetbootClient) -> &'a str {
    let is_bios = client.arches.first().copied().is_some_and(loader::is_bios);
    let chosen = || {
        let arch = facts.machine?.spec.arch;
        let name = facts.bootenv?.spec.arches.get(&arch)?.loader.as_deref()?;
        (loader::is_for_bios(name) == is_bios).then_some(name)
    };
    let others = client.arches.iter().find_map(|code| loader::client_arch(*code)?.full_ipxe);
    chosen()
        .into_iter()
        .chain([usual])
        .chain(others)
        .find(|name: &&str| facts.loaders.is_none_or(|loaders| loaders.contains(*name)))
        .unwrap_or(usual)
}
