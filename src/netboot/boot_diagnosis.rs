//! Boots that stop silently: the last sign of each machine, and the event that says where its boot stopped.
//! `decide::stops` decides what that means.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::model::event::BootStopped;
use crate::model::{BootAttempt, Cidr, Machine, NewEvent, Stored};
use crate::netboot::Netboot;
use crate::netboot::decide::loader;
use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::decide::second_stage::OtherBootServer;
use crate::netboot::decide::signed::{self, ChainRole};
use crate::netboot::decide::stops::{BootSign, SILENCE_SECONDS, StopContext, StopVerdict, TlsFailure, why};
use crate::netboot::files::ServedFile;

/// Most machines that are followed.
const MACHINES_MAX: usize = 4096;

/// The last sign of a machine in a boot attempt.
#[derive(Clone, Debug)]
struct LastSign {
    attempt: Uuid,
    sign: BootSign,
    by: Option<ScriptKind>,
    /// Whether a shim was fetched.
    has_shim: bool,
    at: Timestamp,
}

/// The machines whose boots are followed, by id.
#[derive(Debug, Default)]
pub struct BootTraces {
    by_machine: HashMap<String, LastSign>,
}

impl Netboot {
    /// Records a sign of a machine in its present attempt. If the sign shows that the boot had stopped,
    /// reports that.
    pub fn record_sign(&self, machine: &Stored<Machine>, sign: BootSign) {
        let Some(attempt) = machine.status.boot_attempt.as_ref() else { return };
        let mut trails = self.memory.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let before = trails.by_machine.remove(&machine.key).filter(|last| last.attempt == attempt.id);
        // An attempt begins with a request of the firmware.
        let last = before.unwrap_or_else(|| LastSign {
            attempt: attempt.id,
            sign: BootSign::FirmwareAsks,
            by: None,
            has_shim: false,
            at: self.kernel.now(),
        });
        self.report_stop(machine, attempt, (&last, StopVerdict::Next(&sign)));
        if trails.by_machine.len() >= MACHINES_MAX {
            return;
        }
        let by = match sign {
            BootSign::Script(kind) => Some(kind),
            _ => last.by,
        };
        let has_shim = last.has_shim || is_of_shim(&sign);
        let last = LastSign { attempt: attempt.id, sign, by, has_shim, at: self.kernel.now() };
        trails.by_machine.insert(machine.key.clone(), last);
    }

    /// Records that a TLS handshake with a booting client failed.
    pub fn record_tls_failure(&self, peer: IpAddr, why: TlsFailure) {
        let machine = self.kernel.read(|world| self.machine_at(world, peer));
        if let Some(machine) = machine {
            self.record_sign(&machine, BootSign::NoTls(why));
        }
    }

    /// Records that a machine received a whole file.
    pub fn record_served_file(&self, served: &ServedFile) {
        let Some(key) = served.about.machine.as_ref().filter(|_| served.complete) else { return };
        let Some(machine) = self.kernel.read(|world| world.machines.get(key).cloned()) else { return };
        let sign = match served.label.strip_prefix("loader:") {
            Some(name) => Some(BootSign::Loader(name.to_owned())),
            None => self.boot_file_sign(&machine, &served.label),
        };
        if let Some(sign) = sign {
            self.record_sign(&machine, sign);
        }
    }

    /// The sign of a file, if it is the kernel that the machine boots. Without an initrd nothing follows a
    /// kernel.
    fn boot_file_sign(&self, machine: &Stored<Machine>, label: &str) -> Option<BootSign> {
        let attempt = machine.status.boot_attempt.as_ref()?;
        self.kernel.read(|world| {
            let bootenv = world.bootenvs.get(attempt.bootenv.as_ref()?)?;
            let files = bootenv.spec.arches.get(&machine.spec.arch)?;
            let path = label.strip_prefix("artifact:")?.strip_prefix(&files.artifact)?.strip_prefix('/')?;
            (path == files.kernel && !files.initrds.is_empty()).then_some(BootSign::Kernel)
        })
    }

    /// Reports boots that have been silent for too long.
    pub fn report_silent_boots(&self, now: Timestamp) {
        let silence = SignedDuration::from_secs(SILENCE_SECONDS);
        let mut trails = self.memory.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let stopped: Vec<(String, LastSign)> =
            trails.by_machine.extract_if(|_, last| now.duration_since(last.at) >= silence).collect();
        drop(trails);
        for (key, last) in stopped {
            let machine = self.kernel.read(|world| world.machines.get(&key).cloned());
            let Some(machine) = machine else { continue };
            let Some(attempt) = machine.status.boot_attempt.as_ref() else { continue };
            if attempt.id == last.attempt && attempt.result.is_none() {
                self.report_stop(&machine, attempt, (&last, StopVerdict::Nothing));
            }
        }
    }

    /// The DHCP server that gives the machine its address, if it is another, and this server's address.
    fn beside(
        &self,
        machine: &Stored<Machine>,
        attempt: &BootAttempt,
    ) -> Option<(OtherBootServer, Ipv4Addr)> {
        match (machine.status.address, attempt.server) {
            (Some(IpAddr::V4(address)), Some(IpAddr::V4(ours))) => {
                Some((self.other_boot_server(address)?, ours))
            }
            _ => None,
        }
    }

    /// Records what the DHCP server of a `proxy` subnet tells second stages.
    pub fn record_other_boot_server(&self, network: Cidr, other: OtherBootServer) {
        let mut others = self.memory.other_boot_servers.lock().unwrap_or_else(PoisonError::into_inner);
        others.record(network, other, self.kernel.now());
    }

    /// The DHCP server of the `proxy` subnet that an address is in, if it was heard.
    pub fn other_boot_server(&self, address: Ipv4Addr) -> Option<OtherBootServer> {
        let others = self.memory.other_boot_servers.lock().unwrap_or_else(PoisonError::into_inner);
        others.of(address, self.kernel.now())
    }

    fn report_stop(
        &self,
        machine: &Stored<Machine>,
        attempt: &BootAttempt,
        (last, seen): (&LastSign, StopVerdict<'_>),
    ) {
        let is_bios = attempt.client_arch.is_some_and(loader::is_bios);
        let beside = self.beside(machine, attempt);
        let about = StopContext { is_bios, by: last.by, has_shim: last.has_shim, beside };
        let Some(reason) = why(&last.sign, seen, about) else { return };
        tracing::warn!(machine = machine.spec.name, reason, "a boot stopped");
        let after = match &last.sign {
            BootSign::Loader(name) => Some(format!("loader:{name}")),
            BootSign::Kernel => Some("kernel".to_owned()),
            _ => None,
        };
        let event = NewEvent::new(self.kernel.now(), BootStopped { after, reason: reason.to_string() });
        let event = event.by(machine.subject()).about(machine.subject());
        self.kernel.note(event.in_attempt(Some(attempt.id)));
    }
}

fn is_of_shim(sign: &BootSign) -> bool {
    match sign {
        BootSign::Fetches(name) | BootSign::Loader(name) => signed::role(name) == Some(ChainRole::Shim),
        _ => false,
    }
}
