//! What an unknown machine gets where the site wants a menu on its console.

use super::{DecisionFacts, Verdict};
use crate::model::BootenvKind;

/// The menu, or what was chosen there. Nothing that erases a disk: whoever sits at a console is not asked who
/// they are, and there is no machine that could be armed.
pub(super) fn verdict(facts: &DecisionFacts<'_>) -> Verdict {
    let Some(name) = facts.bootenv_name else {
        return Verdict::Menu { reason: "unknown machine, and unknown_machine is `menu`".to_owned() };
    };
    let Some(bootenv) = facts.bootenv else {
        return Verdict::Screen { reason: format!("the bootenv {name} that was chosen does not exist") };
    };
    if bootenv.spec.kind == BootenvKind::Local {
        return Verdict::LocalDisk { reason: format!("{name} was chosen at its console") };
    }
    if bootenv.spec.is_destructive() {
        let reason = format!(
            "{name} erases disks and is not started from a menu. Register this machine by its MAC address, \
             and start a workflow that boots {name}: `metalwright machines create`, then `metalwright \
             machines start`"
        );
        return Verdict::Screen { reason };
    }
    match &facts.unusable {
        Some(reason) => Verdict::Screen { reason: reason.clone() },
        None => Verdict::Netboot { bootenv: name.to_owned() },
    }
}
