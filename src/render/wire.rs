//! The protocol between the server and a render worker: frames of JSON over one socket.
//!
//! A frame is a length (4 bytes, little endian) and a [`WorkerRequest`] or a [`WorkerReply`]. Requests borrow
//! their content, so that a machine's params are not copied for sending. Floats without a short decimal form
//! may change in their last digit.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::LineOrigin;
use crate::render::context::{CallbackUrls, PackageRepository, RenderInput};
use crate::render::engine::{Provenance, RenderLimits, RenderedText, TemplateSource};
use crate::render::params::{LayeredParams, ParamLayer, ParamLevel, ParamValues, SecretAccess};
use crate::render::problem::RenderProblem;

/// The longest frame, in bytes.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;

/// The source of a render.
#[derive(Clone, Debug, Hash, Serialize, Deserialize)]
pub(super) enum RenderSource {
    /// A template of the set, by name.
    Named(String),
    /// A text that is no template of its own, and where it stands: `debian-12-install/boot_params`.
    Inline { place: String, body: String },
}

#[derive(Serialize, Deserialize)]
pub(super) enum WorkerRequest<'a> {
    /// The first request. It has no reply.
    Begin { niceness: i32 },
    /// The templates to render from now on, and the problems of those that are broken. The reply is
    /// [`WorkerReply::Loaded`].
    Load {
        templates: Cow<'a, [TemplateSource]>,
        broken: Cow<'a, [(String, RenderProblem)]>,
        /// Whether the renders tell where the lines of a document come from.
        traces: bool,
    },
    /// The reply is [`WorkerReply::Rendered`].
    Render(Box<RenderOrder<'a>>),
}

#[derive(Serialize, Deserialize)]
pub(super) enum WorkerReply {
    Loaded,
    Rendered(Result<RenderedPage, RenderProblem>),
}

/// One render: its source, its input, its limits.
#[derive(Serialize, Deserialize)]
pub(super) struct RenderOrder<'a> {
    pub source: Cow<'a, RenderSource>,
    pub deadline: Duration,
    pub output_bytes_max: usize,
    pub fuel: u64,
    variables: Cow<'a, Map<String, Value>>,
    layers: Vec<(Cow<'a, ParamLevel>, Cow<'a, ParamValues>)>,
    secrets: Cow<'a, BTreeSet<String>>,
    opens_secrets: bool,
    absent: Cow<'a, BTreeMap<String, String>>,
    callbacks: Option<Cow<'a, str>>,
    repositories: Cow<'a, [PackageRepository]>,
    agent_token: Option<Cow<'a, str>>,
    salt_seed: Cow<'a, str>,
    now: Timestamp,
}

/// The parts of a [`RenderedText`], which cannot be serialised itself because it may contain secrets.
#[derive(Serialize, Deserialize)]
pub(super) struct RenderedPage {
    text: String,
    sha256: String,
    provenance: Provenance,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineOrigin>,
}

impl<'a> RenderOrder<'a> {
    pub fn new(source: &'a RenderSource, input: &'a RenderInput, limits: RenderLimits) -> Self {
        let LayeredParams { layers, secrets, access, absent } = &input.params;
        RenderOrder {
            source: Cow::Borrowed(source),
            deadline: limits.deadline,
            output_bytes_max: limits.output_bytes_max,
            fuel: limits.fuel,
            variables: Cow::Borrowed(&input.variables),
            layers: layers
                .iter()
                .map(|layer: &'a ParamLayer| {
                    (Cow::Borrowed(&layer.level), Cow::Borrowed(layer.values.as_ref()))
                })
                .collect(),
            secrets: Cow::Borrowed(secrets),
            opens_secrets: *access == SecretAccess::Open,
            absent: Cow::Borrowed(absent),
            callbacks: input.callbacks.as_ref().map(|callbacks| Cow::Borrowed(callbacks.base.as_str())),
            repositories: Cow::Borrowed(&input.repositories),
            agent_token: input.agent_token.as_deref().map(Cow::Borrowed),
            salt_seed: Cow::Borrowed(&input.salt_seed),
            now: input.now,
        }
    }

    pub fn limits(&self) -> RenderLimits {
        RenderLimits { deadline: self.deadline, output_bytes_max: self.output_bytes_max, fuel: self.fuel }
    }

    pub fn into_source_and_input(self) -> (RenderSource, RenderInput) {
        let access = if self.opens_secrets { SecretAccess::Open } else { SecretAccess::Sealed };
        let layers = self
            .layers
            .into_iter()
            .map(|(level, values): (Cow<'_, ParamLevel>, Cow<'_, ParamValues>)| {
                ParamLayer::new(level.into_owned(), values.into_owned())
            })
            .collect();
        let input = RenderInput {
            variables: self.variables.into_owned(),
            params: LayeredParams {
                absent: Arc::new(self.absent.into_owned()),
                ..LayeredParams::new(layers, self.secrets.into_owned(), access)
            },
            callbacks: self.callbacks.map(|base| CallbackUrls { base: base.into_owned() }),
            repositories: self.repositories.into_owned(),
            agent_token: self.agent_token.map(Cow::into_owned),
            salt_seed: self.salt_seed.into_owned(),
            now: self.now,
        };
        (self.source.into_owned(), input)
    }
}

impl From<RenderedText> for RenderedPage {
    fn from(rendered: RenderedText) -> Self {
        let RenderedText { text, sha256, provenance, lines } = rendered;
        RenderedPage { text, sha256, provenance, lines }
    }
}

impl From<RenderedPage> for RenderedText {
    fn from(page: RenderedPage) -> Self {
        let RenderedPage { text, sha256, provenance, lines } = page;
        RenderedText { text, sha256, provenance, lines }
    }
}

/// A message, preceded by its length.
///
/// # Errors
/// It is longer than [`FRAME_BYTES_MAX`].
pub(super) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > FRAME_BYTES_MAX {
        let why = format!("what the render is made of has {length} bytes, and may have {FRAME_BYTES_MAX}");
        return Err(io::Error::other(why));
    }
    let prefix = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    for (to, from) in bytes.iter_mut().zip(prefix) {
        *to = from;
    }
    Ok(bytes)
}

/// The next message; none if the other side has ended.
///
/// # Errors
/// The stream failed, or contains something else than a message.
pub(super) fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut prefix = [0; 4];
    match stream.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    }
    let length = u32::from_le_bytes(prefix) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other("a frame is too long"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Sends a message.
///
/// # Errors
/// It is too long, or the stream failed.
pub(super) fn send(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&frame(message)?)
}
