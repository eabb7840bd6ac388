//! The nouns of Metalwright as plain values: no I/O, no clock, nothing from other modules.
//!
//! Start with `object` (the parts that every stored object has), then read `machine`. `world` is the snapshot
//! of all objects that the rest of the program reads.

mod address_key;
mod agent;
mod arch;
mod artifact;
mod artifact_mount;
mod artifact_source;
mod background;
pub mod bounds;
mod changes;
mod channel;
mod checksum;
mod client_class;
mod commits;
mod content;
mod content_files;
mod content_override;
mod content_view;
mod data_check;
mod derived;
mod dhcp_status;
mod digest;
pub mod disk_rule;
mod document;
pub mod event;
mod fetch_policy;
mod ip_network;
mod job;
mod kept_content;
mod kind_words;
mod lease;
mod line_origin;
mod mac;
mod machine;
mod mirror;
mod moment;
mod name;
mod network;
pub mod nouns;
#[cfg(test)]
mod nouns_tests;
mod object;
mod octets;
mod option_set;
mod pack;
mod pack_trust;
mod problem;
mod provenance;
mod refusal_code;
mod render_problem;
mod reservation;
mod retention;
mod run;
mod schema;
pub mod schema_cost;
mod schema_words;
mod secret_reference;
mod served_document;
mod session;
pub mod settings;
mod summary;
mod token;
mod unknown_client;
mod unsaved_content;
mod verdict;
mod view;
mod world;
mod world_content;

pub use address_key::AddressKey;
pub use agent::{
    AgentReport, AgentTokenReissue, Environment, JobFile, JobOffer, JobReport, JobWork, LogEnd, TokenGrant,
};
pub use arch::Arch;
pub use artifact::{
    Artifact, ArtifactKind, ArtifactState, ArtifactStatus, ArtifactWork, FILES_LISTED_MAX, RootsCheck,
    TreeRepository,
};
pub use artifact_mount::{ArtifactMount, MOUNTS_MAX};
pub use artifact_source::{ArtifactSource, FILE_URL, SourceFile};
pub use background::{BackgroundRound, BackgroundStatus, BackgroundWork};
pub use changes::{ChangePage, place_after};
pub use channel::{
    CHANNEL_MOVES_MAX, CHANNEL_PACKS_MAX, Channel, ChannelMove, ChannelMoveKind, ChannelStatus, PROD_CHANNEL,
};
pub use checksum::{Checksum, ChecksumAlgorithm};
pub use client_class::{
    BOOT_FILE_BYTES_MAX, ClassBoot, ClassMatch, ClientClass, MacPrefix, check_boot_file, is_template,
};
pub use commits::{
    ChangePlace, CommitHistory, CommitMark, EPOCHS_MAX, Epoch, ObjectChange, ObjectChangeKind, ReadAgain,
    ReadPosition, TOMBSTONES_MAX, Tombstone,
};
pub use content::{
    BootFiles, Bootenv, BootenvKind, GLOBAL_PROFILE, GeneratedSecret, Os, PUBLIC_HALF, Param, Profile, Stage,
    TEMPLATE_BYTES_MAX, Task, Template, Workflow, public_half,
};
pub use content_files::{BootTemplate, TaskTemplate, TemplateText, is_path_template};
pub use content_override::{OVERRIDE_PARTS_MAX, Override, OverrideKind, OverrideTarget, PACK_KINDS};
pub use content_view::{ContentView, FOLDER_TEMPLATES_MAX, open_run};
pub use data_check::{CheckedPart, DataCheckReport, DataFinding, FindingSeverity, LOCK_FILE};
pub use dhcp_status::{
    DhcpStatus, ExampleAnswer, InterfaceStatus, RelayStatus, RivalStatus, ServiceStatus, StoreStatus,
    SubnetStatus, UnservedStatus,
};
pub use digest::{hex, parse_hex, sha256_hex};
pub use document::ObjectRow;
pub use event::{BootProtocol, Event, EventBody, EventKind, NewEvent};
pub use fetch_policy::{AllowedPlace, FetchPolicy, PlaceRefusal, UnlistedPlace, UrlPlace};
pub use ip_network::{IpNetwork, SpecialAddress};
pub use job::{AfterJob, Job, JobEnd, JobState, ended_by_exit};
pub use kept_content::{Content, ContentSet, MachineValues, PackText, ParamDeclaration, TemplateBody};
pub use lease::{Lease, LeaseState};
pub use line_origin::{LINES_MAX, LineOrigin, ParamOrigin, TemplatePlace};
pub use mac::{Mac, MacError};
pub use machine::{
    AgentSeen, BootAttempt, BootProgress, BootResult, LiveSystem, MACS_MAX, Machine, MachineState,
    MachineStatus, MachineWait, PresentRun, StepTries, StopBefore,
};
pub use mirror::{MIRROR_BYTES_DEFAULT, MirrorRepository, MirrorStatus, MirrorTerms};
pub use moment::{parse_moment, start_of_day};
pub use name::{NAME_BYTES_MAX, check_file_path, check_host_name, check_name};
pub use network::{Cidr, ExcludedRange, Pool, ProbeMode, Subnet, SubnetMode};
pub use nouns::{CellFormat, Column, Kind, NounRow, NounVerb};
pub(crate) use nouns::{dispatch_noun, nouns, with_noun};
pub use object::{NoStatus, Noun, ObjectReference, READ_ONLY_FIELDS, SITE, Stored};
pub use octets::Octets;
pub use option_set::{OptionSet, ReadyOption, ReadyValue};
pub use pack::{CORE_PACK, PACK_PRIORITY_DEFAULT, Pack, PackManifest, pack_key, version_fits};
pub use pack_trust::{PackTrust, SignatureNeed};
pub use problem::{Problem, nearest};
pub use provenance::{ParamLevel, ParamRead, Provenance, TemplateUse};
pub use refusal_code::{
    ACCEPTABLE_FAULTS, CODE_ROWS, CodeRow, RefusalCode, code_schema, refusal_codes_markdown,
};
pub use render_problem::{INLINE_TEMPLATE, ProblemKind, RenderProblem};
pub use reservation::Reservation;
pub use retention::{HistoryPruneReport, PruneMode, PrunedKind, Retention, RetentionBounds};
pub use run::{
    ContentDigests, LeftOut, Run, RunArtifact, RunAttempt, RunEntry, RunJob, RunResult, RunStep, StepKind,
    StepState,
};
pub use schema::{
    DeclaredSchema, Input, bound_integers, check_schema, parse_changed, parse_input, parse_typed,
};
pub use secret_reference::{SecretReference, SecretSources, VaultAccess};
pub use served_document::{ServedDocument, ServedDocuments};
pub use session::{SESSION_AGE_MAX, SESSION_IDLE_MAX, Session, SessionEnd, SessionStatus};
pub use settings::Setting;
pub use summary::{
    ArtifactSummary, BackgroundSummary, DhcpSummary, FleetCounts, HealthSummary, NeededAction, RecentEvent,
    RunCounts, RunHour, RunSummary, ServerSummary, SummaryFinding, SummaryLevel, TroubledWork,
    UnreadyArtifact, WaitingObject, WorkflowSummary,
};
pub use token::Token;
pub use unknown_client::{SimilarClient, SimilarMachine, UnknownClient};
pub use verdict::Verdict;
pub use view::{VIEWED_EVENTS, View};
pub use world::{GrowingMap, HasTable, Object, Table, World};

/// The faults of a list of names in which each name may be listed only once.
fn repeated(names: &[String], pointer: &str) -> Vec<Problem> {
    let mut seen = std::collections::HashSet::new();
    let mut problems = Vec::new();
    for (i, name) in names.iter().enumerate() {
        if !seen.insert(name) {
            let what = format!("`{name}` is listed twice");
            problems.push(Problem::new(format!("{pointer}/{i}"), what).coded(RefusalCode::Duplicate));
        }
    }
    problems
}
