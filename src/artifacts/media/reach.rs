//! The route to the network, and the addresses that are refused.
//!
//! The rule is `model::FetchNetworks`. It is enforced where a connection is made: an address in a URL, a
//! redirect or the URL of a proxy is checked before use. Of a host name, the addresses that it resolves to at
//! that moment are checked, so that a name that resolves differently next time (DNS rebinding) does not help
//! an attacker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

use super::MediaError;
use crate::model::FetchNetworks;

/// Most redirects that are followed.
const REDIRECTS_MAX: usize = 10;
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// A connection without data for this long is given up.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// The route to the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchReach {
    /// A proxy, `http://HOST:PORT`; otherwise the environment names one.
    pub proxy: Option<String>,
    pub networks: Arc<FetchNetworks>,
}

/// What a download's integrity depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrustBase {
    /// On a checksum.
    Checksum,
    Tls,
}

/// The error for a refused address. Another try does not help.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BlockedAddress(String);

impl FetchReach {
    /// A client for one URL.
    ///
    /// # Errors
    /// The address of the URL or of the proxy is refused, the proxy cannot be used, or the host has no
    /// certificates.
    pub(super) fn client(&self, url: &str, trust: TrustBase) -> Result<reqwest::Client, MediaError> {
        let failed =
            |error: reqwest::Error| MediaError::Failed(format!("{url}: {}", super::fetch::innermost(&error)));
        for place in std::iter::once(url).chain(self.proxy.as_deref()) {
            if let Some(why) = parsed(place).and_then(|place| self.networks.url_refusal(place.as_str())) {
                return Err(MediaError::Failed(format!("{place}: {why}")));
            }
        }
        let networks = Arc::clone(&self.networks);
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENT_MAX)
            // Without a checksum, integrity depends on TLS alone: a redirect must not lead out of it.
            .https_only(trust == TrustBase::Tls && url.starts_with("https://"))
            .redirect(Policy::custom(move |attempt| {
                if attempt.previous().len() > REDIRECTS_MAX {
                    return attempt.error(BlockedAddress(format!("more than {REDIRECTS_MAX} redirects")));
                }
                match networks.url_refusal(attempt.url().as_str()) {
                    Some(why) => {
                        attempt.error(BlockedAddress(format!("it redirects to another place: {why}")))
                    }
                    None => attempt.follow(),
                }
            }))
            .dns_resolver(Arc::new(FilteringResolver(Arc::clone(&self.networks))))
            .user_agent(concat!("metalwright/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(failed)?);
        }
        builder.build().map_err(failed)
    }
}

/// A URL as the client will read it: an address in an unusual spelling (`http://2130706433/`) is in the usual
/// one.
fn parsed(url: &str) -> Option<reqwest::Url> {
    reqwest::Url::parse(url).ok()
}

/// Whether an error means that an address was refused.
pub(super) fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<BlockedAddress>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Resolves names like the system, and leaves out refused addresses.
#[derive(Debug)]
struct FilteringResolver(Arc<FetchNetworks>);

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = allowed(&networks, name.as_str(), found.collect())?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn allowed(
    networks: &FetchNetworks,
    name: &str,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, BlockedAddress> {
    let why = found.first().and_then(|first| networks.refusal(first.ip()));
    let allowed: Vec<SocketAddr> =
        found.into_iter().filter(|address| networks.refusal(address.ip()).is_none()).collect();
    match why {
        Some(why) if allowed.is_empty() => Err(BlockedAddress(format!("{name} is at another place: {why}"))),
        _ => Ok(allowed),
    }
}

/// The setting of an operator whose upstream is on the same host.
#[cfg(test)]
pub(super) fn on_loopback() -> FetchReach {
    let networks = FetchNetworks::new(vec!["127.0.0.0/8".parse().unwrap()]);
    FetchReach { networks: Arc::new(networks), ..FetchReach::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_addresses_of_a_name_only_those_that_may_be_are_connected_to() {
        let none = FetchNetworks::default();
        let of = |all: &[&str]| {
            let all = all.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
            allowed(&none, "mirror", all).map(|allowed| allowed.len()).map_err(|error| error.to_string())
        };
        assert_eq!(of(&["10.0.0.1", "127.0.0.1", "::1"]), Ok(1));
        assert_eq!(of(&["::ffff:10.0.0.1"]), Ok(1));
        let why = of(&["127.0.0.1", "::ffff:169.254.1.1"]).unwrap_err();
        assert!(why.starts_with("mirror is at another place: 127.0.0.1 is a loopback address"), "{why}");
        assert_eq!(of(&[]), Ok(0));
    }

    #[tokio::test]
    async fn a_name_that_is_at_a_loopback_address_does_not_resolve() {
        let resolve = |networks: FetchNetworks| {
            FilteringResolver(Arc::new(networks)).resolve("localhost".parse().unwrap())
        };
        let why = resolve(FetchNetworks::default()).await.err().unwrap();
        assert!(is_refused(&*why) && why.to_string().contains("artifacts.fetch_from"), "{why}");
        let listed = ["127.0.0.0/8", "::1"].map(|network| network.parse().unwrap());
        assert!(resolve(FetchNetworks::new(listed.into())).await.unwrap().count() > 0);
    }

    #[test]
    fn an_address_is_refused_in_every_spelling_and_as_a_proxy() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let reach =
            |proxy: Option<&str>| FetchReach { proxy: proxy.map(str::to_owned), ..FetchReach::default() };
        for url in ["http://2130706433/x", "http://0x7f.1/x", "http://127.1/x", "http://[::ffff:7f00:1]/x"] {
            let why = reach(None).client(url, TrustBase::Checksum).unwrap_err().to_string();
            assert!(why.contains("artifacts.fetch_from"), "{url}: {why}");
        }
        assert!(reach(Some("http://127.0.0.1:3128")).client("http://mirror/x", TrustBase::Tls).is_err());
        assert!(reach(Some("http://10.0.0.4:3128")).client("http://mirror/x", TrustBase::Tls).is_ok());
    }
}
