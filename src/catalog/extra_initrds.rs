//! Initrds that a param adds to those of a bootenv: firmware and drivers that a distribution's initrd lacks.
//!
//! The kernel unpacks one archive after the other into the same root, so a file of a later one stands in the
//! place of an earlier one's. The files are artifacts like others; `netboot` names them to the loaders.

use serde::Deserialize;

use crate::catalog::artifact_faults::served;
use crate::model::World;
use crate::render::LayeredParams;

/// The param that lists them.
pub const EXTRA_INITRDS: &str = "extra_initrds";
/// Most of them for one machine.
const EXTRA_INITRDS_MAX: usize = 16;

/// A file of an artifact that is an initrd.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraInitrd {
    pub artifact: String,
    pub path: String,
}

/// The initrds of all levels of params, lowest level first.
///
/// # Errors
/// The value does not fit, or there are too many.
pub fn extra_initrds(params: &LayeredParams) -> Result<Vec<ExtraInitrd>, String> {
    let composed = params.compose(EXTRA_INITRDS).map_err(|sealed| sealed.to_string())?;
    let Some(composed) = composed else { return Ok(Vec::new()) };
    let extra: Vec<ExtraInitrd> = serde_json::from_value(composed.value)
        .map_err(|error| format!("the param `{EXTRA_INITRDS}` does not fit: {error}"))?;
    match extra.len() {
        0..=EXTRA_INITRDS_MAX => Ok(extra),
        many => Err(format!(
            "the param `{EXTRA_INITRDS}` has {many} entries on all levels: at most {EXTRA_INITRDS_MAX}"
        )),
    }
}

/// Why the initrds cannot be fetched now.
pub fn extra_initrd_faults(world: &World, params: &LayeredParams) -> Vec<String> {
    let extra = match extra_initrds(params) {
        Ok(extra) => extra,
        Err(fault) => return vec![fault],
    };
    let faults = extra.iter().filter_map(|extra| served(world, &extra.artifact).err());
    faults.map(|fault| format!("the param `{EXTRA_INITRDS}`: {fault}")).collect()
}
