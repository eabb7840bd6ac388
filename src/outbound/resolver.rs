//! Resolves names as the system does, and leaves out the addresses that are not connected to.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{BlockedAddress, FetchReach};
use crate::model::UrlPlace;

/// A resolver for connections to one port.
#[derive(Debug)]
pub(super) struct FilteringResolver {
    pub reach: FetchReach,
    pub port: u16,
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, place) = (self.reach.clone(), UrlPlace::new(name.as_str(), self.port));
        Box::pin(async move {
            let allowed = resolve(&reach, &place).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a place that may be connected to.
pub(super) async fn resolve(
    reach: &FetchReach,
    place: &UrlPlace,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found = tokio::net::lookup_host((place.host(), 0)).await?;
    Ok(allowed(reach, place, found.collect())?)
}

/// Those that may be connected to; it is an error that there is none but refused ones.
pub(super) fn allowed(
    reach: &FetchReach,
    place: &UrlPlace,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, BlockedAddress> {
    let (mut allowed, mut why) = (Vec::new(), None);
    for address in found {
        match reach.held(reach.policy.refusal(place, address.ip())) {
            Ok(()) => allowed.push(address),
            Err(refusal) => why = why.or(Some(refusal)),
        }
    }
    match why {
        Some(why) if allowed.is_empty() => {
            Err(BlockedAddress(format!("{} is at another place: {why}", place.host())))
        }
        _ => Ok(allowed),
    }
}
