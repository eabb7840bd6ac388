//! The connection to a server: its URL, the token, and the trusted certificate.
//!
//! The command line takes precedence over the environment, and that over the context in use. `--data` names
//! the directory of a server on this host, which contains the server's address and certificate.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::ArgMatches;
use clap::parser::ValueSource;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use crate::cli::config::{ConfigFolder, ServerContext};
use crate::cli::output::{self, UsageError};
use crate::client::{
    ApiClient, AuthorityKeeper, BearerToken, ClientError, Fingerprint, ServerTarget, certificate_at, learn,
};

/// The default address of the server.
const DEFAULT_SERVER: &str = "https://127.0.0.1:8443";

/// How to reach the server.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Server")]
pub struct ConnectionArgs {
    /// The server: https://HOST:PORT [default: https://127.0.0.1:8443].
    #[arg(long, global = true, env = "METALWRIGHT_SERVER", value_name = "URL", hide_env_values = true)]
    pub server: Option<String>,
    /// The token.
    #[arg(long, global = true, env = "METALWRIGHT_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<BearerToken>,
    /// The data directory of a server on this host, instead of --server and --token.
    #[arg(long, global = true, env = "METALWRIGHT_DATA", value_name = "DIR", hide_env_values = true)]
    pub data: Option<PathBuf>,
    /// The SHA-256 of its certificate or of its authority's key, instead of the one that was pinned at first
    /// use.
    #[arg(long, global = true, value_name = "SHA256")]
    pub fingerprint: Option<Fingerprint>,
    /// The server with this name (`metalwright context list`).
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Which of `server`, `data` and `context` counts, if several are given.
    #[arg(skip)]
    chosen: Option<ServerChoice>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerChoice {
    Server,
    Data,
    Context,
}

/// The file that a server writes to its data directory when it listens.
#[derive(Debug, Deserialize)]
struct LocalEndpoint {
    api: String,
    fingerprint: Fingerprint,
}

/// What is known about the server before it is asked.
struct KnownServer {
    url: String,
    token: Option<BearerToken>,
    fingerprint: Option<Fingerprint>,
}

impl ConnectionArgs {
    /// Distinguishes flags from the environment: flags take precedence.
    pub(super) fn ranked(mut self, matches: &ArgMatches) -> Self {
        let order = [
            ("data", ServerChoice::Data),
            ("server", ServerChoice::Server),
            ("context", ServerChoice::Context),
        ];
        let mut all: Vec<(bool, ServerChoice)> = order
            .iter()
            .filter_map(|(id, chosen): &(&str, ServerChoice)| {
                let source = matches.value_source(id)?;
                Some((source == ValueSource::CommandLine, *chosen))
            })
            .collect();
        all.sort_by_key(|(typed, _)| !typed);
        self.chosen = all.first().map(|(_, chosen)| *chosen);
        self
    }

    /// The data directory, where the server is named by that.
    pub(super) fn chosen_data(&self) -> Option<&Path> {
        self.data.as_deref().filter(|_| self.chosen == Some(ServerChoice::Data))
    }

    /// A client of the chosen server. The certificate of a server that was never seen before is fetched and
    /// trusted, with a message on stderr.
    ///
    /// # Errors
    /// There is no address, no token, or no certificate.
    pub async fn client(&self) -> Result<ApiClient> {
        let found = self.find()?;
        if found.token.is_none() {
            return Err(UsageError(
                "no token: give --token (METALWRIGHT_TOKEN), or --data DIR on the server's own host"
                    .to_owned(),
            )
            .into());
        }
        let KnownServer { url, token, fingerprint } = found;
        if let Some(known) = fingerprint {
            return Ok(ApiClient::new(&ServerTarget { url, trusted: vec![known], token })?);
        }
        let trusted = trusted(&url).await.map_err(|error| self.advise(error))?;
        let keeper = keeper(url.clone());
        Ok(ApiClient::new(&ServerTarget { url, trusted, token })?.with_keeper(keeper))
    }

    /// As [`ConnectionArgs::client`], of a server that is trusted already. Nothing is printed and kept.
    ///
    /// # Errors
    /// Those of [`ConnectionArgs::client`], or the server was never seen.
    pub fn known_client(&self) -> Result<ApiClient> {
        let KnownServer { url, token, fingerprint } = self.find()?;
        let trusted = match fingerprint {
            Some(known) => vec![known],
            None => ConfigFolder::of_user()?.pinned(&url)?,
        };
        anyhow::ensure!(!trusted.is_empty(), "{url} was never seen");
        Ok(ApiClient::new(&ServerTarget { url, trusted, token })?)
    }

    /// The server's URL, and the certificate that it shows to those who know nothing of it.
    ///
    /// # Errors
    /// Nothing that says where the server is, or it cannot be reached.
    pub async fn shown_certificate(&self) -> Result<(String, CertificateDer<'static>)> {
        let url = self.find()?.url;
        let certificate = certificate_at(&url).await?;
        Ok((url, certificate))
    }

    fn find(&self) -> Result<KnownServer> {
        let found = match self.chosen {
            Some(ServerChoice::Data) => self.data.as_deref().map(local).transpose()?,
            Some(ServerChoice::Server) => None,
            Some(ServerChoice::Context) | None => self.named()?,
        };
        let mut found = found.unwrap_or_else(|| KnownServer {
            url: self.server.clone().unwrap_or_else(|| DEFAULT_SERVER.to_owned()),
            token: None,
            fingerprint: None,
        });
        found.url = found.url.trim_end_matches('/').to_owned();
        found.token = self.token.clone().or(found.token);
        found.fingerprint = self.fingerprint.or(found.fingerprint);
        Ok(found)
    }

    fn named(&self) -> Result<Option<KnownServer>> {
        let folder = match ConfigFolder::of_user() {
            Ok(folder) => folder,
            Err(_) if self.context.is_none() => return Ok(None),
            Err(error) => return Err(error),
        };
        match folder.context(self.context.as_deref())? {
            Some(ServerContext { data: Some(data), .. }) => local(&data).map(Some),
            Some(ServerContext { server: Some(url), token, .. }) => {
                let token = token.map(|token| token.parse().map_err(|why: String| anyhow!(why)));
                Ok(Some(KnownServer { url, token: token.transpose()?, fingerprint: None }))
            }
            _ => Ok(None),
        }
    }

    /// The context that `context set` stores.
    ///
    /// # Errors
    /// No server was given.
    pub fn as_context(&self) -> Result<ServerContext> {
        let token = self.token.as_ref().map(|token| token.reveal().to_owned());
        match self.chosen {
            Some(ServerChoice::Data) => {
                let data = self.data.as_ref().map(std::path::absolute).transpose()?;
                Ok(ServerContext { data, ..ServerContext::default() })
            }
            Some(ServerChoice::Server) if !self.server.iter().all(|url| url.starts_with("https://")) => {
                Err(UsageError("write the server like https://HOST:PORT".to_owned()).into())
            }
            Some(ServerChoice::Server) => {
                Ok(ServerContext { server: self.server.clone(), token, ..ServerContext::default() })
            }
            _ => {
                Err(UsageError("say which server: --server URL and --token TOKEN, or --data DIR".to_owned())
                    .into())
            }
        }
    }

    /// Adds to a network error what to do about it.
    pub fn advise(&self, error: anyhow::Error) -> anyhow::Error {
        let advice = match error.downcast_ref::<ClientError>() {
            Some(ClientError::Unreachable { .. }) => self.advise_unreachable(),
            Some(ClientError::TimedOut { .. }) => "it is reachable and silent: see its log".to_owned(),
            Some(ClientError::OtherCertificate { .. }) => self.advise_certificate(),
            Some(refused) if refused.status() == Some(401) => {
                "the token is not one of this server's, or it has expired: --token (METALWRIGHT_TOKEN), or \
                 --data DIR on its own host"
                    .to_owned()
            }
            _ => return error,
        };
        anyhow!("{error:#}\n  {advice}")
    }

    fn advise_unreachable(&self) -> String {
        match (self.chosen, &self.data) {
            (Some(ServerChoice::Data), Some(data)) => {
                let data = data.display();
                format!("its server does not run: start it with `metalwright serve --data {data}`")
            }
            _ => "is it running, and is a firewall in between? Another server is named with --server URL \
                  (METALWRIGHT_SERVER), one on this host with --data DIR"
                .to_owned(),
        }
    }

    fn advise_certificate(&self) -> String {
        if self.fingerprint.is_some() || self.chosen == Some(ServerChoice::Data) {
            return "something else answers at this address; nothing was sent to it".to_owned();
        }
        let file = ConfigFolder::of_user().map(|folder| folder.known_servers().display().to_string());
        format!(
            "the server was set up anew, or somebody is in between; nothing was sent. Ask its operator for \
             the fingerprint\n  (it is in endpoint.json of its data directory). If it is the one shown, take \
             the server's lines out of\n  {}",
            file.unwrap_or_default()
        )
    }
}

/// The server of a data directory on this host.
fn local(data: &Path) -> Result<KnownServer> {
    let (endpoint, token) = (data.join("endpoint.json"), data.join("admin.token"));
    let text = fs::read_to_string(&endpoint).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "no server has run with {} as its data directory ({} is not there); start one with \
             `metalwright serve --data {}`",
            data.display(),
            endpoint.display(),
            data.display()
        ),
        ErrorKind::PermissionDenied => {
            anyhow!("{}: only the user that the server runs as may read it", endpoint.display())
        }
        _ => anyhow!("{}: {error}", endpoint.display()),
    })?;
    let found: LocalEndpoint =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", endpoint.display()))?;
    let token = match fs::read_to_string(&token) {
        Ok(text) => Some(text.parse().map_err(|why: String| anyhow!("{}: {why}", token.display()))?),
        // Operators may delete the file after they have stored the token elsewhere.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(anyhow!("{}: {error}", token.display())),
    };
    Ok(KnownServer { url: found.api, token, fingerprint: Some(found.fingerprint) })
}

/// What is trusted of a server, pinned now where that is nothing.
async fn trusted(url: &str) -> Result<Vec<Fingerprint>> {
    let folder = ConfigFolder::of_user().context("give --fingerprint")?;
    let pinned = folder.pinned(url)?;
    if !pinned.is_empty() {
        return Ok(pinned);
    }
    let shown = learn(url).await?;
    folder.pin(url, shown)?;
    output::note(&format!("{url} is new here: {shown} is trusted from now on"));
    Ok(vec![shown])
}

/// Adds the authority of a server whose certificate is pinned, so that it is known when it has another one.
fn keeper(url: String) -> AuthorityKeeper {
    AuthorityKeeper::new(move |key| {
        if let Err(error) = ConfigFolder::of_user().and_then(|folder| folder.pin(&url, key)) {
            output::note(&format!("the authority of {url} cannot be kept: {error:#}"));
        }
    })
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        let endpoint = serde_json::json!({
            "api": "https://127.0.0.1:9", "fingerprint": Fingerprint::of(b"x").to_string()
        });
        fs::write(data.path().join("endpoint.json"), endpoint.to_string()).unwrap();
        fs::write(data.path().join("admin.token"), "secret\n").unwrap();
        data
    }

    #[test]
    fn a_data_directory_says_where_its_server_is_and_brings_its_token() {
        let data = data();
        let found = local(data.path()).unwrap();
        assert_eq!(
            (found.url.as_str(), found.fingerprint),
            ("https://127.0.0.1:9", Some(Fingerprint::of(b"x")))
        );
        assert_eq!(found.token.unwrap().reveal(), "secret");
        let error = local(Path::new("/nowhere")).err().unwrap().to_string();
        assert!(error.contains("metalwright serve --data /nowhere"), "{error}");
    }

    #[test]
    fn a_refused_connection_says_what_to_start() {
        let connection = ConnectionArgs {
            data: Some("/d".into()),
            chosen: Some(ServerChoice::Data),
            ..ConnectionArgs::default()
        };
        let unreachable = ClientError::Unreachable {
            url: "https://127.0.0.1:9".into(),
            request: "GET /api/v1/machines".into(),
            reason: "Connection refused (os error 111)".into(),
        };
        let said = connection.advise(unreachable.into()).to_string();
        for part in ["https://127.0.0.1:9", "Connection refused", "GET /api/v1/machines", "serve --data /d"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
