//! Authenticates callers by their tokens, and creates tokens.
//!
//! A token is shown once, when it is created; only its SHA-256 is stored. Each operation of the API has a
//! [`RequiredScope`](crate::kernel::scope::RequiredScope), and a token has scopes.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::access::Access;
use crate::kernel::scope::agent_of;
use crate::kernel::{Actor, Caller, Changeset, Error};
use crate::model::event::TokenRecovered;
use crate::model::{Input, Noun, Problem, RefusalCode, Stored, Token, World, parse_input, sha256_hex};
use crate::objects::rules::NounRules;
use crate::objects::view::{self, ObjectView};

/// The prefix of every token, so that a leaked token is recognised.
const TOKEN_PREFIX: &str = "mw_";
const TOKEN_BYTES: usize = 32;
/// Longest token that is checked.
pub(super) const TOKEN_TEXT_MAX: usize = 256;
/// Name of the administrator's token that the first start creates.
pub const ADMIN: &str = "admin";
/// Prefix of the names of tokens that were created because all others were lost.
const RECOVERED: &str = "recovered";

/// A new token, with its text, which cannot be read again.
#[derive(Debug)]
pub struct NewToken {
    pub view: ObjectView,
    pub secret: String,
}

impl Access {
    /// Authenticates the holder of a token, for one request.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the token is unknown, has expired, or belongs to the agent of a deleted
    /// machine.
    pub fn sign_in(&self, secret: &str, now: Timestamp) -> Result<Caller, Error> {
        if secret.len() > TOKEN_TEXT_MAX {
            return Err(unknown_token());
        }
        let digest = sha256_hex(secret);
        self.kernel.read(|world| {
            let token = world.tokens.find("sha256", &digest).ok_or_else(unknown_token)?;
            if !bool::from(token.spec.sha256.as_bytes().ct_eq(digest.as_bytes())) {
                return Err(unknown_token());
            }
            if let Some(ended) = token.spec.expires_at.filter(|ends| *ends <= now) {
                let why = format!("this token expired at {ended}");
                return Err(Error::Unauthorized(RefusalCode::TokenExpired, why));
            }
            caller_of(world, token, now)
        })
    }

    /// Whether the token of a long request is still valid, and the session goes on if there is one.
    pub fn still_signed_in(&self, caller: &Caller, now: Timestamp) -> bool {
        match &caller.actor {
            Actor::Token(name) => self.kernel.read(|world| {
                let token = world.tokens.get(name).map(|token| token.spec.expires_at);
                let is_valid = token.is_some_and(|expires_at| expires_at.is_none_or(|ends| ends > now));
                is_valid && Access::session_goes_on(world, caller, now)
            }),
            Actor::Machine(id) => self.kernel.read(|world| world.machines.get(&id.to_string()).is_some()),
            Actor::Server => true,
        }
    }

    /// What operators have to do where every token that may do everything expires.
    pub fn admin_warning(&self) -> Option<String> {
        let lasting =
            self.kernel.read(|world| world.tokens.iter().any(|token| token.spec.is_lasting_admin()));
        (!lasting).then(|| {
            "no token with the scope `*` is without an end: make one before the last of them expires \
             (metalwright tokens create name=NAME scopes='[\"*\"]')"
                .to_owned()
        })
    }

    /// Creates a token from what a client sent.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for scopes that the caller does not have, and those of
    /// [`Objects::create`](crate::objects::Objects::create).
    pub async fn create_token(&self, caller: &Caller, body: Value) -> Result<NewToken, Error> {
        if let Some(field) = Token::HIDDEN.iter().find(|field| body.get(**field).is_some()) {
            let what = format!("unknown field `{field}`: the server makes the token");
            return Err(Problem::new(format!("/{field}"), what).coded(RefusalCode::UnknownField).into());
        }
        let reading = self.objects.lanes.writes.run(|| parse_input::<Token>(body));
        let input = reading.await?.map_err(Error::Invalid)?;
        self.issue_token(caller, input).await
    }

    /// Creates a token: for a client, or for an agent on behalf of the server.
    ///
    /// # Errors
    /// Those of [`Access::create_token`].
    pub async fn issue_token(&self, caller: &Caller, input: Input<Token>) -> Result<NewToken, Error> {
        self.store_token(caller, input, new_secret()?).await
    }

    /// Makes a token of that text.
    pub(super) async fn store_token(
        &self,
        caller: &Caller,
        mut input: Input<Token>,
        secret: String,
    ) -> Result<NewToken, Error> {
        if let Some(scope) = input.spec.scopes.iter().find(|scope| !may_give(caller, scope)) {
            let why = format!("you cannot grant the scope `{scope}`, which your token does not have");
            return Err(Error::Forbidden(RefusalCode::ScopeMissing, why));
        }
        input.spec.sha256 = sha256_hex(&secret);
        let view = self.objects.create_from(caller, input).await?;
        Ok(NewToken { view, secret })
    }

    /// Creates the administrator's token if there is no token at all: at the first start.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn first_token(&self, caller: &Caller) -> Result<Option<NewToken>, Error> {
        if !self.kernel.read(|world| world.tokens.is_empty()) {
            return Ok(None);
        }
        let spec = Token { name: ADMIN.to_owned(), scopes: vec!["*".to_owned()], ..Token::default() };
        self.issue_token(caller, Input { spec, labels: Default::default() }).await.map(Some)
    }
}

/// The caller that the holder of a token is.
pub(super) fn caller_of(world: &World, token: &Stored<Token>, now: Timestamp) -> Result<Caller, Error> {
    let scopes = token.spec.scopes.clone();
    let agent = match scopes.as_slice() {
        [only] => agent_of(only),
        _ => None,
    };
    if agent.is_some_and(|machine| world.machines.get(&machine.to_string()).is_none()) {
        let why = "the machine of this token was deleted";
        return Err(Error::Unauthorized(RefusalCode::TokenOrphaned, why.to_owned()));
    }
    let actor = agent.map_or_else(|| Actor::Token(token.key.clone()), Actor::Machine);
    let attempt = token.spec.attempt.filter(|_| agent.is_some());
    Ok(Caller { actor, scopes, now, request_id: String::new(), attempt, session: None })
}

fn unknown_token() -> Error {
    let why = "this token is not known here: it may have been deleted";
    Error::Unauthorized(RefusalCode::TokenUnknown, why.to_owned())
}

/// A new token that is not stored yet, with its text, which cannot be read again.
#[derive(Debug)]
pub struct RecoveredToken {
    pub name: String,
    pub secret: String,
    /// Stores the token, with its events.
    pub changeset: Changeset,
}

/// Creates a token that may do everything, bypassing all rules: for the owner of the data directory of a
/// stopped server, when nobody has such a token any more.
///
/// # Errors
/// The system gave no random numbers.
pub fn recover_token(now: Timestamp) -> Result<RecoveredToken, Error> {
    let secret = new_secret()?;
    let spec = Token {
        name: format!("{RECOVERED}-{}", now.strftime("%Y%m%d-%H%M%S")),
        scopes: vec!["*".to_owned()],
        sha256: sha256_hex(&secret),
        ..Token::default()
    };
    let stored = Stored::new(spec.name.clone(), spec, now);
    let caller = Caller::server(now);
    let created = caller.event_about(&stored, view::created(&stored));
    let recovered = TokenRecovered { name: stored.key.clone(), scopes: stored.spec.scopes.clone() };
    let recovered = caller.event_about(&stored, recovered);
    let name = stored.key.clone();
    let changeset =
        Changeset::default().create(Token::object(Arc::new(stored))).event(created).event(recovered);
    Ok(RecoveredToken { name, secret, changeset })
}

/// A caller can only grant scopes that it has.
fn may_give(caller: &Caller, scope: &str) -> bool {
    let everywhere = scope.split_once(':').is_some_and(|(_, verb)| has_scope(caller, &format!("*:{verb}")));
    let agent = agent_of(scope).is_some() && has_scope(caller, "jobs:write");
    has_scope(caller, "*") || has_scope(caller, scope) || everywhere || agent
}

fn has_scope(caller: &Caller, wanted: &str) -> bool {
    caller.scopes.iter().any(|held| held == wanted)
}

pub(super) fn new_secret() -> Result<String, Error> {
    let mut bytes = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::Failed(format!("no random numbers: {error}")))?;
    Ok(token_text(bytes))
}

/// The text of a token.
pub(super) fn token_text(bytes: [u8; TOKEN_BYTES]) -> String {
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::houses::testing;
    use crate::kernel::EventQuery;
    use crate::model::{EventKind, Kind};

    #[tokio::test]
    async fn the_first_start_makes_one_administrator_and_the_second_none() {
        let houses = testing::houses();
        let caller = testing::caller();
        let made = houses.access.first_token(&caller).await.unwrap().unwrap();
        assert_eq!(
            houses.access.sign_in(&made.secret, caller.now).unwrap().actor,
            Actor::Token("admin".into())
        );
        assert!(houses.access.first_token(&caller).await.unwrap().is_none());
        assert!(!made.view.body.to_string().contains("sha256"), "{}", made.view.body);
    }

    #[tokio::test]
    async fn an_expired_token_is_told_when_it_ended() {
        let houses = testing::houses();
        let caller = testing::caller();
        let body = json!({"name": "ci", "scopes": ["*:read"], "expires_at": "2026-01-01T00:00:00Z"});
        let made = houses.access.create_token(&caller, body).await.unwrap();
        let error = houses.access.sign_in(&made.secret, caller.now).unwrap_err();
        assert!(error.to_string().contains("expired at 2026-01-01T00:00:00Z"), "{error}");
        assert!(matches!(houses.access.sign_in("mw_wrong", caller.now), Err(Error::Unauthorized(..))));
    }

    #[tokio::test]
    async fn a_recovered_token_may_do_everything_and_is_in_the_events() {
        let houses = testing::houses();
        let made = recover_token(testing::caller().now).unwrap();
        houses.kernel.commit(made.changeset).await.unwrap();
        let caller = houses.access.sign_in(&made.secret, testing::caller().now).unwrap();
        assert_eq!(
            (caller.scopes.as_slice(), made.name.as_str()),
            (&["*".to_owned()][..], "recovered-20261120-100000")
        );
        let query = EventQuery { limit: 10, ..Default::default() };
        let events = houses.kernel.events(query).await.unwrap();
        let kinds: Vec<_> = events.iter().filter_map(|event| event.body.kind()).collect();
        assert_eq!(kinds, [EventKind::Created(Kind::Token), EventKind::TokenRecovered]);
        assert!(events.iter().all(|event| !json!(event).to_string().contains(&made.secret)));
    }

    #[tokio::test]
    async fn nobody_gives_a_scope_they_have_not() {
        let houses = testing::houses();
        let caller = Caller {
            scopes: ["tokens:write", "machines:read"].map(str::to_owned).to_vec(),
            ..testing::caller()
        };
        let given =
            houses.access.create_token(&caller, json!({"name": "a", "scopes": ["machines:read"]})).await;
        assert!(given.is_ok());
        let refused = houses.access.create_token(&caller, json!({"name": "b", "scopes": ["*"]})).await;
        assert!(matches!(refused, Err(Error::Forbidden(..))), "{refused:?}");
    }
}
