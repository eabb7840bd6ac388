//! Rules for tokens: scopes that exist, and at least one administrator. `access` checks that a token does not
//! allow more than its creator has.

use jiff::Timestamp;

use crate::kernel::scope::check_scope;
use crate::kernel::{Caller, Changeset, TrackedWorld};
use crate::model::{Kind, Problem, RefusalCode, Stored, Token, World};
use crate::objects::rules::{NounRules, ProposedWrite, RuleConflict, session};

/// How long a token may do everything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AdminReign {
    /// It may not.
    Never,
    Until(Timestamp),
    ForGood,
}

impl NounRules for Token {
    const PROBLEMS_SEE: &'static [Kind] = &[Kind::Token];
    const HIDDEN: &'static [&'static str] = &["sha256", "attempt", "first_use_by"];

    fn refused(&self, _change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let faults = self.scopes.iter().enumerate();
        faults.filter_map(|(i, scope)| check_scope(scope, &format!("/scopes/{i}"))).collect()
    }

    fn conflict(&self, change: &ProposedWrite<'_, Self>) -> Option<RuleConflict> {
        refused(change.old?, Some(self), change.world)
    }

    fn refuse_delete(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Option<RuleConflict> {
        refused(stored, None, world)
    }

    fn cascade_deletion(
        stored: &Stored<Self>,
        world: &TrackedWorld<'_>,
        caller: &Caller,
        changeset: Changeset,
    ) -> Changeset {
        session::end_with_token(&stored.key, world, caller, changeset)
    }

    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let ends = matches!(reign(&stored.spec), AdminReign::Until(_));
        let what = "every token with the scope `*` expires: make one without expiry before the last of them \
                    ends, or only `metalwright tokens recover` on the server's host helps";
        let lasting = world.tokens.iter().any(|token| token.spec.is_lasting_admin());
        (ends && !lasting).then(|| Problem::new("/expires_at", what)).into_iter().collect()
    }
}

fn reign(token: &Token) -> AdminReign {
    match (token.scopes.iter().any(|scope| scope == "*"), token.expires_at) {
        (false, _) => AdminReign::Never,
        (true, Some(ends)) => AdminReign::Until(ends),
        (true, None) => AdminReign::ForGood,
    }
}

/// Why a token may not go or become less: none of the others may do everything for as long as it may.
fn refused(old: &Stored<Token>, next: Option<&Token>, world: &TrackedWorld<'_>) -> Option<RuleConflict> {
    let before = reign(&old.spec);
    let stays = next.map_or(AdminReign::Never, reign) >= before;
    let mut others = world.specs::<Token>().filter(|token| token.key != old.key);
    if stays || others.any(|token| reign(&token.spec) >= before) {
        return None;
    }
    let name = &old.key;
    let (last, lasting) = match before {
        AdminReign::ForGood => ("the last token with the scope `*` that does not expire", String::new()),
        _ => ("the token with the scope `*` that lasts longest", " without an end".to_owned()),
    };
    let why = format!(
        "token `{name}` is {last}: without it nobody could administer the server. Make another one{lasting} \
         first: metalwright tokens create name=NAME scopes='[\"*\"]'"
    );
    Some(RuleConflict::plain(RefusalCode::LastAdministrator, why))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use crate::houses::{Houses, testing};
    use crate::kernel::Error;
    use crate::model::Token;
    use crate::objects::patch::Patch;
    use crate::objects::write::{ExpectedRevision, WriteTarget};

    fn target(name: &str) -> WriteTarget<'_> {
        WriteTarget { reference: name, expected: ExpectedRevision::Any }
    }

    async fn houses(tokens: &[Value]) -> Arc<Houses> {
        let houses = testing::houses();
        for token in tokens {
            houses.access.create_token(&testing::caller(), token.clone()).await.unwrap();
        }
        houses
    }

    fn lasting(name: &str) -> Value {
        json!({"name": name, "scopes": ["*"]})
    }

    fn expiring(name: &str) -> Value {
        json!({"name": name, "scopes": ["*"], "expires_at": "2027-01-01T00:00:00Z"})
    }

    #[tokio::test]
    async fn the_last_administrator_is_neither_deleted_nor_made_less() {
        let others = [expiring("soon"), json!({"name": "ci", "scopes": ["*:write", "*:read"]})];
        let houses = houses(&[&[lasting("admin")][..], &others].concat()).await;
        let caller = testing::caller();
        let refused = houses.objects.delete::<Token>(&caller, &target("admin")).await.unwrap_err();
        let Error::Conflict(_, why) = &refused else { panic!("{refused}") };
        assert!(why.contains("the last token") && why.contains("metalwright tokens create"), "{why}");
        for less in [json!({"scopes": ["*:write"]}), json!({"expires_at": "2027-01-01T00:00:00Z"})] {
            let patched =
                houses.objects.patch::<Token>(&caller, &target("admin"), &Patch::Merge(less.clone())).await;
            assert!(matches!(patched, Err(Error::Conflict(..))), "{less}: {patched:?}");
        }
        let wider = Patch::Merge(json!({"scopes": ["*", "machines:read"]}));
        houses.objects.patch::<Token>(&caller, &target("admin"), &wider).await.unwrap();
        houses.access.create_token(&caller, lasting("next")).await.unwrap();
        houses.objects.delete::<Token>(&caller, &target("admin")).await.unwrap();
        houses.objects.delete::<Token>(&caller, &target("ci")).await.unwrap();
        assert!(houses.objects.delete::<Token>(&caller, &target("next")).await.is_err());
    }

    #[tokio::test]
    async fn where_all_administrators_expire_the_last_stays_and_says_so() {
        let houses = houses(&[expiring("a"), expiring("b")]).await;
        let caller = testing::caller();
        let view = houses.objects.get::<Token>(&testing::caller(), "a").await.unwrap();
        assert!(view.body["problems"].to_string().contains("tokens recover"), "{}", view.body);
        houses.objects.delete::<Token>(&caller, &target("a")).await.unwrap();
        assert!(houses.objects.delete::<Token>(&caller, &target("b")).await.is_err());
        let past = json!({"name": "over", "scopes": ["*"], "expires_at": "2026-01-01T00:00:00Z"});
        houses.access.create_token(&caller, past).await.unwrap();
        let refused = houses.objects.delete::<Token>(&caller, &target("b")).await.unwrap_err();
        assert!(refused.to_string().contains("lasts longest"), "one that has expired is no help: {refused}");
        let sooner = Patch::Merge(json!({"expires_at": "2026-11-20T10:00:01Z"}));
        let refused = houses.objects.patch::<Token>(&caller, &target("b"), &sooner).await;
        assert!(matches!(refused, Err(Error::Conflict(..))), "it would end now: {refused:?}");
        let later = Patch::Merge(json!({"expires_at": "2028-01-01T00:00:00Z"}));
        houses.objects.patch::<Token>(&caller, &target("b"), &later).await.unwrap();
        houses.access.create_token(&caller, lasting("admin")).await.unwrap();
        assert_eq!(
            houses.objects.get::<Token>(&testing::caller(), "b").await.unwrap().body["problems"],
            json!([])
        );
        houses.objects.delete::<Token>(&caller, &target("b")).await.unwrap();
    }

    #[tokio::test]
    async fn two_that_delete_each_others_heir_at_once_leave_one() {
        let houses = houses(&[lasting("a"), lasting("b")]).await;
        let caller = testing::caller();
        // Both changesets were decided while both tokens existed.
        let changesets =
            ["a", "b"].map(|name| houses.objects.prepare_delete::<Token>(&caller, &target(name)).unwrap());
        let [first, second] = changesets;
        houses.kernel.commit(first).await.unwrap();
        assert!(houses.kernel.commit(second).await.is_err(), "it relied on the one that is gone");
        assert!(matches!(
            houses.objects.delete::<Token>(&caller, &target("b")).await,
            Err(Error::Conflict(..))
        ));
        assert_eq!(houses.kernel.read(|world| world.tokens.len()), 1);
    }
}
