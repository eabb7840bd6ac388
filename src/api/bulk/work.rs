//! The work of a bulk call on one object: by the doors that a call of its own takes.

use std::pin::Pin;

use serde_json::{Value, json};

use super::{BulkItem, BulkRequest, BulkVerb, DETAILS_BYTES_MAX, done};
use crate::api::ApiState;
use crate::api::actions::{self, ActionRequest};
use crate::api::error::ApiError;
use crate::dhcp::lease_actions::LeaseEnding;
use crate::kernel::{Caller, Error};
use crate::model::bounds;
use crate::model::{HasTable, Kind, Lease, NounVerb, Problem, RefusalCode, World, with_noun};
use crate::objects::patch::Patch;
use crate::objects::rules::NounRules;
use crate::objects::selection::SelectedObject;
use crate::objects::write::{ExpectedRevision, WriteTarget};

/// The verb, read once for all objects.
pub(super) struct PreparedVerb {
    kind: Kind,
    what: VerbWork,
    dry_run: bool,
    force: bool,
}

enum VerbWork {
    Act(ActionRequest),
    Patch(Patch),
    Delete,
    End(LeaseEnding),
    EndSession,
}

impl PreparedVerb {
    /// Reads the verb and its details.
    ///
    /// # Errors
    /// 422 for a verb that the kind does not have, and for details that do not fit.
    pub(super) fn of(request: &BulkRequest) -> Result<Self, ApiError> {
        let BulkRequest { kind, verb, dry_run, force, .. } = *request;
        if bounds::size(&request.details, DETAILS_BYTES_MAX) > DETAILS_BYTES_MAX {
            let what = format!("at most {DETAILS_BYTES_MAX} bytes are admitted for many objects");
            return Err(Problem::new("/details", what).coded(RefusalCode::TooLarge).into());
        }
        let details = if request.details.is_null() { json!({}) } else { request.details.clone() };
        if force && !matches!(verb, BulkVerb::Delete | BulkVerb::Release | BulkVerb::Expire) {
            let what = "only `delete`, `release` and `expire` have it";
            return Err(Problem::new("/force", what).coded(RefusalCode::UnknownField).into());
        }
        let what = match verb {
            BulkVerb::Patch if kind.row().allows(NounVerb::Patch) => VerbWork::Patch(patch(details)?),
            BulkVerb::Delete if kind == Kind::Lease => {
                no_details(&details, VerbWork::End(LeaseEnding::Delete))?
            }
            BulkVerb::Delete if kind == Kind::Session => no_details(&details, VerbWork::EndSession)?,
            BulkVerb::Delete if kind.row().allows(NounVerb::Delete) => {
                no_details(&details, VerbWork::Delete)?
            }
            BulkVerb::Release if kind == Kind::Lease => {
                no_details(&details, VerbWork::End(LeaseEnding::Release))?
            }
            BulkVerb::Expire if kind == Kind::Lease => {
                no_details(&details, VerbWork::End(LeaseEnding::Expire))?
            }
            action if kind == Kind::Machine => {
                let request = actions::parse(action, &details).ok_or_else(|| no_such_verb(kind))?;
                VerbWork::Act(request.map_err(below_details)?)
            }
            _ => return Err(no_such_verb(kind)),
        };
        Ok(PreparedVerb { kind, what, dry_run, force })
    }
}

fn no_such_verb(kind: Kind) -> ApiError {
    let what = format!("{} do not have this verb", kind.plural());
    Problem::new("/verb", what).coded(RefusalCode::NotOneOf).into()
}

fn below_details(problems: Vec<Problem>) -> ApiError {
    Error::Invalid(problems.into_iter().map(|problem| problem.below("/details")).collect()).into()
}

fn patch(details: Value) -> Result<Patch, ApiError> {
    if details.as_object().is_none_or(|fields| fields.is_empty()) {
        let what = "the fields to change, as a JSON Merge Patch: {\"labels\": {\"rack\": \"r1\"}}";
        return Err(Problem::new("/details", what).coded(RefusalCode::Missing).into());
    }
    Ok(Patch::Merge(details))
}

fn no_details(details: &Value, work: VerbWork) -> Result<VerbWork, ApiError> {
    match details.as_object().is_some_and(|fields| fields.is_empty()) {
        true => Ok(work),
        false => {
            let what = "this verb takes none";
            Err(Problem::new("/details", what).coded(RefusalCode::UnknownField).into())
        }
    }
}

/// The future of the work on an object of one of the nouns.
type NounWork<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send + 'a>>;

/// Does the verb to an object, or finds out whether it would be refused.
pub(super) async fn one(
    (state, caller): (&ApiState, &Caller),
    verb: &PreparedVerb,
    object: &SelectedObject,
) -> Result<BulkItem, ApiError> {
    let target = WriteTarget { reference: &object.key, expected: ExpectedRevision::Any };
    let wrote: NounWork<'_> = match &verb.what {
        VerbWork::Act(request) => return act((state, caller), (verb, request), object).await,
        VerbWork::End(ending) => Box::pin(end((state, caller), verb, (&target, *ending))),
        VerbWork::EndSession => Box::pin(end_session((state, caller), verb, &target)),
        VerbWork::Patch(patch) => {
            with_noun!(verb.kind, T => Box::pin(change::<T>((state, caller), verb, (&target, patch))))
        }
        VerbWork::Delete => with_noun!(verb.kind, T => Box::pin(delete::<T>((state, caller), verb, &target))),
    };
    wrote.await?;
    Ok(done())
}

async fn act(
    at: (&ApiState, &Caller),
    (verb, request): (&PreparedVerb, &ActionRequest),
    object: &SelectedObject,
) -> Result<BulkItem, ApiError> {
    let mode = if verb.dry_run { actions::ActMode::Trial } else { actions::ActMode::CarryOut };
    let machine = actions::carry_out(at, (&object.key, request), mode).await?;
    let status = &machine.status;
    let is_armed = status.armed_until.is_some();
    let erases = Some(&status.erases).filter(|erases| is_armed && !erases.is_empty()).cloned();
    Ok(BulkItem { state: Some(status.state), erases, ..done() })
}

async fn end(
    (state, caller): (&ApiState, &Caller),
    verb: &PreparedVerb,
    (target, ending): (&WriteTarget<'_>, LeaseEnding),
) -> Result<(), ApiError> {
    if !verb.force {
        state.houses.objects.refuse_used::<Lease>(caller, target)?;
    }
    let dhcp = &state.houses.dhcp;
    match verb.dry_run {
        true => Ok(dhcp.prepare_ending(caller, target, ending).map(drop)?),
        false => Ok(dhcp.end_lease(caller, target, ending).await?),
    }
}

async fn end_session(
    (state, caller): (&ApiState, &Caller),
    verb: &PreparedVerb,
    target: &WriteTarget<'_>,
) -> Result<(), ApiError> {
    let access = &state.houses.access;
    match verb.dry_run {
        true => Ok(access.find_session_to_end(caller, target).map(drop)?),
        false => Ok(access.end_session(caller, target).await?),
    }
}

async fn change<T: NounRules>(
    (state, caller): (&ApiState, &Caller),
    verb: &PreparedVerb,
    (target, patch): (&WriteTarget<'_>, &Patch),
) -> Result<(), ApiError>
where
    World: HasTable<T>,
{
    let objects = &state.houses.objects;
    match verb.dry_run {
        true => Ok(objects.try_patch::<T>(caller, target, patch).await?),
        false => Ok(objects.patch::<T>(caller, target, patch).await.map(drop)?),
    }
}

async fn delete<T: NounRules>(
    (state, caller): (&ApiState, &Caller),
    verb: &PreparedVerb,
    target: &WriteTarget<'_>,
) -> Result<(), ApiError>
where
    World: HasTable<T>,
{
    let objects = &state.houses.objects;
    if !verb.force {
        objects.refuse_used::<T>(caller, target)?;
    }
    match verb.dry_run {
        true => Ok(objects.prepare_delete::<T>(caller, target).map(drop)?),
        false => Ok(objects.delete::<T>(caller, target).await?),
    }
}
