//! One server over HTTPS: requests, responses, refusals. The other modules have the calls.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

use crate::client::error::innermost;
use crate::client::pin::CertificatePin;
use crate::client::{ClientError, Fingerprint, ServerRefusal};

/// Largest response that is read whole, in bytes.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Longest part of an error page from elsewhere that is shown, in characters.
const FOREIGN_TEXT_MAX: usize = 300;
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long an ordinary call may take. Streams and long polls have their own times.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const IDLE_CONNECTIONS_MAX: usize = 8;
/// How long a connection is kept for another request. The server closes it after 75 seconds of silence, and a
/// request that is sent while it does is lost.
const IDLE_FOR_MAX: Duration = Duration::from_secs(60);

/// A bearer token. It is never shown, not even for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// The token's text, for a header or a file that only its owner can read.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for BearerToken {
    type Err = String;

    /// White space around the token (the end of a line in a file) is not part of it.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(BearerToken(text.to_owned())),
            false => Err("a token is printable ASCII without blanks".to_owned()),
        }
    }
}

/// A server's address, what is trusted of it and the token to use.
#[derive(Clone, Debug)]
pub struct ServerTarget {
    /// `https://HOST:PORT`.
    pub url: String,
    /// Its certificate, the key of its authority, or both; not empty.
    pub trusted: Vec<Fingerprint>,
    pub token: Option<BearerToken>,
}

/// Keeps the key of an authority that was learned over a connection to a trusted server.
#[derive(Clone)]
pub struct AuthorityKeeper(Arc<dyn Fn(Fingerprint) + Send + Sync>);

impl AuthorityKeeper {
    pub fn new(keep: impl Fn(Fingerprint) + Send + Sync + 'static) -> Self {
        AuthorityKeeper(Arc::new(keep))
    }
}

impl fmt::Debug for AuthorityKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorityKeeper(…)")
    }
}

/// The address of a server: `https://HOST:PORT` and nothing after it.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    pub(crate) fn root(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromStr for BaseUrl {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let url: Url = text.parse().map_err(|_| url_error(text, "write it like https://10.0.0.1:8443"))?;
        if url.scheme() != "https" || !url.has_host() {
            return Err(url_error(text, "it must begin with https://, because the API always uses TLS"));
        }
        let rest = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        if rest || !url.username().is_empty() || url.password().is_some() {
            return Err(url_error(text, "it must have only a host and a port"));
        }
        Ok(BaseUrl(url.as_str().trim_end_matches('/').to_owned()))
    }
}

fn url_error(text: &str, why: &str) -> ClientError {
    ClientError::Invalid(format!("`{text}` is not a server's URL: {why}"))
}

/// A client of one server. Clones share their connections.
#[derive(Clone, Debug)]
pub struct ApiClient {
    http: reqwest::Client,
    base: BaseUrl,
    token: Option<BearerToken>,
    pin: Arc<CertificatePin>,
    keeper: Option<AuthorityKeeper>,
}

impl ApiClient {
    /// Creates a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for a URL that is not `https://HOST:PORT`, or where nothing is trusted.
    pub fn new(target: &ServerTarget) -> Result<Self, ClientError> {
        let base: BaseUrl = target.url.parse()?;
        if target.trusted.is_empty() {
            return Err(ClientError::Invalid(format!("nothing says which certificate {} has", target.url)));
        }
        let pin = CertificatePin::new(target.trusted.clone());
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(pin.tls()?)
            .connect_timeout(CONNECT_WITHIN)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_FOR_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("metalwright/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                ClientError::Invalid(format!("the HTTP client cannot be set up: {}", innermost(&error)))
            })?;
        Ok(ApiClient { http, base, token: target.token.clone(), pin, keeper: None })
    }

    /// The same, with one who keeps what is learned of the server's authority.
    pub fn with_keeper(self, keeper: AuthorityKeeper) -> Self {
        ApiClient { keeper: Some(keeper), ..self }
    }

    /// The same server with another token, for example an agent's renewed one.
    pub fn with_token(&self, token: BearerToken) -> Self {
        ApiClient { token: Some(token), ..self.clone() }
    }

    /// A request below `/api/v1`; `path` begins with a slash and is encoded already.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.base.root(&format!("/api/v1{path}"));
        let request = self.http.request(method, url).timeout(ANSWER_WITHIN);
        match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        }
    }

    /// Sends a request; every status but success becomes an error.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<ApiAnswer, ClientError> {
        let request =
            request.build().map_err(|error: reqwest::Error| ClientError::Invalid(innermost(&error)))?;
        let about = format!("{} {}", request.method(), request.url().path());
        let sent = self.http.execute(request).await;
        let response = sent.map_err(|error| self.failure(&about, &error))?;
        if let (Some(key), Some(keeper)) = (self.pin.learn_authority(), &self.keeper) {
            keeper.0(key);
        }
        let answer = ApiAnswer { response, about, base: self.base.clone() };
        if answer.response.status().is_success() { Ok(answer) } else { Err(answer.refusal().await) }
    }

    /// Sends a request and parses the response as JSON.
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.send(request).await?.json().await
    }

    fn failure(&self, about: &str, error: &reqwest::Error) -> ClientError {
        match self.pin.mismatch() {
            Some((expected, seen)) => {
                ClientError::OtherCertificate { url: self.base.0.clone(), expected, seen }
            }
            None => transport_error(&self.base, about, error),
        }
    }
}

/// A response whose body has not been read yet.
pub(crate) struct ApiAnswer {
    pub(crate) response: Response,
    about: String,
    pub(crate) base: BaseUrl,
}

impl ApiAnswer {
    /// The whole body.
    pub(crate) async fn bytes(self) -> Result<Vec<u8>, ClientError> {
        let (base, about) = (self.base, self.about);
        let mut chunks = self.response.bytes_stream();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk: Bytes = chunk.map_err(|error| transport_error(&base, &about, &error))?;
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                let what = format!("the answer is longer than {BODY_BYTES_MAX} bytes");
                return Err(ClientError::Unexpected { request: about, what });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let request = self.about.clone();
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Unexpected {
            request,
            what: format!("the answer is not what this version expects: {error}"),
        })
    }

    /// The error of a response that is not a success.
    async fn refusal(self) -> ClientError {
        let (status, request) = (self.response.status(), self.about.clone());
        let kind = self.response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_problem = kind.is_some_and(|kind| kind.contains("json"));
        let body = match self.bytes().await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match serde_json::from_slice::<ServerRefusal>(&body) {
            Ok(refusal) if is_problem => {
                ClientError::Refused(Box::new(ServerRefusal { status: status.as_u16(), ..refusal }))
            }
            _ => {
                let text: String = String::from_utf8_lossy(&body).chars().take(FOREIGN_TEXT_MAX).collect();
                let what = format!("{status}, and not from a Metalwright server: {}", text.trim());
                ClientError::Unexpected { request, what }
            }
        }
    }
}

pub(crate) fn transport_error(base: &BaseUrl, about: &str, error: &reqwest::Error) -> ClientError {
    let (url, request) = (base.0.clone(), about.to_owned());
    match error.is_timeout() && !error.is_connect() {
        true => ClientError::TimedOut { url, request },
        false => ClientError::Unreachable { url, request, reason: innermost(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_https_with_host_and_port_and_nothing_else() {
        for good in ["https://10.0.0.1:8443", "https://boot.example/", "https://[::1]:8443"] {
            assert!(good.parse::<BaseUrl>().is_ok(), "{good}");
        }
        for wrong in ["http://10.0.0.1", "10.0.0.1:8443", "https://u:p@h", "https://h/api/v1", "https://h?x"]
        {
            let error = wrong.parse::<BaseUrl>().unwrap_err().to_string();
            assert!(error.contains("is not a server's URL"), "{error}");
        }
    }

    #[test]
    fn a_token_is_not_shown_by_debugging() {
        let token: BearerToken = " secret\n".parse().unwrap();
        assert_eq!(token.reveal(), "secret");
        assert!(!format!("{token:?}").contains("secret"));
        assert!("two words".parse::<BearerToken>().is_err());
    }
}
