//! The disks that an installation of a machine would take: the rule, and why it cannot be carried out.

use crate::catalog::params::{layers_of, secrets};
use crate::catalog::reach::{any_template, text_of};
use crate::model::disk_rule::DiskRule;
use crate::model::{Bootenv, ContentView, Machine, Stage};
use crate::render::{LayeredParams, SecretAccess};

/// The call with which a template asks for the rule.
const ASKS: &str = "disk_rule(";
/// Most bytes of templates that are searched for it; ours have a hundredth of that.
const SEARCHED_BYTES_MAX: usize = 4 << 20;

/// The rule by which the installer of a bootenv would choose the machine's disks; [`DiskRule::words`] says it
/// in words. None for a bootenv whose templates do not ask for it.
///
/// # Errors
/// Why it cannot be carried out.
pub fn disk_rule(
    content: ContentView<'_>,
    (machine, stage): (&Machine, Option<&Stage>),
    bootenv: &Bootenv,
) -> Result<Option<DiskRule>, String> {
    if asks_for_disks(content, bootenv) { rule_of(content, (machine, stage)).map(Some) } else { Ok(None) }
}

/// Why that rule cannot be carried out. The templates are looked at only where there is a fault.
pub fn disk_fault(
    content: ContentView<'_>,
    (machine, stage): (&Machine, Option<&Stage>),
    bootenv: &Bootenv,
) -> Option<String> {
    let fault = rule_of(content, (machine, stage)).err()?;
    asks_for_disks(content, bootenv).then_some(fault)
}

fn rule_of(
    content: ContentView<'_>,
    (machine, stage): (&Machine, Option<&Stage>),
) -> Result<DiskRule, String> {
    let layers = layers_of(content, (Some(machine), stage), &LayeredParams::DISK_RULE_READS);
    LayeredParams::new(layers, secrets(content), SecretAccess::Sealed).disk_rule()
}

/// Whether one of the bootenv's templates, or one that they include, asks for the rule.
fn asks_for_disks(content: ContentView<'_>, bootenv: &Bootenv) -> bool {
    let texts = bootenv.templates.iter().filter_map(|file| text_of(content, file));
    any_template(content, texts, (SEARCHED_BYTES_MAX, |body| body.contains(ASKS)))
}
