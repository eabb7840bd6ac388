//! The types of the store that houses may use: what they commit, and what they read back.
//!
//! A house builds a [`Changeset`] and commits it through [`Kernel`](super::Kernel). Only the kernel calls the
//! store.

pub use crate::store::{
    Changeset, ChangesetRead, ChangesetWrite, DamagedRow, EVENT_READ_BYTES_MAX, EVENTS_MAX, EventCut,
    EventQuery, EventRead, KeptDocument, LeaseOf, OldEvents, RunDocuments, StoreError, TableSnapshot,
    TrackedWorld, WriterHold,
};
