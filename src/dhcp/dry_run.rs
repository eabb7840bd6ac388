//! What a packet would be answered now. Nothing is held, recorded, written or sent. Start at
//! [`Dhcp::dry_run`].

use std::sync::PoisonError;

use crate::dhcp::Dhcp;
use crate::dhcp::decide::{AddressPicker, PacketFacts};
use crate::dhcp::packet::{PacketOutcome, decide};
use crate::model::{AddressKey, Reservation};
use crate::netboot::decide::capability::{PREVIEW, hide};
use crate::netboot::decide::{BootData, BootDecision};

/// The outcome of a packet that has no effect.
#[derive(Debug)]
pub struct DryRun<'a> {
    pub outcome: PacketOutcome,
    pub decision: Option<BootDecision>,
    /// The client's reservation on its link.
    pub reservation: Option<&'a Reservation>,
    /// Whether the packet would begin a boot attempt of its machine.
    pub begins_attempt: bool,
}

impl Dhcp {
    /// Decides on a packet by these facts, which have no boot answer yet. The URL of a boot script has the
    /// word `preview` in place of the machine's capability. Options that are templates are not rendered.
    pub fn dry_run<'a>(&self, mut facts: PacketFacts<'a>) -> DryRun<'a> {
        let now = self.kernel.now();
        let mut gathered = self.gather_boot(&facts);
        facts.boot = self.boot_answer(&facts, &mut gathered, now);
        if let BootData::Script { url } = &mut facts.boot.data {
            *url = hide(url).replace('…', PREVIEW);
        }
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let begins_attempt = decide(&facts, &offers, now).attempt.is_some();
        facts.boot.is_attempt_recorded = true;
        let outcome = decide(&facts, &offers, now);
        let picker = facts.link.as_ref().ok().zip(facts.sender.key.as_ref()).map(|(link, client)| {
            let (world, packet, machine) = (facts.world, facts.query.packet, facts.machine);
            AddressPicker { link, world, offers: &offers, client, packet, machine, taken: &[], now }
        });
        let reservation = picker.and_then(|picker| {
            let kept = picker.reservation()?.address;
            facts.world.reservations.get(&AddressKey::from(kept)).map(|row| &row.spec)
        });
        DryRun { outcome, decision: facts.boot.decision.take(), reservation, begins_attempt }
    }
}
