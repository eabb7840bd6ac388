//! The part of a boot decision for a DISCOVER that is about loaders: the requested loader, as the detection
//! of boot loops records it, or that there is none.

use jiff::Timestamp;

use crate::model::Mac;
use crate::netboot::decide::BootDecision;
use crate::netboot::decide::chainload::LoaderRequest;
use crate::netboot::decide::loader::LoaderTransport;

/// The rule of the decision that stops a boot loop.
const LOOP_RULE: &str = "chainload";
/// The rule that finds no loader for a client.
const LOADER_RULE: &str = "loader";

/// A client that requested a loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderSighting {
    pub mac: Mac,
    pub ask: LoaderRequest,
    /// Why the client does not get the loader: its boot is a loop.
    pub stopped: Option<String>,
}

impl LoaderSighting {
    /// The loader that the DISCOVER with this `xid` gets, or would have got without the boot loop. `before`
    /// are the client's earlier requests.
    pub fn of(
        decision: &BootDecision,
        before: &[LoaderRequest],
        (mac, xid): (Mac, u32),
        now: Timestamp,
    ) -> Option<Self> {
        let stopped = decision.trace.iter().find(|rule| rule.rule == LOOP_RULE && rule.matched);
        let (loader, over) = match decision.answer.loader() {
            Some((name, over)) => (name.to_owned(), over),
            // The last of the earlier requests is the one that stopped the loop.
            None if stopped.is_some() => before
                .last()
                .map_or((String::new(), LoaderTransport::Tftp), |ask| (ask.loader.clone(), ask.over)),
            None => return None,
        };
        let ask = LoaderRequest { xid, loader, over, at: now, served: stopped.is_none() };
        Some(LoaderSighting { mac, ask, stopped: stopped.map(|rule| rule.detail.clone()) })
    }
}

/// Why there is no loader for a client that should boot; `None` if there is one.
pub fn missing_loader(decision: &BootDecision) -> Option<&str> {
    let rule = decision.trace.iter().find(|rule| rule.rule == LOADER_RULE && rule.matched);
    rule.map(|rule| rule.detail.as_str())
}
