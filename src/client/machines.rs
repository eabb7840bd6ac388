//! Calls about machines: actions, timeline, explanations, documents.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::objects::segment;
use crate::client::{ApiClient, ClientError, EventHistory, HistoryRange, ObjectPath};
use crate::model::{DhcpStatus, ExampleAnswer, Problem, ServerSummary, SimilarClient};

/// The actions on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineAction {
    Start,
    Restart,
    Pause,
    Resume,
    Retry,
    Skip,
    MarkDone,
    Cancel,
    Arm,
    Disarm,
}

/// The document to render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderOf {
    pub file: String,
    /// The bootenv to render for; none for the machine's own.
    pub bootenv: Option<String>,
    /// Objects that are not saved, by the plurals of their nouns; null if there are none.
    pub content: Value,
}

/// Which values of params are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamDetail {
    /// The value that counts.
    Value,
    /// The values of all levels: `explain=true`.
    Levels,
}

/// Whether an action is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionMode {
    CarryOut,
    /// It is checked, and changes nothing: `dry_run=true`.
    DryRun,
}

impl MachineAction {
    pub fn as_str(self) -> &'static str {
        match self {
            MachineAction::Start => "start",
            MachineAction::Restart => "restart",
            MachineAction::Pause => "pause",
            MachineAction::Resume => "resume",
            MachineAction::Retry => "retry",
            MachineAction::Skip => "skip",
            MachineAction::MarkDone => "mark_done",
            MachineAction::Cancel => "cancel",
            MachineAction::Arm => "arm",
            MachineAction::Disarm => "disarm",
        }
    }
}

/// The client whose boot is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainOf {
    Mac,
    Machine,
    Address,
}

/// The client that is asked about, and what it would send.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainAs<'a> {
    pub what: &'a str,
    pub vendor_class: Option<&'a str>,
    pub user_class: Option<&'a str>,
}

impl ExplainOf {
    fn as_str(self) -> &'static str {
        match self {
            ExplainOf::Mac => "mac",
            ExplainOf::Machine => "machine",
            ExplainOf::Address => "address",
        }
    }
}

/// What a machine would boot now, and the rules that were checked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BootExplanation {
    /// `local_disk`, `netboot`, `screen`, `ignore`.
    pub verdict: String,
    #[serde(default)]
    pub bootenv: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
    /// The answer to the request: `loader`, `local_script`, `deny` …
    pub answer: String,
    pub trace: Vec<RuleEntry>,
    #[serde(default)]
    pub client_classes: Vec<ClassEntry>,
    #[serde(default)]
    pub options: Vec<OptionEntry>,
    /// The answer to its DISCOVER.
    #[serde(default)]
    pub offer: Option<ExampleAnswer>,
    /// The disk that the installer would take, in words.
    #[serde(default)]
    pub disk: Option<String>,
    /// What can stop the boot although the decision is right.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why a start of the machine's workflow would be refused.
    #[serde(default)]
    pub start_faults: Vec<Problem>,
    /// Unknown clients with almost the machine's MAC.
    #[serde(default)]
    pub similar_clients: Vec<SimilarClient>,
}

/// A client class, and whether the client is in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ClassEntry {
    pub name: String,
    pub order: i32,
    pub matched: bool,
    /// The first condition that does not hold.
    #[serde(default)]
    pub reason: String,
}

/// A DHCP option, and the object that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OptionEntry {
    pub code: u8,
    pub name: String,
    pub value: String,
    pub scope: String,
    pub from: String,
}

/// One rule, in the order of checking.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RuleEntry {
    pub rule: String,
    /// Whether the rule decided.
    pub matched: bool,
    pub detail: String,
}

/// A piece of a job's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPiece {
    pub bytes: Vec<u8>,
    /// The offset of the next piece.
    pub end: u64,
}

/// Whether pruning deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    DryRun,
    Delete,
}

impl ApiClient {
    /// Carries out `action`; `details` is its body: `{"workflow": "install-debian-12"}` or `{}`. Returns the
    /// machine afterwards.
    ///
    /// # Errors
    /// An error of the server or the network; 409 with the reason if the action is not possible now.
    pub async fn act(
        &self,
        machine: &ObjectPath,
        (action, mode): (MachineAction, ActionMode),
        details: &Value,
    ) -> Result<Value, ClientError> {
        let path = machine.with(&format!("/actions/{}", action.as_str()));
        let request = self.request(Method::POST, &path).json(details);
        self.fetch(match mode {
            ActionMode::CarryOut => request,
            ActionMode::DryRun => request.query(&[("dry_run", "true")]),
        })
        .await
    }

    /// One page of a machine's timeline, oldest first, from a time on (as the API takes it: `-1h`).
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn timeline(
        &self,
        machine: &ObjectPath,
        (page, since): (HistoryRange, Option<&str>),
    ) -> Result<EventHistory, ClientError> {
        let request = self.request(Method::GET, &machine.with("/timeline")).query(&page.terms());
        let since: Vec<_> = since.iter().map(|since| ("since", since)).collect();
        self.fetch(request.query(&since)).await
    }

    /// What a machine would boot now, and why.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn explain(&self, of: ExplainOf, asks: &ExplainAs<'_>) -> Result<Value, ClientError> {
        let mut terms = vec![(of.as_str(), asks.what)];
        terms.extend(asks.vendor_class.map(|text| ("vendor_class", text)));
        terms.extend(asks.user_class.map(|text| ("user_class", text)));
        self.fetch(self.request(Method::GET, "/explain").query(&terms)).await
    }

    /// What a packet of a client would be answered now, and why.
    ///
    /// # Errors
    /// The packet cannot be read, or an error of the server or the network.
    pub async fn explain_packet(&self, packet: &str) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::POST, "/explain/packet").json(&json!({"packet": packet}))).await
    }

    /// The status of DHCP.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn dhcp_status(&self) -> Result<DhcpStatus, ClientError> {
        self.fetch(self.request(Method::GET, "/dhcp/status")).await
    }

    /// What an overview needs.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn summary(&self) -> Result<ServerSummary, ClientError> {
        self.fetch(self.request(Method::GET, "/summary")).await
    }

    /// The server's background work.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn background_status(&self) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::GET, "/server/background")).await
    }

    /// Deletes history that is older than the settings allow, or reports what would be deleted.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn prune(&self, mode: Prune) -> Result<Value, ClientError> {
        let dry_run = if mode == Prune::Delete { "false" } else { "true" };
        let request = self.request(Method::POST, "/server/prune").query(&[("dry_run", dry_run)]);
        self.fetch(request).await
    }

    /// The documents that the machine was served during a run.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn documents(&self, run: &ObjectPath) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::GET, &run.with("/documents"))).await
    }

    /// The text of a document that the machine was served during a run, the last one at its path.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn document(&self, run: &ObjectPath, path: &str) -> Result<Vec<u8>, ClientError> {
        let path = run.with(&format!("/documents/{}", segment(path)));
        self.send(self.request(Method::GET, &path)).await?.bytes().await
    }

    /// Every path that a machine may fetch now.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn files(&self, machine: &ObjectPath) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::GET, &machine.with("/files"))).await
    }

    /// The values of all params of a machine, with the level that each comes from.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn params(&self, machine: &ObjectPath, detail: ParamDetail) -> Result<Value, ClientError> {
        let request = self.request(Method::GET, &machine.with("/params")).query(&[("aggregate", "true")]);
        self.fetch(match detail {
            ParamDetail::Value => request,
            ParamDetail::Levels => request.query(&[("explain", "true")]),
        })
        .await
    }

    /// Everything that a template can use for a machine.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn variables(&self, machine: &ObjectPath) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::GET, &machine.with("/variables"))).await
    }

    /// What a machine was served last, against what it would be served now.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn document_diff(&self, machine: &ObjectPath) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::GET, &machine.with("/diff"))).await
    }

    /// The same of some machines, from a cursor on; empty for the first.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn fleet_diff(&self, cursor: &str) -> Result<Value, ClientError> {
        let request = self.request(Method::GET, "/diff");
        self.fetch(if cursor.is_empty() { request } else { request.query(&[("cursor", cursor)]) }).await
    }

    /// A document as the machine would get it, without secrets.
    ///
    /// # Errors
    /// An error of the server or the network; 422 with template, line and column.
    pub async fn render(&self, machine: &str, of: RenderOf) -> Result<Value, ClientError> {
        let mut body = json!({"machine": machine, "file": of.file, "bootenv": of.bootenv});
        if let Some(fields) = body.as_object_mut().filter(|_| !of.content.is_null()) {
            fields.insert("content".to_owned(), of.content);
        }
        self.fetch(self.request(Method::POST, "/render").json(&body)).await
    }

    /// A job's log from an offset on; empty at its end.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn log(&self, job: Uuid, offset: u64) -> Result<LogPiece, ClientError> {
        let request = self.request(Method::GET, &format!("/jobs/{job}/log"));
        let request = request.query(&[("offset", offset)]);
        let bytes = self.send(request).await?.bytes().await?;
        let end = offset.saturating_add(bytes.len() as u64);
        Ok(LogPiece { bytes, end })
    }
}
