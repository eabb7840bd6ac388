//! HTTP to places that an object names: the files of artifacts, and whatever else is fetched or sent for one.
//! It connects only where `model::FetchPolicy` lets it.
//!
//! Start at [`FetchReach::client`]. The rule is held at each connection: redirects are followed here, one
//! after the other, and each is looked at like the first URL. Of a name those addresses are used that it
//! resolves to at that very moment and that may be connected to (`resolver`), so a name that resolves
//! otherwise the next time (DNS rebinding) is of no use.
//!
//! Through a proxy the server connects to the proxy alone, whose place is held against the rule. What the
//! proxy connects to is its business and its own rules'; still refused are addresses, and names that this
//! host resolves to addresses that may not be connected to.

mod resolver;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};

use crate::model::{FetchPolicy, PlaceRefusal, UnlistedPlace, UrlPlace};
use resolver::FilteringResolver;

/// Most redirects that are followed.
const REDIRECTS_MAX: usize = 10;
/// Most ways to connect that one client keeps ready: a port of its host or proxy each.
const CONNECTORS_MAX: usize = 16;
/// Most places that are noted of one client.
const UNLISTED_MAX: usize = 16;
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// How long this host may take to resolve a name that a proxy will resolve.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// A connection on which nothing comes for so long is given up.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// Whether TLS is all that says whose the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustBase {
    /// They are held against a checksum.
    Checksum,
    Tls,
}

/// How strictly a place is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FetchScope {
    /// Public addresses and what is listed.
    #[default]
    Listed,
    /// Private addresses too, which are noted: it was stored before there was a list.
    Before,
}

/// How the network is reached.
#[derive(Clone, Debug, Default)]
pub struct FetchReach {
    /// A proxy to go through, `http://HOST:PORT`; else the environment says which.
    pub proxy: Option<String>,
    pub policy: Arc<FetchPolicy>,
    pub scope: FetchScope,
    unlisted: Arc<Mutex<BTreeSet<UnlistedPlace>>>,
}

/// Two are the same if they reach the same places in the same way.
impl PartialEq for FetchReach {
    fn eq(&self, other: &Self) -> bool {
        (&self.proxy, &self.policy, self.scope) == (&other.proxy, &other.policy, other.scope)
    }
}

impl Eq for FetchReach {}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Another try does not help: the place may not be connected to, the URL or the proxy is none.
    #[error("{0}")]
    Refused(String),
    /// It may be over the next time.
    #[error("{0}")]
    Failed(String),
}

/// Why an address is not connected to.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
struct BlockedAddress(String);

/// The proxy that a request goes through.
#[derive(Clone, Debug)]
struct ProxyRoute {
    url: Url,
    credentials: Option<HeaderValue>,
}

/// Which connections a client makes: their proxy, and the port at its host or at the proxy.
type ConnectorKey = (Option<String>, u16);

/// Sends requests within the policy.
#[derive(Debug)]
pub struct OutboundClient {
    reach: FetchReach,
    /// Whether no redirect leads out of TLS.
    https_only: bool,
    environment: Matcher,
    connectors: Mutex<BTreeMap<ConnectorKey, reqwest::Client>>,
    /// Names that were looked up before a proxy was asked for them.
    looked_up: Mutex<BTreeSet<UrlPlace>>,
}

impl FetchReach {
    pub fn new(proxy: Option<String>, policy: Arc<FetchPolicy>, scope: FetchScope) -> Self {
        FetchReach { proxy, policy, scope, unlisted: Arc::default() }
    }

    /// A client for one URL.
    ///
    /// # Errors
    /// The URL or the proxy is at an address that is not connected to, or is none.
    pub fn client(&self, url: &str, trust: TrustBase) -> Result<OutboundClient, OutboundError> {
        let client = OutboundClient {
            reach: self.clone(),
            https_only: trust == TrustBase::Tls && url.starts_with("https://"),
            environment: Matcher::from_env(),
            connectors: Mutex::default(),
            looked_up: Mutex::default(),
        };
        let parsed = parse(url)?;
        client.check_url(&parsed)?;
        client.route(&parsed)?;
        Ok(client)
    }

    /// The places that were connected to although they are not listed.
    pub fn unlisted(&self) -> Vec<UnlistedPlace> {
        lock(&self.unlisted).iter().cloned().collect()
    }

    /// Notes a place that is let through; else gives the refusal back.
    fn held(&self, refusal: Option<PlaceRefusal>) -> Result<(), PlaceRefusal> {
        let Some(refusal) = refusal else { return Ok(()) };
        if self.scope == FetchScope::Listed || !refusal.was_open_before() {
            return Err(refusal);
        }
        let mut noted = lock(&self.unlisted);
        if noted.len() < UNLISTED_MAX {
            noted.insert(refusal.unlisted());
        }
        Ok(())
    }
}

impl OutboundClient {
    /// Gets a URL, and what it redirects to.
    ///
    /// # Errors
    /// Why there is no answer. Each answer is one, whatever its status.
    pub async fn get(&self, url: &str, headers: HeaderMap) -> Result<Response, OutboundError> {
        let mut url = parse(url)?;
        for hop in 0..=REDIRECTS_MAX {
            let asked = self.ask(&url, headers.clone()).await;
            let answer = asked.map_err(|error| if hop == 0 { error } else { elsewhere(error) })?;
            match redirect(&answer).transpose()? {
                None => return Ok(answer),
                Some(next) => url = next,
            }
        }
        Err(OutboundError::Refused(format!("more than {REDIRECTS_MAX} redirects")))
    }

    /// Gets what is at a URL itself, at most `bytes_max` bytes of it. No redirect is followed, so that the
    /// headers, which may be secret, go to no other place.
    ///
    /// # Errors
    /// Why there is no answer, or that it is too long.
    pub async fn get_here(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
        bytes_max: usize,
    ) -> Result<(u16, Vec<u8>), OutboundError> {
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value);
            let mut value = value.map_err(|_| OutboundError::Refused(format!("what is no {name}")))?;
            value.set_sensitive(true);
            sent.insert(*name, value);
        }
        let mut answer = self.ask(&parse(url)?, sent).await?;
        let mut body = Vec::new();
        let failed = |error: reqwest::Error| OutboundError::Failed(innermost(&error));
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > bytes_max {
                return Err(OutboundError::Failed(format!("it answers with more than {bytes_max} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok((answer.status().as_u16(), body))
    }

    async fn ask(&self, url: &Url, headers: HeaderMap) -> Result<Response, OutboundError> {
        self.check_url(url)?;
        let route = self.route(url)?;
        if route.is_some() {
            self.check_behind_proxy(url).await?;
        }
        let sent = self.connector(url, route)?.get(url.clone()).headers(headers).send().await;
        sent.map_err(|error| match refusal_in(&error) {
            Some(why) => OutboundError::Refused(why),
            None if error.is_builder() => OutboundError::Refused(innermost(&error)),
            None => OutboundError::Failed(innermost(&error)),
        })
    }

    /// The scheme, and the host where it is an address.
    fn check_url(&self, url: &Url) -> Result<(), OutboundError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutboundError::Refused("only http and https are fetched".to_owned()));
        }
        if self.https_only && url.scheme() != "https" {
            return Err(OutboundError::Refused("it is not HTTPS, and there is no checksum".to_owned()));
        }
        let place = place_of(url)?;
        let Some(address) = place.address() else { return Ok(()) };
        let held = self.reach.held(self.reach.policy.refusal(&place, address));
        held.map_err(|refusal| OutboundError::Refused(refusal.to_string()))
    }

    /// The proxy for a URL, if there is one: that of the object, else of the environment.
    fn route(&self, url: &Url) -> Result<Option<ProxyRoute>, OutboundError> {
        let route = match &self.reach.proxy {
            Some(proxy) => ProxyRoute { url: parse(proxy)?, credentials: None },
            None => {
                let uri = url.as_str().parse::<hyper::Uri>().ok();
                let Some(found) = uri.and_then(|uri| self.environment.intercept(&uri)) else {
                    return Ok(None);
                };
                let credentials = found.basic_auth().cloned();
                ProxyRoute { url: parse(&found.uri().to_string())?, credentials }
            }
        };
        let place = place_of(&route.url)?;
        if let Some(address) = place.address() {
            let held = self.reach.held(self.reach.policy.refusal(&place, address));
            held.map_err(|refusal| {
                OutboundError::Refused(format!("the proxy {}: {refusal}", place.entry()))
            })?;
        }
        Ok(Some(route))
    }

    /// A name that only the proxy knows is left to it.
    async fn check_behind_proxy(&self, url: &Url) -> Result<(), OutboundError> {
        let place = place_of(url)?;
        if place.address().is_some() || lock(&self.looked_up).contains(&place) {
            return Ok(());
        }
        let looked = tokio::time::timeout(LOOK_WITHIN, resolver::resolve(&self.reach, &place)).await;
        if let Ok(Err(error)) = looked
            && let Some(why) = refusal_in(&*error)
        {
            return Err(OutboundError::Refused(why));
        }
        let mut looked_up = lock(&self.looked_up);
        if looked_up.len() < CONNECTORS_MAX {
            looked_up.insert(place);
        }
        Ok(())
    }

    fn connector(&self, url: &Url, route: Option<ProxyRoute>) -> Result<reqwest::Client, OutboundError> {
        let peer = place_of(route.as_ref().map_or(url, |route| &route.url))?;
        let key = (route.as_ref().map(|route| route.url.to_string()), peer.port());
        let mut connectors = lock(&self.connectors);
        if let Some(connector) = connectors.get(&key) {
            return Ok(connector.clone());
        }
        let made = self.new_connector(route, peer.port());
        let made = made.map_err(|error| OutboundError::Refused(innermost(&error)))?;
        if connectors.len() >= CONNECTORS_MAX {
            connectors.clear();
        }
        connectors.insert(key, made.clone());
        Ok(made)
    }

    fn new_connector(&self, route: Option<ProxyRoute>, port: u16) -> reqwest::Result<reqwest::Client> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENT_MAX)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(FilteringResolver { reach: self.reach.clone(), port }))
            .user_agent(concat!("metalwright/", env!("CARGO_PKG_VERSION")));
        let Some(ProxyRoute { url, credentials }) = route else { return builder.build() };
        let proxy = reqwest::Proxy::all(url)?;
        builder
            .proxy(match credentials {
                Some(credentials) => proxy.custom_http_auth(credentials),
                None => proxy,
            })
            .build()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A URL as it is read on the wire: an address in an odd spelling (`http://2130706433/`) is in the usual one.
fn parse(url: &str) -> Result<Url, OutboundError> {
    Url::parse(url).map_err(|error| OutboundError::Refused(format!("{url}: {error}")))
}

fn place_of(url: &Url) -> Result<UrlPlace, OutboundError> {
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok(UrlPlace::new(host, port)),
        _ => Err(OutboundError::Refused(format!("{url} has no host"))),
    }
}

/// Where an answer sends the client (RFC 9110 section 15.4).
fn redirect(answer: &Response) -> Option<Result<Url, OutboundError>> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let to = answer.headers().get(LOCATION)?;
    let next = to.to_str().ok().and_then(|to| answer.url().join(to).ok());
    Some(next.ok_or_else(|| OutboundError::Refused("it redirects to what is no URL".to_owned())))
}

fn elsewhere(error: OutboundError) -> OutboundError {
    match error {
        OutboundError::Refused(why) => {
            OutboundError::Refused(format!("it redirects to another place: {why}"))
        }
        failed => failed,
    }
}

/// Why an address was refused, if that is what an error says.
fn refusal_in(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(blocked) = error.downcast_ref::<BlockedAddress>() {
            return Some(blocked.to_string());
        }
        cause = error.source();
    }
    None
}

/// The cause at the end of the chain, which is the one that says something.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
