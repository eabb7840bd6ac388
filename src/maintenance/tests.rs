//! What the check finds.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::ArtifactCheck;
use crate::houses::testing;
use crate::kernel::{Caller, Changeset, Error};
use crate::model::{CheckedPart, FindingSeverity, Machine, Noun, Profile, Stored};

#[tokio::test]
async fn a_name_that_is_not_there_is_a_warning_and_a_job_that_is_not_there_an_error() {
    let houses = testing::houses();
    let now = testing::caller().now;
    let profile: Profile = serde_json::from_value(json!({"name": "a"})).unwrap();
    let spec = json!({"name": "web1", "profiles": ["a", "gone"]});
    let spec: Machine = serde_json::from_value(spec).unwrap();
    let mut machine = Stored::new(Uuid::now_v7().to_string(), spec, now);
    machine.status.job = Some(Uuid::now_v7());
    let subject = machine.subject();
    let changeset = Changeset::default()
        .create(Profile::object(Arc::new(Stored::new("a".into(), profile, now))))
        .create(Machine::object(Arc::new(machine)));
    houses.kernel.commit(changeset).await.unwrap();

    let report = houses.maintenance.check(&testing::caller(), ArtifactCheck::Hashed).await.unwrap();
    let found = report.findings.iter().filter(|finding| finding.part == CheckedPart::References);
    let found: Vec<_> = found.map(|finding| (finding.severity, finding.subject.clone())).collect();
    assert_eq!(found, [(FindingSeverity::Error, subject.clone()), (FindingSeverity::Warning, subject),]);
    assert!(
        report.findings.iter().any(|finding| finding.message.contains("/profiles/1 names profile `gone`"))
    );
    assert!(!report.findings.iter().any(|finding| finding.part == CheckedPart::Database), "{report:?}");
    assert_eq!(report.objects, 2);

    let reader = Caller { scopes: vec!["*:read".into(), "*:write".into()], ..testing::caller() };
    let refused = houses.maintenance.check(&reader, ArtifactCheck::Skipped).await;
    assert!(matches!(refused, Err(Error::Forbidden(..))));
}
