//! The behaviour of every store with served documents, logs and old events; a part of `conformance`.

use jiff::SignedDuration;
use uuid::Uuid;

use super::conformance::now;
use super::*;
use crate::model::NewEvent;
use crate::model::event::BootLog;

fn document(run: u128, path: &str, text: &str) -> KeptDocument {
    let served = ServedDocument {
        path: path.to_owned(),
        digest: (!text.is_empty()).then(|| format!("digest of {text}")),
        bytes: 100,
        served_at: now() + SignedDuration::from_secs(i64::try_from(run).unwrap()),
        machine: Uuid::from_u128(1),
        attempt: Some(Uuid::from_u128(2)),
        job: None,
        covered: text == "covered",
        note: String::new(),
    };
    KeptDocument { run: Uuid::from_u128(run), served, content: text.as_bytes().to_vec() }
}

/// To be run on a store without documents.
pub(super) async fn documents_are_kept_once_and_go_with_the_last_run_that_has_them(store: &dyn Store) {
    let all = [
        document(1, "boot.ipxe", "same"),
        document(1, "boot.ipxe", "same"),
        document(1, "preseed.cfg", "covered"),
        document(2, "boot.ipxe", "same"),
        document(2, "large", ""),
    ];
    assert_eq!(store.keep_documents(all.to_vec()).await, Ok(11), "two texts");
    assert_eq!(store.keep_documents(all.to_vec()).await, Ok(0), "nothing new");
    let first = store.served_documents(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(first, [all[0].served.clone(), all[2].served.clone()]);
    let usage = store.document_usage().await.unwrap();
    let runs: Vec<_> = usage.runs.iter().map(|run| (run.run.as_u128(), run.count, run.kept_bytes)).collect();
    assert_eq!((usage.kept_bytes, runs), (11, vec![(1, 2, 11), (2, 1, 4)]));
    assert_eq!(usage.runs[1].last_at, all[3].served.served_at);
    let text = |text: &str| store.document_content(format!("digest of {text}"));
    assert_eq!(text("same").await, Ok(Some(b"same".to_vec())));
    assert_eq!(
        store.prune_documents(vec![Uuid::from_u128(1)]).await,
        Ok(7),
        "the other run has the other text"
    );
    assert_eq!((text("same").await, text("covered").await), (Ok(Some(b"same".to_vec())), Ok(None)));
    assert_eq!(
        store.served_documents(Uuid::from_u128(1)).await,
        Ok(first),
        "which there were is known still"
    );
    assert_eq!(store.forget_documents(vec![Uuid::from_u128(2)]).await, Ok(4));
    assert_eq!(store.forget_documents(vec![Uuid::from_u128(1)]).await, Ok(0));
    for run in [1, 2] {
        assert_eq!(store.served_documents(Uuid::from_u128(run)).await, Ok(Vec::new()));
    }
    assert_eq!(store.document_usage().await, Ok(DocumentUsage::default()));
}

pub(super) async fn a_run_has_a_bounded_number_of_documents(store: &dyn Store) {
    let many = (0..RUN_DOCUMENTS_MAX + 5).map(|n| document(1, &format!("{n:05}"), "text"));
    store.keep_documents(many.collect()).await.unwrap();
    let kept = store.served_documents(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(kept.len(), RUN_DOCUMENTS_MAX as usize);
    store.forget_documents(vec![Uuid::from_u128(1)]).await.unwrap();
}

/// To be run on a store whose events are not older than `now()`.
pub(super) async fn old_events_are_counted_up_to_a_cut(store: &dyn Store) {
    let before = *store.committed().borrow();
    let events = (1..=9)
        .map(|n| NewEvent::new(now() + SignedDuration::from_secs(n * 1000), BootLog { text: String::new() }))
        .collect();
    store.commit(Changeset { events, ..Changeset::default() }).await.unwrap();
    let cut = async |keep, since: Option<i64>| {
        let since = since.map(|seconds| now() + SignedDuration::from_secs(seconds));
        let old = store.old_events(EventCut { keep, since, bytes: None }).await.unwrap();
        (old.count, old.newer)
    };
    assert_eq!(cut(u64::MAX, None).await, (0, before + 9));
    assert_eq!(cut(4, None).await, (before + 5, 4));
    assert_eq!(cut(u64::MAX, Some(3000)).await, (before + 2, 7));
    assert_eq!(cut(4, Some(3000)).await, (before + 5, 4), "what is due by either");
    assert_eq!(cut(0, Some(1_000_000)).await, (before + 8, 1), "the newest stays");
}
