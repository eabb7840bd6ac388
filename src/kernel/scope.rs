//! Scopes: what tokens allow, and what operations require.

use uuid::Uuid;

use crate::kernel::scope_areas::SCOPE_AREAS;
use crate::kernel::{Caller, Error};
use crate::model::{Problem, RefusalCode, nearest};

/// What an operation requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredScope {
    /// No token.
    Nothing,
    /// Any valid token.
    Token,
    /// `machines:read`, `machines:write`, and so on.
    Read(&'static str),
    Write(&'static str),
    /// The scope `*`: what shows or changes everything, secrets included.
    Everything,
    /// The token of the machine's own agent, or `jobs:write`. The use case checks with [`Caller::acts_for`]
    /// that it is the right machine.
    Agent,
}

impl RequiredScope {
    /// The scope in the form that tokens list.
    pub fn scope(self) -> Option<String> {
        match self {
            RequiredScope::Nothing | RequiredScope::Token => None,
            RequiredScope::Read(area) => Some(format!("{area}:read")),
            RequiredScope::Write(area) => Some(format!("{area}:write")),
            RequiredScope::Everything => Some("*".to_owned()),
            RequiredScope::Agent => Some("jobs:write".to_owned()),
        }
    }

    /// Whether these scopes meet the requirement.
    pub fn is_met_by(self, scopes: &[String]) -> bool {
        has_scope(scopes, "*")
            || match self {
                RequiredScope::Nothing | RequiredScope::Token => true,
                RequiredScope::Read(area) => {
                    has_area(scopes, area, "read") || has_area(scopes, area, "write")
                }
                RequiredScope::Write(area) => has_area(scopes, area, "write"),
                RequiredScope::Everything => false,
                RequiredScope::Agent => {
                    has_area(scopes, "jobs", "write") || scopes.iter().any(|s| agent_of(s).is_some())
                }
            }
    }
}

fn has_area(scopes: &[String], area: &str, verb: &str) -> bool {
    has_scope(scopes, &format!("{area}:{verb}")) || has_scope(scopes, &format!("*:{verb}"))
}

fn has_scope(scopes: &[String], wanted: &str) -> bool {
    scopes.iter().any(|scope| scope == wanted)
}

/// The fault of a scope that a new token lists.
pub fn check_scope(scope: &str, pointer: &str) -> Option<Problem> {
    if scope == "*" || agent_of(scope).is_some() {
        return None;
    }
    let areas = SCOPE_AREAS.map(|area| area.name);
    let hint = match scope.split_once(':') {
        Some((area, "read" | "write")) if area == "*" || areas.contains(&area) => return None,
        Some(("agent", _)) => "`agent:` must be followed by the id of a machine".to_owned(),
        Some((area, "read" | "write")) => match nearest(area, areas.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", areas.join(", ")),
        },
        _ => "scopes look like `machines:read`, `machines:write`, `*:read` or `*`".to_owned(),
    };
    Some(Problem::new(pointer, format!("there is no scope `{scope}`; {hint}")).coded(RefusalCode::NotOneOf))
}

/// The scope of a machine's agent.
pub fn agent_scope(machine: &str) -> String {
    format!("agent:{machine}")
}

/// The machine whose agent has this scope.
pub fn agent_of(scope: &str) -> Option<Uuid> {
    scope.strip_prefix("agent:")?.parse().ok()
}

impl Caller {
    /// Refuses a caller that lacks a scope.
    ///
    /// # Errors
    /// [`Error::Forbidden`], which names the scope.
    pub fn needs(&self, need: RequiredScope) -> Result<(), Error> {
        if need.is_met_by(&self.scopes) {
            return Ok(());
        }
        let scope = need.scope().unwrap_or_default();
        let why = format!("this needs the scope `{scope}`, which the token does not have");
        Err(Error::Forbidden(RefusalCode::ScopeMissing, why))
    }

    /// Refuses every caller except the machine itself and those that may write jobs.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn acts_for(&self, machine: Uuid) -> Result<(), Error> {
        let own = self.scopes.iter().any(|scope| agent_of(scope) == Some(machine));
        if own || RequiredScope::Write("jobs").is_met_by(&self.scopes) {
            return Ok(());
        }
        Err(Error::Forbidden(RefusalCode::NotYours, "this token belongs to another machine".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(given: &[&str]) -> Vec<String> {
        given.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn writing_includes_reading_and_one_noun_is_not_another() {
        assert!(RequiredScope::Read("machines").is_met_by(&scopes(&["machines:write"])));
        assert!(!RequiredScope::Write("machines").is_met_by(&scopes(&["machines:read", "profiles:write"])));
        assert!(RequiredScope::Read("machines").is_met_by(&scopes(&["*:read"])));
        assert!(!RequiredScope::Write("machines").is_met_by(&scopes(&["*:read"])));
        assert!(!RequiredScope::Everything.is_met_by(&scopes(&["*:read", "*:write", "server:write"])));
        assert!(RequiredScope::Everything.is_met_by(&scopes(&["*"])));
        assert!(RequiredScope::Agent.is_met_by(&[format!("agent:{}", Uuid::now_v7())]));
        assert!(!RequiredScope::Agent.is_met_by(&scopes(&["agent:web1", "machines:write"])));
    }

    #[test]
    fn a_scope_that_is_none_is_told_the_nearest() {
        let problem = check_scope("machine:read", "/scopes/0").unwrap();
        assert!(problem.message.contains("did you mean `machines`"), "{problem}");
        assert!(check_scope("machines", "").is_some() && check_scope("agent:web1", "").is_some());
        assert!(check_scope("events:read", "").is_none() && check_scope("*:read", "").is_none());
    }
}
