//! The connection of one client: its requests one after the other, and their time limits.
//!
//! Start at [`serve`]. A client may wait between requests, and read an answer as slowly as it likes. It may
//! not send a request in tiny pieces, or stop reading altogether.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::BootHttpState;
use super::answer::{self, AnswerContent, ConnectionPersistence as Goes, HttpAnswer};
use super::body::{self, BodyReader};
use super::client_socket::{ClientSocket, read};
use super::request::{self, BodyLength, BootRequest, HEAD_BYTES_MAX, RequestMethod};
use crate::artifacts::opened::{FetchRefusal, Protocol};
use crate::connections::{ConnectionPermit, LimitReason};
use crate::netboot::Netboot;
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::files::{Fetch, ServedFile};
use crate::netboot::reports::{InstallerReport, ReportKind};

/// How long a client may be idle between two requests; less when most connections are taken.
const IDLE_MAX: Duration = Duration::from_secs(75);
const IDLE_CROWDED_MAX: Duration = Duration::from_secs(5);
/// How long the head of a request may take from its first byte, and how long the body of a report may take.
const HEAD_MAX: Duration = Duration::from_secs(10);
const BODY_MAX: Duration = Duration::from_secs(60);
/// Largest body that is sent together with its head.
const PIECE_BYTES_MAX: u64 = 64 * 1024;

/// The client at the other end, and the server's address that it uses.
pub struct BootClient {
    pub shared: Arc<BootHttpState>,
    pub permit: ConnectionPermit,
    pub peer: IpAddr,
    pub local: IpAddr,
}

/// Answers requests until either side ends the connection.
pub async fn serve(wire: ClientSocket, client: BootClient) {
    let mut connection = BootConnection { wire, client, buffer: BytesMut::new(), lost: false };
    loop {
        match connection.turn().await {
            Ok(AfterAnswer::Another) => {}
            Ok(AfterAnswer::End) => break,
            Ok(AfterAnswer::Gone) => return,
            // The client has closed the connection.
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    connection.client.permit.counters().count(LimitReason::Stalled);
                }
                return;
            }
        }
    }
    let BootConnection { wire, client, .. } = connection;
    wire.close().await;
    drop(client);
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterAnswer {
    Another,
    /// The connection is closed carefully: the client may still be sending.
    End,
    /// There was no request.
    Gone,
}

struct BootConnection {
    wire: ClientSocket,
    client: BootClient,
    /// Received bytes that are not handled yet.
    buffer: BytesMut,
    /// The buffer does not begin with a request any more.
    lost: bool,
}

impl BootConnection {
    /// Handles one request.
    async fn turn(&mut self) -> io::Result<AfterAnswer> {
        let request = match self.request().await {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(AfterAnswer::Gone),
            Err((why, fault)) => {
                self.client.permit.counters().count(why);
                let (status, message) = fault;
                let said = (RequestMethod::Get, Goes::Ends);
                return self.send(answer::text(status, message), said, None).await.map(|()| AfterAnswer::End);
            }
        };
        self.client.permit.counters().requests.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let (answer, served) = match request.method {
            RequestMethod::Get | RequestMethod::Head => self.client.get(&request).await,
            RequestMethod::Post => (self.post(&request).await?, None),
            RequestMethod::Other => (not_allowed(&request.path), None),
        };
        let mut delivery = served.map(|served| {
            let netboot = Arc::clone(&self.client.shared.netboot);
            FileDelivery { netboot, served, started }
        });
        let goes = self.goes(&request);
        self.send(answer, (request.method, goes), delivery.as_mut().map(|delivery| &mut delivery.served))
            .await?;
        Ok(if goes == Goes::Ends { AfterAnswer::End } else { AfterAnswer::Another })
    }

    fn goes(&self, request: &BootRequest) -> Goes {
        // The body of a GET is not read.
        let unread = request.method != RequestMethod::Post && request.length != BodyLength::Bytes(0);
        if unread || self.lost || !request.persistent || self.client.shared.stop.is_cancelled() {
            return Goes::Ends;
        }
        if request.old { Goes::GoesOnThough10 } else { Goes::GoesOn }
    }

    /// The next request. `None` if the client or the server has ended, or nothing arrived for too long.
    async fn request(&mut self) -> Result<Option<BootRequest>, (LimitReason, (u16, &'static str))> {
        if self.buffer.is_empty() && !self.is_there_more().await {
            return Ok(None);
        }
        match timeout(HEAD_MAX, self.head()).await {
            Ok(Ok(request)) => Ok(request),
            Ok(Err(fault)) => Err((LimitReason::Malformed, fault.answer())),
            Err(_) => Err((LimitReason::SlowRequest, (408, "the request did not come in time"))),
        }
    }

    /// Waits for the first byte of a request.
    async fn is_there_more(&mut self) -> bool {
        let shared = &self.client.shared;
        let idle = if shared.limiter.is_crowded() { IDLE_CROWDED_MAX } else { IDLE_MAX };
        tokio::select! {
            read = timeout(idle, self.wire.read(&mut self.buffer)) => matches!(read, Ok(Ok(1..))),
            () = shared.stop.cancelled() => false,
        }
    }

    async fn head(&mut self) -> Result<Option<BootRequest>, request::RequestFault> {
        loop {
            if let Some((request, head)) = request::parse(&self.buffer)? {
                self.buffer.advance(head);
                return Ok(Some(request));
            }
            // A byte that does not end a line cannot end the head.
            let mut fresh = self.buffer.len();
            loop {
                if !matches!(self.wire.read(&mut self.buffer).await, Ok(1..)) {
                    return Ok(None);
                }
                let has_line = self.buffer.iter().skip(fresh).any(|byte| *byte == b'\n');
                fresh = self.buffer.len();
                if has_line || fresh >= HEAD_BYTES_MAX {
                    break;
                }
            }
        }
    }

    /// Handles a report of an installer. Its body is read within bounds of time and size, and only a few at
    /// once.
    async fn post(&mut self, request: &BootRequest) -> io::Result<HttpAnswer> {
        self.lost = true;
        let shared = Arc::clone(&self.client.shared);
        let Ok(_turn) = shared.reports.acquire().await else { return Ok(answer::text(503, "stopping")) };
        if request.expects_continue && self.buffer.is_empty() {
            self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut reader = BodyReader { wire: &mut self.wire, buffer: &mut self.buffer };
        let body = match timeout(BODY_MAX, reader.read(request.length)).await {
            Ok(Ok(body)) => body,
            Ok(Err(body::BodyFault::Gone)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Err(body::BodyFault::TooLong)) => return Ok(answer::text(413, "a report is at most 1 MiB")),
            Ok(Err(body::BodyFault::Malformed)) => {
                self.client.permit.counters().count(LimitReason::Malformed);
                return Ok(answer::text(400, "the chunks of the report are malformed"));
            }
            Err(_) => {
                self.client.permit.counters().count(LimitReason::SlowRequest);
                return Ok(answer::text(408, "the report did not come in time"));
            }
        };
        self.lost = false;
        Ok(self.client.report(request, &body).await)
    }

    async fn send(
        &mut self,
        answer: HttpAnswer,
        (method, goes): (RequestMethod, Goes),
        served: Option<&mut ServedFile>,
    ) -> io::Result<()> {
        let mut sent = 0;
        let done = self.put(answer, (method, goes), &mut sent).await;
        if let Some(served) = served {
            (served.bytes, served.complete) = (sent, done.is_ok());
        }
        done
    }

    async fn put(
        &mut self,
        answer: HttpAnswer,
        (method, goes): (RequestMethod, Goes),
        sent: &mut u64,
    ) -> io::Result<()> {
        let mut head = answer.head.end(self.client.shared.netboot.now(), goes);
        match answer.body {
            _ if method == RequestMethod::Head => self.wire.write(&head).await,
            AnswerContent::Nothing => self.wire.write(&head).await,
            AnswerContent::File(part) if part.coming.is_some() || part.span.length > PIECE_BYTES_MAX => {
                self.wire.write_file(&head, &part, sent).await
            }
            AnswerContent::File(part) => {
                match read(&part.file, part.span).await {
                    Ok(bytes) => head.extend_from_slice(&bytes),
                    Err(error) => return self.unreadable(error).await,
                }
                self.wire.write(&head).await?;
                *sent = part.span.length;
                Ok(())
            }
            AnswerContent::Text(bytes) | AnswerContent::Document(bytes) => {
                head.extend_from_slice(&bytes);
                self.wire.write(&head).await?;
                *sent = bytes.len() as u64;
                Ok(())
            }
        }
    }
}

impl BootConnection {
    /// Answers for a file that was opened and cannot be read: an error, and the end of the connection.
    async fn unreadable(&mut self, error: io::Error) -> io::Result<()> {
        let said = answer::text(503, &format!("the file cannot be read: {error}"));
        let mut bytes = said.head.end(self.client.shared.netboot.now(), Goes::Ends);
        if let AnswerContent::Text(text) = said.body {
            bytes.extend_from_slice(&text);
        }
        self.wire.write(&bytes).await?;
        Err(error)
    }
}

/// Reports the transfer when the answer is finished or abandoned.
struct FileDelivery {
    netboot: Arc<Netboot>,
    served: ServedFile,
    started: Instant,
}

impl Drop for FileDelivery {
    fn drop(&mut self) {
        self.served.duration = self.started.elapsed();
        self.netboot.served(self.served.clone());
    }
}

impl BootClient {
    async fn get(&self, request: &BootRequest) -> (HttpAnswer, Option<ServedFile>) {
        let fetch = Fetch {
            // Bytes that are not text are no part of a name: see `namespace::likely_paths`.
            path: percent_decode_str(&request.path).decode_utf8_lossy().into_owned(),
            peer: self.peer,
            local: self.local,
            protocol: Protocol::Http,
            hint: hint(&request.query),
            has_query: !request.query.is_empty(),
        };
        let answer = match self.shared.netboot.open(&fetch).await {
            Ok(opened) => {
                let is_told = opened.about.is_recorded() && request.method == RequestMethod::Get;
                let served = is_told.then(|| ServedFile::of(&fetch, &opened));
                let answer = answer::file(request, opened);
                let is_sent = matches!(answer.body, AnswerContent::Document(_) | AnswerContent::File(_));
                return (answer, served.filter(|_| is_sent));
            }
            Err(FetchRefusal::Absent) => answer::text(404, "not found"),
            Err(FetchRefusal::BadPath(why)) => answer::text(400, why),
            Err(FetchRefusal::Denied(why)) => answer::text(403, &why),
            Err(FetchRefusal::Failed(why)) => answer::text(503, &why),
        };
        (answer, None)
    }

    async fn report(&self, request: &BootRequest, body: &Bytes) -> HttpAnswer {
        let Some((capability, kind)) = report_of(&request.path) else { return not_allowed(&request.path) };
        let report =
            InstallerReport { kind, text: String::from_utf8_lossy(body).into_owned(), peer: self.peer };
        match self.shared.netboot.report(capability, report).await {
            Ok(said) => answer::text(200, &said),
            Err(crate::kernel::Error::Unauthorized(_, why)) => answer::text(401, &why),
            Err(crate::kernel::Error::Forbidden(_, why)) => answer::text(403, &why),
            Err(crate::kernel::Error::Conflict(_, why)) => answer::text(409, &why),
            Err(crate::kernel::Error::TooMuch { why, retry_after }) => answer::too_much(&why, retry_after),
            Err(error) => answer::text(503, &error.to_string()),
        }
    }
}

/// The capability and kind of a report that is posted to this path.
fn report_of(path: &str) -> Option<(&str, ReportKind)> {
    let (capability, kind) = path.trim_start_matches('/').strip_prefix("m/")?.split_once('/')?;
    Some((capability, ReportKind::parse(kind)?))
}

/// The answer to a method that a path does not take.
fn not_allowed(path: &str) -> HttpAnswer {
    answer::not_allowed(match report_of(path) {
        Some(_) => ("POST", "a report of an installer is sent here by POST"),
        None => (
            "GET, HEAD",
            "a file is read with GET or HEAD; reports go to m/<capability>/done, failed, log, asks or \
             installer.log",
        ),
    })
}

/// The client, if the URL names it: `boot.ipxe?mac=52:54:…`.
fn hint(query: &str) -> ClientHint {
    let values = query.split('&').filter_map(|pair| pair.strip_prefix("mac="));
    let mut macs = values.filter_map(|value| percent_decode_str(value).decode_utf8().ok()?.parse().ok());
    ClientHint { mac: macs.next(), address: None }
}
