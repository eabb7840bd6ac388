//! Numbers of commits, tombstones and epochs.

use super::*;
use crate::model::{ObjectChange, ObjectChangeKind, ReadPosition, place_after};

fn position(store: &impl Store) -> ReadPosition {
    store.world().commits.position()
}

/// Changes of machines after a commit: commit, key, and whether the machine was deleted.
fn changes(store: &impl Store, after: u64) -> Vec<(u64, String, bool)> {
    let page = store.world().changes(&place_after(after), &[Kind::Machine], 100);
    page.items
        .into_iter()
        .map(|change: ObjectChange| (change.commit, change.key, change.what == ObjectChangeKind::Deleted))
        .collect()
}

pub(super) async fn each_changeset_that_writes_is_a_commit(store: &impl Store) {
    let mut shown = store.commits();
    let before = position(store).commit;
    let [one, two] = ["commit-1", "commit-2"].map(|name| machine(name, &[]));
    let refused = Changeset::default().create(object(&one)).create(object(&one));
    let told = Changeset::default().event(event("x.told", "x"));
    let changesets = [created(&one), told, refused, created(&two).update(object(&seen(&one)))];
    let done = join_all(changesets.map(|changeset| store.commit(changeset))).await;
    assert_eq!(done.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert_eq!(position(store).commit, before + 2, "events alone and refused changesets are no commits");
    assert_eq!(*shown.borrow_and_update(), before + 2);
    let of = |machine: &Stored<Machine>| store.world().machines.get(&machine.key).unwrap().commit.get();
    assert_eq!((of(&one), of(&two)), (before + 2, before + 2));
    let both = [(before + 2, one.key.clone(), false), (before + 2, two.key.clone(), false)];
    let mut both = both.to_vec();
    both.sort();
    assert_eq!(changes(store, before), both);

    store.commit(Changeset::default().delete(&object(&two))).await.unwrap();
    assert_eq!(changes(store, before + 2), [(before + 3, two.key.clone(), true)]);
    store.commit(created(&two)).await.unwrap();
    assert_eq!(changes(store, before + 2), [(before + 4, two.key.clone(), false)], "it is there again");
    let gone = Changeset::default().delete(&object(&two)).delete(&object(&seen(&one)));
    store.commit(gone).await.unwrap();
    assert_eq!(changes(store, before + 2).len(), 2);
}

pub(super) async fn restarts_keep_numbers_and_tombstones<S: Store>(
    store: Arc<S>,
    open: impl AsyncFn() -> Arc<S>,
) -> Arc<S> {
    let kept = machine("numbered", &[]);
    let gone = machine("numbered-gone", &[]);
    store.commit(created(&kept)).await.unwrap();
    store.commit(created(&gone)).await.unwrap();
    store.commit(Changeset::default().delete(&object(&gone))).await.unwrap();
    let (before, all) = (position(&*store), changes(&*store, 1));
    assert!(all.len() > 1 && all.last() == Some(&(before.commit, gone.key.clone(), true)));
    store.close().await;
    drop(store);

    let store = open().await;
    assert_eq!(position(&*store), before, "a restart alone begins no epoch");
    assert_eq!(changes(&*store, 1), all);
    store.commit(Changeset::default().delete(&object(&kept))).await.unwrap();
    let after = position(&*store);
    assert_eq!(after.commit, before.commit + 1);
    assert_ne!(after.epoch, before.epoch, "the first commit of a process does");
    let check = |position: ReadPosition| store.world().commits.check(position.commit, Some(position.epoch));
    assert_eq!((check(before), check(after)), (Ok(()), Ok(())));
    assert!(check(ReadPosition { commit: after.commit, ..before }).is_err(), "it was not read in that epoch");
    store
}
