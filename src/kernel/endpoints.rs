//! The addresses at which the server can be reached.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::{FetchPolicy, PackTrust, SecretSources};

/// The addresses at which the server can be reached, the places that it reads from, and whose packs it takes.
#[derive(Clone, Debug, Default)]
pub struct ServerEndpoints {
    pub api: Option<SocketAddr>,
    /// SHA-256 of the API's certificate, in hex.
    pub api_fingerprint: String,
    pub boot_http_port: Option<u16>,
    pub boot_https_port: Option<u16>,
    /// Where the server connects to when an object names the place.
    pub fetch_policy: Arc<FetchPolicy>,
    pub pack_trust: Arc<PackTrust>,
    /// The secrets outside of the server that objects may refer to.
    pub secret_sources: Arc<SecretSources>,
}

impl ServerEndpoints {
    /// The API's URL for a machine that reaches the server at `facing`; empty if the API cannot be reached
    /// there.
    pub fn api_url(&self, facing: IpAddr) -> String {
        match self.api {
            Some(api) if api.ip().is_unspecified() => {
                format!("https://{}", SocketAddr::new(facing, api.port()))
            }
            Some(api) if !api.ip().is_loopback() || facing.is_loopback() => format!("https://{api}"),
            _ => String::new(),
        }
    }
}
