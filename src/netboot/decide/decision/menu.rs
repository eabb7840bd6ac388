//! The menu for unknown machines, if the site wants one on their consoles.

use super::{DecisionFacts, Verdict};
use crate::model::BootenvKind;

/// The menu, or the chosen entry. An entry that erases a disk is refused: a person at a console is not
/// authenticated, and there is no machine that could be armed.
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
