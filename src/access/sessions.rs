//! Sessions of browsers: logging in with a token, requests with the cookie, and the end.
//!
//! A session may do what its token may, and ends with it. The cookie's value is a random number; only its
//! SHA-256 is stored. `api::sessions` has the cookie itself and the check that a page of this server sent the
//! request.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::Access;
use super::tokens::{TOKEN_TEXT_MAX, caller_of, new_secret};
use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::kernel::scope::agent_of;
use crate::kernel::{Actor, Caller, Changeset, Error, STALE_RETRIES_MAX, StoreError, TrackedWorld};
use crate::model::event::{SessionBegan, SessionEnded};
use crate::model::{
    Noun, RefusalCode, SESSION_AGE_MAX, Session, SessionEnd, Stored, Token, World, sha256_hex,
};
use crate::objects::write::WriteTarget;
use crate::rate_limit::{AllowanceAnswer, AllowanceRate, KeyedAllowances};

/// Most sessions of one token. A further login ends the one that was used least recently.
pub const SESSIONS_OF_TOKEN_MAX: usize = 64;
/// Most sessions in all.
pub const SESSIONS_MAX: usize = 1024;
/// An address may log in so often at once, and then once a second.
pub const LOGINS: AllowanceRate = AllowanceRate { burst_max: 60, a_second: 1 };
/// How often the use of a session is noted.
const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Longest name of a browser, in characters.
const BROWSER_CHARS_MAX: usize = 200;

/// What is kept about sessions outside of the store.
#[derive(Debug)]
pub(super) struct SessionBook {
    logins: KeyedAllowances,
    /// Sessions whose use is being noted. It has no more than there are sessions.
    noting: Mutex<BTreeSet<Uuid>>,
    begun: AtomicU64,
    refused: AtomicU64,
    limited: AtomicU64,
}

impl Default for SessionBook {
    fn default() -> Self {
        SessionBook {
            logins: KeyedAllowances::new(LOGINS),
            noting: Mutex::default(),
            begun: AtomicU64::default(),
            refused: AtomicU64::default(),
            limited: AtomicU64::default(),
        }
    }
}

/// A browser that logs in.
#[derive(Clone, Copy, Debug)]
pub struct BrowserLogin<'a> {
    /// The text of the token.
    pub token: &'a str,
    pub now: Timestamp,
    pub peer: Option<IpAddr>,
    /// How the browser names itself.
    pub browser: &'a str,
    pub request_id: &'a str,
}

/// A new session, with the value of its cookie, which cannot be read again.
#[derive(Debug)]
pub struct NewSession {
    pub caller: Caller,
    pub cookie: String,
    pub session: Arc<Stored<Session>>,
}

/// When a caller's session or token began, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerTerm {
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl Access {
    /// Lets an address try to log in.
    ///
    /// # Errors
    /// [`Error::TooMuch`] if it tried too often.
    pub fn admit_login(&self, peer: Option<IpAddr>) -> Result<(), Error> {
        let user = peer.map(|peer| peer.to_string()).unwrap_or_default();
        match self.sessions.logins.take(&user, 1, Instant::now()) {
            AllowanceAnswer::Taken => Ok(()),
            AllowanceAnswer::Refused { wait, .. } => {
                self.sessions.limited.fetch_add(1, Ordering::Relaxed);
                let why = format!("too many logins from {user}: try again in a minute");
                Err(Error::TooMuch { why, retry_after: wait })
            }
        }
    }

    /// Begins a session with a token.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the token is not valid, [`Error::Forbidden`] for the token of an agent,
    /// [`Error::Busy`] if there are too many sessions, or those of the store.
    pub async fn begin_session(&self, login: BrowserLogin<'_>) -> Result<NewSession, Error> {
        let begun = self.try_to_begin(login).await;
        let count = if begun.is_ok() { &self.sessions.begun } else { &self.sessions.refused };
        count.fetch_add(1, Ordering::Relaxed);
        begun
    }

    async fn try_to_begin(&self, login: BrowserLogin<'_>) -> Result<NewSession, Error> {
        let mut caller = self.sign_in(login.token, login.now)?;
        login.request_id.clone_into(&mut caller.request_id);
        let Actor::Token(token) = caller.actor.clone() else { return Err(agents_do_not_log_in()) };
        if caller.scopes.iter().any(|scope| agent_of(scope).is_some()) {
            return Err(agents_do_not_log_in());
        }
        let (key, cookie) = (Uuid::now_v7(), new_secret()?);
        for attempt in 0..STALE_RETRIES_MAX {
            let hold = self.kernel.hold_for(attempt).await?;
            let (prepared, reads) = self.kernel.read_tracked(|world| {
                let spec = session_of(world, &token, (&login, &cookie))?;
                let session = Arc::new(Stored::new(key.to_string(), spec, login.now));
                Ok::<_, Error>((beginning(&caller, world, &session)?, session))
            });
            let (changeset, session) = prepared?;
            match self.kernel.commit_with(hold, changeset.with_reads(reads)).await {
                Ok(_) => {
                    caller.session = Some(key);
                    return Ok(NewSession { caller, cookie, session });
                }
                Err(StoreError::Stale { .. }) => continue,
                Err(other) => return Err(self.kernel.refusal(&caller, other)),
            }
        }
        Err(Error::Busy("many log in at once; try again".to_owned()))
    }

    /// Authenticates a request by the value of its cookie.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if there is no such session, or it or its token has ended.
    pub fn sign_in_session(&self, cookie: &str, now: Timestamp) -> Result<Caller, Error> {
        if cookie.len() > TOKEN_TEXT_MAX {
            return Err(unknown_session());
        }
        let digest = sha256_hex(cookie);
        self.kernel.read(|world| {
            let session = world.sessions.find("sha256", &digest).ok_or_else(unknown_session)?;
            if !bool::from(session.spec.sha256.as_bytes().ct_eq(digest.as_bytes())) {
                return Err(unknown_session());
            }
            let token = valid_token(world, session, now).map_err(|end| match end {
                SessionEnd::TokenDeleted => unknown_session(),
                _ => session_over(),
            })?;
            let session = Some(session.key.parse().map_err(|_| unknown_session())?);
            Ok(Caller { session, ..caller_of(world, token, now)? })
        })
    }

    /// Whether the session of a caller goes on; also if it has none.
    pub(super) fn session_goes_on(world: &World, caller: &Caller, now: Timestamp) -> bool {
        caller.session.is_none_or(|key| {
            let session = world.sessions.get(&key.to_string());
            session.is_some_and(|session| valid_token(world, session, now).is_ok())
        })
    }

    /// Notes that the caller's session is in use, once in a while. It is no matter if that fails: the next
    /// request tries again.
    pub async fn note_session_use(&self, caller: &Caller) {
        let Some(key) = caller.session else { return };
        let is_due = self.kernel.read(|world| {
            let session = world.sessions.get(&key.to_string());
            session.is_some_and(|session| session.used_at().duration_until(caller.now) >= USE_NOTED_EVERY)
        });
        let noting = || self.sessions.noting.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_due || !noting().insert(key) {
            return;
        }
        let name = key.to_string();
        let noted = self.kernel.change::<Session>(&name, caller.now, |next| {
            next.status.last_used_at = Some(caller.now);
            Ok(Vec::new())
        });
        if let Err(error) = noted.await {
            tracing::debug!(%error, "the use of a session was not noted");
        }
        noting().remove(&key);
    }

    /// When the caller's session began and ends, or its token where it has no session; none for an agent.
    pub fn term(&self, caller: &Caller) -> Option<CallerTerm> {
        self.kernel.read(|world| match (caller.session, &caller.actor) {
            (Some(key), _) => {
                let session = world.sessions.get(&key.to_string())?;
                Some(CallerTerm { created_at: session.created_at, expires_at: Some(session.spec.expires_at) })
            }
            (None, Actor::Token(name)) => {
                let token = world.tokens.get(name)?;
                Some(CallerTerm { created_at: token.created_at, expires_at: token.spec.expires_at })
            }
            (None, Actor::Machine(_) | Actor::Server) => None,
        })
    }

    /// Ends the caller's own session.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the caller has none, or those of the store.
    pub async fn end_own_session(&self, caller: &Caller, why: SessionEnd) -> Result<(), Error> {
        let Some(key) = caller.session else {
            let why = "the request has a token and no session: nothing is to be ended";
            return Err(Error::Conflict(RefusalCode::WrongState, why.to_owned()));
        };
        match self.end(&key.to_string(), (caller, why)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends a session for an operator.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Stale`], or those of the store.
    pub async fn end_session(&self, caller: &Caller, target: &WriteTarget<'_>) -> Result<(), Error> {
        let session = self.find_session_to_end(caller, target)?;
        self.end(&session.key, (caller, SessionEnd::ByOperator)).await
    }

    /// The session that an operator may end.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Stale`].
    pub fn find_session_to_end(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
    ) -> Result<Arc<Stored<Session>>, Error> {
        let session = self.kernel.find::<Session>(caller, target.reference)?;
        if !caller.may(AccessVerb::Write, ObjectRef::of(&session)) {
            let why = "your token may read sessions, but not end them".to_owned();
            return Err(Error::Forbidden(RefusalCode::NotYours, why));
        }
        target.check(&session)?;
        Ok(session)
    }

    async fn end(&self, key: &str, (caller, why): (&Caller, SessionEnd)) -> Result<(), Error> {
        for _ in 0..STALE_RETRIES_MAX {
            let session = self.kernel.get::<Session>(key)?;
            let changeset = ending(Changeset::default(), &session, (caller, why));
            match self.kernel.try_commit(changeset).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Stale { .. }) => continue,
                Err(other) => return Err(self.kernel.refusal(caller, other)),
            }
        }
        Err(Error::Busy("the session is in use by many at once; try again".to_owned()))
    }

    /// Deletes the sessions that have ended by themselves.
    ///
    /// # Errors
    /// Those of the store; sessions that were deleted before stay so.
    pub async fn expire_sessions(&self, now: Timestamp) -> Result<(), Error> {
        let caller = Caller::server(now);
        let due: Vec<(String, SessionEnd)> = self.kernel.read(|world| {
            let ended = |session: &Arc<Stored<Session>>| {
                Some((session.key.clone(), valid_token(world, session, now).err()?))
            };
            world.sessions.iter().filter_map(ended).collect()
        });
        for (key, why) in due {
            match self.end(&key, (&caller, why)).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Logins since the start, by what became of them.
    pub fn login_counts(&self) -> [(&'static str, u64); 3] {
        let SessionBook { begun, refused, limited, .. } = &self.sessions;
        [("begun", begun), ("refused", refused), ("limited", limited)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// The changeset that ends all sessions: those of a backup are not to come back to life.
pub fn end_of_all_sessions(world: &World, now: Timestamp) -> Changeset {
    let caller = Caller::server(now);
    world.sessions.iter().fold(Changeset::default(), |changeset, session| {
        ending(changeset, session, (&caller, SessionEnd::Restored))
    })
}

/// The token of a session that goes on, or why it does not.
fn valid_token<'w>(
    world: &'w World,
    session: &Stored<Session>,
    now: Timestamp,
) -> Result<&'w Arc<Stored<Token>>, SessionEnd> {
    if let Some(end) = session.ended_by(now) {
        return Err(end);
    }
    // Another token may have got the name of a token that is gone.
    let token = world.tokens.get(&session.spec.token).filter(|token| token.created_at <= session.created_at);
    let token = token.ok_or(SessionEnd::TokenDeleted)?;
    match token.spec.expires_at {
        Some(ends) if ends <= now => Err(SessionEnd::Expired),
        _ => Ok(token),
    }
}

/// The session of a token that is still there.
fn session_of(
    world: &TrackedWorld<'_>,
    token: &str,
    (login, cookie): (&BrowserLogin<'_>, &str),
) -> Result<Session, Error> {
    let gone = || {
        let why = "this token is not known here: it may have been deleted";
        Error::Unauthorized(RefusalCode::TokenUnknown, why.to_owned())
    };
    let token = world.get::<Token>(token).ok_or_else(gone)?;
    let latest = login.now.saturating_add(SESSION_AGE_MAX).unwrap_or(Timestamp::MAX);
    let browser = login.browser.chars().filter(|letter| !letter.is_control()).take(BROWSER_CHARS_MAX);
    Ok(Session {
        token: token.key.clone(),
        expires_at: token.spec.expires_at.map_or(latest, |ends| ends.min(latest)),
        peer: login.peer,
        browser: browser.collect(),
        sha256: sha256_hex(cookie),
    })
}

/// The changeset that begins a session. It ends the least recently used session of a token that has as many
/// as it may.
fn beginning(
    caller: &Caller,
    world: &TrackedWorld<'_>,
    session: &Arc<Stored<Session>>,
) -> Result<Changeset, Error> {
    let all: Vec<&Arc<Stored<Session>>> = world.specs::<Session>().collect();
    let own = all.iter().filter(|other| other.spec.token == session.spec.token);
    let replaced = match own.clone().count() {
        SESSIONS_OF_TOKEN_MAX.. => own.min_by_key(|other| other.used_at()),
        _ => None,
    };
    if replaced.is_none() && all.len() >= SESSIONS_MAX {
        let why = format!("there are {SESSIONS_MAX} sessions, which is the most there may be: end some");
        return Err(Error::Busy(why));
    }
    let Session { token, expires_at, peer, browser, .. } = session.spec.clone();
    let began = caller.event_about(session, SessionBegan { token, peer, browser, expires_at });
    let changeset = Changeset::default().create(Session::object(Arc::clone(session))).event(began);
    Ok(match replaced {
        Some(replaced) => ending(changeset, replaced, (caller, SessionEnd::TooMany)),
        None => changeset,
    })
}

/// The changeset with the end of a session.
fn ending(
    changeset: Changeset,
    session: &Arc<Stored<Session>>,
    (caller, why): (&Caller, SessionEnd),
) -> Changeset {
    let ended = SessionEnded { token: session.spec.token.clone(), why };
    let event = caller.event_about(session, ended);
    changeset.delete(&Session::object(Arc::clone(session))).event(event)
}

fn agents_do_not_log_in() -> Error {
    let why = "this is the token of a machine's agent: log in with a token that an operator made";
    Error::Forbidden(RefusalCode::AgentToken, why.to_owned())
}

fn unknown_session() -> Error {
    let why = "this session is not known here: it was ended, or its token was deleted; log in again";
    Error::Unauthorized(RefusalCode::SessionUnknown, why.to_owned())
}

fn session_over() -> Error {
    let why = "this session is over: log in again";
    Error::Unauthorized(RefusalCode::SessionExpired, why.to_owned())
}
