//! Who is calling, and what they may do.
//!
//! A token is shown once, when it is made; its SHA-256 is what is kept. Each operation of the API says
//! what it needs ([`Need`]); a token has scopes that give it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::app::view::{self, View};
use crate::app::{Actor, App, Ctx, Endpoints, Error};
use crate::model::{Input, Kind, Noun, Problem, Stored, Token, nearest, parse_input, sha256_hex};
use crate::store::{Deed, Store};

/// What every token begins with, so that one is recognised where it does not belong.
const TOKEN_PREFIX: &str = "mw_";
const TOKEN_BYTES: usize = 32;
/// Longest token that is looked at.
const TOKEN_TEXT_MAX: usize = 256;
/// Name of the administrator's token that the first start makes.
pub const ADMIN: &str = "admin";
/// How the names of tokens begin that were made because all others were lost.
const RECOVERED: &str = "recovered";
/// Parts of the API besides the nouns that scopes can be about.
const AREAS: [&str; 3] = ["dhcp", "events", "metrics"];

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nobody is asked who they are.
    Nothing,
    /// Any token that is valid.
    Token,
    /// `machines:read` or `machines:write`, and so on.
    Read(&'static str),
    Write(&'static str),
    /// The token of the machine's own agent, or `jobs:write`. Which machine it is, the use case checks
    /// with [`Ctx::acts_for`].
    Agent,
}

impl Need {
    /// The scope as a token lists it.
    pub fn scope(self) -> Option<String> {
        match self {
            Need::Nothing | Need::Token => None,
            Need::Read(area) => Some(format!("{area}:read")),
            Need::Write(area) => Some(format!("{area}:write")),
            Need::Agent => Some("jobs:write".to_owned()),
        }
    }

    /// Whether somebody with these scopes may.
    pub fn is_met_by(self, scopes: &[String]) -> bool {
        let has = |wanted: &str| scopes.iter().any(|scope| scope == wanted);
        let in_area = |area: &str, verb: &str| has(&format!("{area}:{verb}")) || has(&format!("*:{verb}"));
        has("*")
            || match self {
                Need::Nothing | Need::Token => true,
                Need::Read(area) => in_area(area, "read") || in_area(area, "write"),
                Need::Write(area) => in_area(area, "write"),
                Need::Agent => in_area("jobs", "write") || scopes.iter().any(|s| agent_of(s).is_some()),
            }
    }
}

/// What is wrong with a scope that a token is to have.
pub fn check_scope(scope: &str, pointer: &str) -> Option<Problem> {
    if scope == "*" || agent_of(scope).is_some() {
        return None;
    }
    let areas: Vec<&str> = Kind::ALL.map(Kind::plural).into_iter().chain(AREAS).collect();
    let known = |area: &str| area == "*" || areas.contains(&area);
    let hint = match scope.split_once(':') {
        Some((area, "read" | "write")) if known(area) => return None,
        Some(("agent", _)) => "`agent:` is followed by the id of a machine".to_owned(),
        Some((area, "read" | "write")) => match nearest(area, areas.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", areas.join(", ")),
        },
        _ => "scopes look like `machines:read`, `machines:write`, `*:read` or `*`".to_owned(),
    };
    Some(Problem::new(pointer, format!("there is no scope `{scope}`; {hint}")))
}

/// The scope of one machine's agent.
pub(super) fn agent_scope(machine: &str) -> String {
    format!("agent:{machine}")
}

fn agent_of(scope: &str) -> Option<Uuid> {
    scope.strip_prefix("agent:")?.parse().ok()
}

impl Ctx {
    /// Refuses who lacks a scope.
    ///
    /// # Errors
    /// [`Error::Forbidden`], which names the scope.
    pub fn needs(&self, need: Need) -> Result<(), Error> {
        if need.is_met_by(&self.scopes) {
            return Ok(());
        }
        let scope = need.scope().unwrap_or_default();
        Err(Error::Forbidden(format!("this needs the scope `{scope}`, which the token has not")))
    }

    /// Refuses everybody but the machine itself and those who may write jobs.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn acts_for(&self, machine: Uuid) -> Result<(), Error> {
        let own = self.scopes.iter().any(|scope| agent_of(scope) == Some(machine));
        if own || Need::Write("jobs").is_met_by(&self.scopes) {
            return Ok(());
        }
        Err(Error::Forbidden("this token is another machine's".to_owned()))
    }
}

/// A token that was made, with the text that nobody can read again.
#[derive(Debug)]
pub struct NewToken {
    pub view: View,
    pub secret: String,
}

impl App {
    /// Finds out who holds a token, for one request.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when the token is unknown or has expired.
    pub fn sign_in(&self, secret: &str, now: Timestamp) -> Result<Ctx, Error> {
        let unknown =
            || Error::Unauthorized("this token is not known here: it may have been deleted".to_owned());
        if secret.len() > TOKEN_TEXT_MAX {
            return Err(unknown());
        }
        let digest = sha256_hex(secret);
        let world = self.world();
        let token = world.tokens.find("sha256", &digest).ok_or_else(unknown)?;
        if !bool::from(token.spec.sha256.as_bytes().ct_eq(digest.as_bytes())) {
            return Err(unknown());
        }
        if let Some(ended) = token.spec.expires_at.filter(|ends| *ends <= now) {
            return Err(Error::Unauthorized(format!("this token expired at {ended}")));
        }
        let scopes = token.spec.scopes.clone();
        let actor = match scopes.as_slice() {
            [only] => agent_of(only).map(Actor::Machine),
            _ => None,
        };
        let actor = actor.unwrap_or_else(|| Actor::Token(token.key.clone()));
        Ok(Ctx { actor, scopes, now, request_id: String::new() })
    }

    /// Whether the token that a long request came with still holds.
    pub fn still_signed_in(&self, ctx: &Ctx, now: Timestamp) -> bool {
        match &ctx.actor {
            Actor::Token(name) => {
                let world = self.world();
                let token = world.tokens.get(name).map(|token| token.spec.expires_at);
                token.is_some_and(|expires_at| expires_at.is_none_or(|ends| ends > now))
            }
            Actor::Machine(_) | Actor::Server => true,
        }
    }

    /// Makes a token of what a client sent.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for scopes that its maker has not, and those of [`App::create`].
    pub async fn create_token(&self, ctx: &Ctx, body: Value) -> Result<NewToken, Error> {
        if body.get("sha256").is_some() {
            return Err(Error::invalid("/sha256", "unknown field `sha256`: the server makes the token"));
        }
        let reading = self.lanes.writes.run(|| parse_input::<Token>(body));
        let input = reading.await?.map_err(Error::Invalid)?;
        self.issue_token(ctx, input).await
    }

    /// Makes a token: for a client, or for an agent on behalf of the server.
    ///
    /// # Errors
    /// As [`App::create_token`].
    pub async fn issue_token(&self, ctx: &Ctx, mut input: Input<Token>) -> Result<NewToken, Error> {
        if let Some(scope) = input.spec.scopes.iter().find(|scope| !may_give(ctx, scope)) {
            return Err(Error::Forbidden(format!("you cannot give the scope `{scope}`, which you have not")));
        }
        let secret = new_secret()?;
        input.spec.sha256 = sha256_hex(&secret);
        let view = self.create_from(ctx, input).await?;
        Ok(NewToken { view, secret })
    }

    /// Makes the administrator's token when there is no token at all: on the first start.
    ///
    /// # Errors
    /// What the store says.
    pub async fn first_token(&self, ctx: &Ctx) -> Result<Option<NewToken>, Error> {
        if !self.world().tokens.is_empty() {
            return Ok(None);
        }
        let spec = Token {
            name: ADMIN.to_owned(),
            scopes: vec!["*".to_owned()],
            expires_at: None,
            sha256: String::new(),
        };
        self.issue_token(ctx, Input { spec, labels: Default::default() }).await.map(Some)
    }
}

/// Makes a token that may do everything, past everything but the store: for who owns the data directory of a
/// server that is stopped, when nobody holds such a token any more.
///
/// # Errors
/// What the store says.
pub async fn recover_token(store: &dyn Store, now: Timestamp) -> Result<NewToken, Error> {
    let secret = new_secret()?;
    let spec = Token {
        name: format!("{RECOVERED}-{}", now.strftime("%Y%m%d-%H%M%S")),
        scopes: vec!["*".to_owned()],
        expires_at: None,
        sha256: sha256_hex(&secret),
    };
    let stored = Stored::new(spec.name.clone(), spec, now);
    let ctx = Ctx::server(now);
    let created = ctx.event(&stored, "created", view::created(&stored));
    let recovered =
        ctx.event(&stored, "recovered", json!({"name": stored.key, "scopes": stored.spec.scopes}));
    let object = Arc::new(stored);
    let deed = Deed::default().create(Token::object(Arc::clone(&object))).event(created).event(recovered);
    store.commit(deed).await?;
    let subject = view::Subject::of((&store.world(), &Endpoints::default()), &object);
    Ok(NewToken { view: subject.view(), secret })
}

/// Nobody gives what they have not.
fn may_give(ctx: &Ctx, scope: &str) -> bool {
    let has = |wanted: &str| ctx.scopes.iter().any(|held| held == wanted);
    let everywhere = scope.split_once(':').is_some_and(|(_, verb)| has(&format!("*:{verb}")));
    let agent = agent_of(scope).is_some() && has("jobs:write");
    has("*") || has(scope) || everywhere || agent
}

fn new_secret() -> Result<String, Error> {
    let mut bytes = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::Failed(format!("no random numbers: {error}")))?;
    Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing;

    fn scopes(given: &[&str]) -> Vec<String> {
        given.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn writing_includes_reading_and_one_noun_is_not_another() {
        assert!(Need::Read("machines").is_met_by(&scopes(&["machines:write"])));
        assert!(!Need::Write("machines").is_met_by(&scopes(&["machines:read", "profiles:write"])));
        assert!(Need::Read("machines").is_met_by(&scopes(&["*:read"])));
        assert!(!Need::Write("machines").is_met_by(&scopes(&["*:read"])));
        assert!(Need::Agent.is_met_by(&[format!("agent:{}", Uuid::now_v7())]));
        assert!(!Need::Agent.is_met_by(&scopes(&["agent:web1", "machines:write"])));
    }

    #[test]
    fn a_scope_that_is_none_is_told_the_nearest() {
        let problem = check_scope("machine:read", "/scopes/0").unwrap();
        assert!(problem.message.contains("did you mean `machines`"), "{problem}");
        assert!(check_scope("machines", "").is_some() && check_scope("agent:web1", "").is_some());
        assert!(check_scope("events:read", "").is_none() && check_scope("*:read", "").is_none());
    }

    #[tokio::test]
    async fn the_first_start_makes_one_administrator_and_the_second_none() {
        let app = testing::app();
        let ctx = testing::ctx();
        let made = app.first_token(&ctx).await.unwrap().unwrap();
        assert_eq!(app.sign_in(&made.secret, ctx.now).unwrap().actor, Actor::Token("admin".into()));
        assert!(app.first_token(&ctx).await.unwrap().is_none());
        assert!(!made.view.body.to_string().contains("sha256"), "{}", made.view.body);
    }

    #[tokio::test]
    async fn an_expired_token_is_told_when_it_ended() {
        let app = testing::app();
        let ctx = testing::ctx();
        let body = json!({"name": "ci", "scopes": ["*:read"], "expires_at": "2026-01-01T00:00:00Z"});
        let made = app.create_token(&ctx, body).await.unwrap();
        let error = app.sign_in(&made.secret, ctx.now).unwrap_err();
        assert!(error.to_string().contains("expired at 2026-01-01T00:00:00Z"), "{error}");
        assert!(matches!(app.sign_in("mw_wrong", ctx.now), Err(Error::Unauthorized(_))));
    }

    #[tokio::test]
    async fn a_recovered_token_may_do_everything_and_is_in_the_events() {
        let app = testing::app();
        let made = recover_token(app.store.as_ref(), testing::ctx().now).await.unwrap();
        let ctx = app.sign_in(&made.secret, testing::ctx().now).unwrap();
        assert_eq!(
            (ctx.scopes.as_slice(), made.view.key.as_str()),
            (&["*".to_owned()][..], "recovered-20261120-100000")
        );
        let query = crate::store::EventQuery { limit: 10, ..Default::default() };
        let events = app.store.events(query).await.unwrap();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["token.created", "token.recovered"]);
        assert!(events.iter().all(|event| !event.data.to_string().contains(&made.secret)));
    }

    #[tokio::test]
    async fn nobody_gives_a_scope_they_have_not() {
        let app = testing::app();
        let ctx = Ctx { scopes: scopes(&["tokens:write", "machines:read"]), ..testing::ctx() };
        let given = app.create_token(&ctx, json!({"name": "a", "scopes": ["machines:read"]})).await;
        assert!(given.is_ok());
        let refused = app.create_token(&ctx, json!({"name": "b", "scopes": ["*"]})).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    }
}
