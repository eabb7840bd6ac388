//! The access log: one line for each request that was answered. The lines have this module as their target,
//! `metalwright::api::access_log`, so that `log.level` can filter them.
//!
//! Writes and refusals are told at `info`, reads at `debug`. A line has the template of the route and never
//! the path or the query, which may hold what is nobody else's business. What strangers can cause is bounded.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::error::ApiError;
use super::metrics::exposition::PageEncoder;
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::RefusalCode;
use crate::rate_limit::warn_limited;

/// Most lines at `info` of requests without a valid token, in [`STRANGER_PERIOD`].
const STRANGER_LINES_MAX: u32 = 60;
const STRANGER_PERIOD: Duration = Duration::from_mins(1);

/// The address that a request came from. The listener adds it to each.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// Who sent a request, and whether the operation only reads: what the gate found out. It travels with the
/// answer.
#[derive(Debug, Clone)]
pub struct RequestActor {
    name: String,
    reads: bool,
}

impl RequestActor {
    pub fn of(caller: &Caller, need: RequiredScope) -> Self {
        RequestActor { name: caller.actor.to_string(), reads: matches!(need, RequiredScope::Read(_)) }
    }
}

/// Why tokens and cookies are refused.
const TOKEN_REFUSALS: [RefusalCode; 6] = [
    RefusalCode::TokenMissing,
    RefusalCode::TokenUnknown,
    RefusalCode::TokenExpired,
    RefusalCode::TokenOrphaned,
    RefusalCode::SessionUnknown,
    RefusalCode::SessionExpired,
];

/// What all requests share.
#[derive(Debug, Default)]
pub struct AccessLog {
    refused_tokens: [AtomicU64; TOKEN_REFUSALS.len()],
    strangers: LineBudget,
}

impl AccessLog {
    /// How many tokens were refused, by the reason.
    pub fn write(&self, page: &mut PageEncoder<'_>) -> fmt::Result {
        let refused = TOKEN_REFUSALS
            .into_iter()
            .zip(&self.refused_tokens)
            .map(|(code, count)| (vec![("reason", code.name().into())], count.load(Ordering::Relaxed)));
        let about = "Requests without a valid token or session, by the reason.";
        page.counters(("metalwright_api_tokens_refused_total", about), refused)
    }

    fn count(&self, code: Option<RefusalCode>) {
        let place = code.and_then(|code| TOKEN_REFUSALS.iter().position(|known| *known == code));
        if let Some(count) = place.and_then(|place| self.refused_tokens.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What is known of a request before it is answered.
pub struct AccessLine {
    begun: Instant,
    method: Method,
    route: String,
    peer: Option<IpAddr>,
}

impl AccessLine {
    pub fn begin(request: &Request) -> Self {
        let extensions = request.extensions();
        AccessLine {
            begun: Instant::now(),
            method: request.method().clone(),
            route: extensions.get::<MatchedPath>().map_or("-", |path| path.as_str()).to_owned(),
            peer: extensions.get::<PeerAddress>().map(|peer| peer.0),
        }
    }

    /// Writes the line. `response` has its body, and what the gate and a refusal left in it.
    pub fn end(self, log: &AccessLog, request_id: &str, response: &Response) {
        let (status, extensions) = (response.status(), response.extensions());
        let actor = extensions.get::<RequestActor>();
        let code = extensions.get::<ApiError>().map(ApiError::code);
        log.count(code);
        let reads = self.reads(status, actor);
        let is_told = (!reads || is_refusal(status)) && (actor.is_some() || log.strangers.admits(self.begun));
        let AccessLine { begun, method, route, peer } = self;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = status.as_u16();
        let (actor, code) = (actor.map_or("-", |actor| &actor.name), code.map_or("-", RefusalCode::name));
        let (bytes, peer) = (response.body().size_hint().exact(), peer.map(tracing::field::display));
        match is_told {
            true => {
                tracing::info!(%method, route, status, code, ms, actor, peer, request_id, bytes, "request")
            }
            false => {
                tracing::debug!(%method, route, status, code, ms, actor, peer, request_id, bytes, "request")
            }
        }
        if !is_told && is_refusal(response.status()) {
            let told = "refusals of requests without a valid token come too often: some have no line";
            warn_limited!(peer, "{told}");
        }
    }

    /// Whether nothing was written: by the method, by the scope that the operation needs, or because an agent
    /// that asked for work got none.
    fn reads(&self, status: StatusCode, actor: Option<&RequestActor>) -> bool {
        let by_method = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.method);
        let got_nothing = self.method == Method::POST && status == StatusCode::NO_CONTENT;
        by_method || got_nothing || actor.is_some_and(|actor| actor.reads)
    }
}

fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// How many lines strangers may cause.
#[derive(Debug, Default)]
struct LineBudget(Mutex<Option<(Instant, u32)>>);

impl LineBudget {
    /// Whether one more line fits.
    fn admits(&self, now: Instant) -> bool {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, lines) = period
            .filter(|(begun, _)| now.saturating_duration_since(*begun) < STRANGER_PERIOD)
            .unwrap_or((now, 0));
        let fits = lines < STRANGER_LINES_MAX;
        *period = Some((begun, lines + u32::from(fits)));
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_have_so_many_lines_a_minute_and_then_none() {
        let (budget, begun) = (LineBudget::default(), Instant::now());
        let told = |second| (0..1000).filter(|_| budget.admits(begun + Duration::from_secs(second))).count();
        assert_eq!([told(0), told(59), told(60), told(61)], [60, 0, 60, 0]);
    }
}
