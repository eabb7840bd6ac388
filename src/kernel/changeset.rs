//! What houses commit, and what they read back: the types of the store that others than the kernel may name.
//!
//! A house builds a [`Changeset`] and has it committed by [`Kernel`](super::Kernel), which alone calls the
//! store.

pub use crate::store::{
    Changeset, ChangesetRead, ChangesetWrite, DamagedRow, EVENTS_MAX, EventCut, EventQuery, KeptDocument, LeaseOf,
    OldEvents, RunDocuments, StoreError, TableSnapshot, TrackedWorld, WriterHold,
};
