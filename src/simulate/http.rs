//! HTTP as the machine's programs use it: from the machine's own address, without redirects, with bounded
//! bodies. Start at [`MachineHttp::count`] and [`MachineHttp::text`].

use std::net::Ipv4Addr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};

use crate::simulate::failure::StepFailure;

/// Largest kernel, initrd or loader that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 30;
/// How long connecting may take, and how long a server may send nothing.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const SILENT_AT_MOST: Duration = Duration::from_secs(30);
/// Longest part of a refusal that is shown, in characters.
const REFUSAL_CHARS_MAX: usize = 300;

/// The program of the machine that sends the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserAgent {
    Uefi,
    Ipxe,
    Installer,
}

impl UserAgent {
    fn user_agent(self) -> &'static str {
        match self {
            UserAgent::Uefi => "UefiHttpBoot/1.0",
            UserAgent::Ipxe => "iPXE/1.21.1",
            UserAgent::Installer => "Wget/1.21.3",
        }
    }
}

/// The HTTP client of a machine.
#[derive(Debug, Clone)]
pub struct MachineHttp {
    client: Client,
}

/// The result of a HEAD request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHead {
    pub bytes: u64,
    pub content_type: String,
}

impl MachineHttp {
    /// A client that sends from `address`.
    ///
    /// # Errors
    /// The client could not be created.
    pub fn new(address: Ipv4Addr) -> Result<Self, StepFailure> {
        let client = Client::builder()
            .local_address(std::net::IpAddr::V4(address))
            .no_proxy()
            .redirect(Policy::none())
            // Nothing of a boot is fetched over TLS, so the system's certificates are not read.
            .tls_certs_only([])
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENT_AT_MOST)
            .build();
        let client = client.map_err(|error| StepFailure::new("http", "an HTTP client", chain(&error)))?;
        Ok(MachineHttp { client })
    }

    /// Asks for the size and type of a file, as UEFI does before it fetches.
    ///
    /// # Errors
    /// The file does not exist, or the server does not tell its size.
    pub async fn head(&self, agent: UserAgent, url: &str) -> Result<FileHead, StepFailure> {
        let response = self.send(Method::HEAD, agent, (url, None)).await?;
        let bytes = response
            .headers()
            .get("content-length")
            .and_then(|value| value.to_str().ok())
            .and_then(|bytes| bytes.parse().ok());
        let Some(bytes) = bytes else {
            return Err(StepFailure::new("http", format!("the length of {url}"), "HEAD says none"));
        };
        Ok(FileHead {
            bytes,
            content_type: response
                .headers()
                .get("content-type")
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// Fetches a file and counts its bytes, without keeping them.
    ///
    /// # Errors
    /// The file does not exist, is larger than [`FILE_BYTES_MAX`], or ends early.
    pub async fn count(&self, agent: UserAgent, url: &str) -> Result<u64, StepFailure> {
        let mut response = self.send(Method::GET, agent, (url, None)).await?;
        let mut bytes = 0u64;
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(url, &error))? {
            bytes = bytes.saturating_add(chunk.len() as u64);
            if bytes > FILE_BYTES_MAX {
                let came = format!("more than {FILE_BYTES_MAX} bytes came");
                return Err(StepFailure::new("http", format!("an end of {url}"), came));
            }
        }
        Ok(bytes)
    }

    /// Fetches a text of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// It does not exist, is larger, or is not UTF-8.
    pub async fn text(&self, agent: UserAgent, url: &str, bytes_max: usize) -> Result<String, StepFailure> {
        let response = self.send(Method::GET, agent, (url, None)).await?;
        read_text(response, url, bytes_max).await
    }

    /// Posts a report and returns the server's answer.
    ///
    /// # Errors
    /// The server did not accept it.
    pub async fn report(&self, (url, text): (&str, &str)) -> Result<String, StepFailure> {
        let response = self.send(Method::POST, UserAgent::Installer, (url, Some(text))).await?;
        read_text(response, url, REFUSAL_CHARS_MAX * 4).await
    }

    async fn send(
        &self,
        method: Method,
        agent: UserAgent,
        (url, body): (&str, Option<&str>),
    ) -> Result<Response, StepFailure> {
        let expected = || format!("{method} {url} to be answered");
        let parsed =
            Url::parse(url).map_err(|error| StepFailure::new("http", expected(), error.to_string()))?;
        let mut request = self.client.request(method.clone(), parsed).header(USER_AGENT, agent.user_agent());
        if let Some(body) = body {
            request =
                request.header(CONTENT_TYPE, HeaderValue::from_static("text/plain")).body(body.to_owned());
        }
        let sent = request.send().await;
        let response = sent.map_err(|error| StepFailure::new("http", expected(), chain(&error)))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => {
                let said = read_text(response, url, REFUSAL_CHARS_MAX * 4).await.unwrap_or_default();
                let said: String = said.trim().chars().take(REFUSAL_CHARS_MAX).collect();
                Err(StepFailure::new(
                    "http",
                    format!("{method} {url} to be answered with 200"),
                    format!("{status}: {said}"),
                ))
            }
        }
    }
}

async fn read_text(mut response: Response, url: &str, bytes_max: usize) -> Result<String, StepFailure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(url, &error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > bytes_max {
            let came = format!("more than {bytes_max} bytes came");
            return Err(StepFailure::new("http", format!("an end of {url}"), came));
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| StepFailure::new("http", format!("text at {url}"), "it is not UTF-8"))
}

fn broken(url: &str, error: &reqwest::Error) -> StepFailure {
    StepFailure::new("http", format!("all of {url}"), chain(error))
}

/// An error with its causes.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
