//! The behaviour that every store must have, written once. Each database runs these tests against itself.
//!
//! Each call of `open` opens the same data again, as after a restart of the server.

mod commits;
mod events;

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::model::{Arch, EventBody, Job, JobState, Machine, Stored};

pub(super) const MAC_1: &str = "52:54:00:aa:00:01";
pub(super) const MAC_2: &str = "52:54:00:aa:00:02";

/// The whole story, on an empty store.
pub(super) async fn story<S: Store>(open: impl AsyncFn() -> Arc<S>) {
    let store = open().await;
    objects_are_created_changed_and_deleted(&*store).await;
    a_changeset_whose_read_was_overtaken_is_not_done(&*store).await;
    taken_values_name_their_holder(&*store).await;
    one_changeset_moves_a_value_from_object_to_object(&*store).await;
    a_refused_changeset_leaves_nothing_and_its_group_alone(&*store).await;
    changesets_of_one_group_see_each_other(&*store).await;
    reads_that_were_overtaken_are_stale(&*store).await;
    reads_are_overtaken_within_a_group(&*store).await;
    a_held_writer_lets_nobody_in_between(&*store).await;
    assert_eq!(store.probe().await, Ok(()));
    assert!(store.free_bytes().unwrap() > 0);
    events::are_found_by_what_they_are(&*store).await;
    events::those_of_leases_are_found_by_address_and_mac(&*store).await;
    logs_grow_without_gaps_or_repeats(&*store).await;
    records_conformance::documents_are_kept_once_and_go_with_the_last_run_that_has_them(&*store).await;
    records_conformance::a_run_has_a_bounded_number_of_documents(&*store).await;
    records_conformance::old_events_are_counted_up_to_a_cut(&*store).await;
    commits::each_changeset_that_writes_is_a_commit(&*store).await;
    let store = commits::restarts_keep_numbers_and_tombstones(store, &open).await;
    restarts_change_nothing(store, open).await;
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_750_000_000).unwrap()
}

pub(super) fn machine(name: &str, macs: &[&str]) -> Stored<Machine> {
    let spec = Machine {
        channel: None,
        name: name.to_owned(),
        macs: macs.iter().map(|mac| mac.parse().unwrap()).collect(),
        smbios_uuid: None,
        serial: None,
        arch: Arch::Amd64,
        workflow: None,
        profiles: Vec::new(),
        params: Default::default(),
        options: Default::default(),
        locked: false,
    };
    Stored::new(Uuid::now_v7().to_string(), spec, now())
}

pub(super) fn object(machine: &Stored<Machine>) -> Object {
    Object::Machine(Arc::new(machine.clone()))
}

pub(super) fn event(kind: &str, subject: &str) -> NewEvent {
    let body = EventBody::parse(kind.to_owned(), r#"{"from": "a test"}"#).unwrap();
    NewEvent::new(now(), body).about(subject.to_owned()).by("machine:test".to_owned())
}

pub(super) fn created(machine: &Stored<Machine>) -> Changeset {
    Changeset::default().create(object(machine)).event(event("machine.created", &machine.subject()))
}

fn taken(index: &str, value: &str, holder: &str) -> StoreError {
    let (index, value, holder) = (index.to_owned(), value.to_owned(), holder.to_owned());
    StoreError::Taken { kind: Kind::Machine, index, value, holder }
}

fn stale(machine: &Stored<Machine>) -> StoreError {
    StoreError::Stale { kind: Kind::Machine, key: machine.key.clone() }
}

async fn objects_are_created_changed_and_deleted(store: &impl Store) {
    let first = machine("first", &[MAC_1]);
    let before = *store.committed().borrow();
    let events = store.commit(created(&first)).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [before + 1]);
    assert_eq!(*store.committed().borrow(), before + 1);
    assert_eq!(**store.world().machines.find("mac", MAC_1).unwrap(), first);
    assert_eq!(store.commit(created(&first)).await, Err(stale(&first)));

    let mut second = first.next(now());
    second.spec.serial = Some("X1".into());
    store.commit(Changeset::default().update(object(&second))).await.unwrap();
    assert_eq!(store.commit(Changeset::default().update(object(&second))).await, Err(stale(&first)));
    assert_eq!(store.commit(Changeset::default().delete(&object(&first))).await, Err(stale(&first)));
    assert_eq!(**store.world().machines.get(&first.key).unwrap(), second);

    store.commit(Changeset::default().delete(&object(&second))).await.unwrap();
    assert!(store.world().machines.is_empty());
    assert_eq!(
        store.commit(Changeset::default().update(object(&second.next(now())))).await,
        Err(stale(&first))
    );
    assert_eq!(*store.committed().borrow(), before + 1, "refused changesets have no events");
}

async fn a_changeset_whose_read_was_overtaken_is_not_done(store: &impl Store) {
    let (one, other) = (machine("one", &[]), machine("other", &[]));
    store.commit(Changeset::default().create(object(&one)).create(object(&other))).await.unwrap();
    let read = |seen: &Stored<Machine>| {
        let (kind, key) = (Kind::Machine, seen.key.as_str().into());
        [ChangesetRead::Row { kind, key, version: Some(seen.version()) }]
    };
    // Each delete relies on the other object: in one group, the second finds the first object gone.
    let first = Changeset::default().delete(&object(&one)).with_reads(read(&other));
    let second = Changeset::default().delete(&object(&other)).with_reads(read(&one));
    let (first, second) = futures_util::future::join(store.commit(first), store.commit(second)).await;
    let refused: Vec<StoreError> = [first.err(), second.err()].into_iter().flatten().collect();
    assert!(refused == [stale(&one)] || refused == [stale(&other)], "{refused:?}");
    let left = if store.world().machines.get(&one.key).is_some() { one } else { other };
    let next = left.next(now());
    store.commit(Changeset::default().update(object(&next)).with_reads(read(&left))).await.unwrap();
    let late = Changeset::default().with_reads(read(&left)).delete(&object(&next));
    assert_eq!(store.commit(late).await, Err(stale(&left)));
    store.commit(Changeset::default().delete(&object(&next)).with_reads(read(&next))).await.unwrap();
}

async fn taken_values_name_their_holder(store: &impl Store) {
    let holder = machine("holder", &[MAC_1]);
    store.commit(created(&holder)).await.unwrap();
    let rival = machine("rival", &[MAC_2, MAC_1]);
    assert_eq!(store.commit(created(&rival)).await, Err(taken("mac", MAC_1, &holder.key)));
    let rival = machine("holder", &[]);
    assert_eq!(store.commit(created(&rival)).await, Err(taken("name", "holder", &holder.key)));

    let mut without = holder.next(now());
    without.spec.macs.clear();
    store.commit(Changeset::default().update(object(&without))).await.unwrap();
    let heir = machine("heir", &[MAC_1]);
    store.commit(created(&heir)).await.unwrap();
    let mut back = without.next(now());
    back.spec.macs = holder.spec.macs.clone();
    assert_eq!(
        store.commit(Changeset::default().update(object(&back))).await,
        Err(taken("mac", MAC_1, &heir.key))
    );
    store.commit(Changeset::default().delete(&object(&heir))).await.unwrap();
    store.commit(Changeset::default().update(object(&back))).await.unwrap();
    store.commit(Changeset::default().delete(&object(&back))).await.unwrap();
}

async fn one_changeset_moves_a_value_from_object_to_object(store: &impl Store) {
    let (from, to) = (machine("from", &[MAC_1]), machine("to", &[]));
    store.commit(Changeset::default().create(object(&from)).create(object(&to))).await.unwrap();
    let (mut gives, mut takes) = (from.next(now()), to.next(now()));
    std::mem::swap(&mut gives.spec.macs, &mut takes.spec.macs);
    store.commit(Changeset::default().update(object(&takes)).update(object(&gives))).await.unwrap();
    assert_eq!(store.world().machines.find("mac", MAC_1).unwrap().key, to.key);
    let third = machine("third", &[MAC_1]);
    assert_eq!(store.commit(created(&third)).await, Err(taken("mac", MAC_1, &to.key)));
    store.commit(Changeset::default().delete(&object(&takes)).delete(&object(&gives))).await.unwrap();
}

async fn a_refused_changeset_leaves_nothing_and_its_group_alone(store: &impl Store) {
    let before = *store.committed().borrow();
    let [one, two, three] = ["one", "two", "three"].map(|name| machine(name, &[]));
    let mut claimed = two.clone();
    claimed.spec.macs = vec![MAC_1.parse().unwrap()];
    let refused = created(&claimed).create(object(&one)).event(event("machine.created", "never"));
    let three = Stored { spec: Machine { macs: claimed.spec.macs.clone(), ..three.spec }, ..three };
    let changesets = [created(&one), refused, created(&three)];
    let done = join_all(changesets.map(|changeset| store.commit(changeset))).await;
    let seqs: Vec<_> = done.iter().map(|done| done.as_ref().map(|events| events[0].seq)).collect();
    assert_eq!(seqs, [Ok(before + 1), Err(&stale(&one)), Ok(before + 2)]);
    assert!(store.world().machines.get(&two.key).is_none());
    let query = EventQuery { after: before, ..EventQuery::default() };
    let kept = store.events(query).await.unwrap();
    assert_eq!(
        kept.iter().map(|event| &event.subject).collect::<Vec<_>>(),
        [&one.subject(), &three.subject()]
    );
    store.commit(created(&two)).await.expect("its key and name are free");
    let mut without = three.next(now());
    without.spec.macs.clear();
    store
        .commit(Changeset::default().update(object(&without)))
        .await
        .expect("the refused one's MAC was free");
}

async fn changesets_of_one_group_see_each_other(store: &impl Store) {
    let first = machine("racer", &[]);
    let mut mac_1 = first.next(now());
    mac_1.spec.macs = vec![MAC_1.parse().unwrap()];
    let mut mac_2 = mac_1.next(now());
    mac_2.spec.macs = vec![MAC_2.parse().unwrap()];
    let rival = machine("racer-rival", &[MAC_1]);
    let changesets = [created(&first), update(&mac_1), update(&mac_1), update(&mac_2), created(&rival)];
    let done = join_all(changesets.map(|changeset| store.commit(changeset))).await;
    let done: Vec<_> = done.into_iter().map(|done| done.map(|_| ())).collect();
    assert_eq!(done, [Ok(()), Ok(()), Err(stale(&first)), Ok(()), Ok(())]);
    let gone = machine("gone", &[]);
    store.commit(created(&gone)).await.unwrap();
    let next = gone.next(now());
    let changesets = [update(&next), Changeset::default().delete(&object(&next))];
    assert!(join_all(changesets.map(|changeset| store.commit(changeset))).await.iter().all(Result::is_ok));
    let world = store.world();
    assert!(world.machines.get(&gone.key).is_none());
    assert_eq!(world.machines.get(&first.key).unwrap().revision, 3);
    assert_eq!(world.machines.find("mac", MAC_1).unwrap().key, rival.key);
    assert_eq!(world.machines.find("mac", MAC_2).unwrap().key, first.key);
}

fn read(machine: &Stored<Machine>, version: Option<u64>) -> ChangesetRead {
    ChangesetRead::Row { kind: Kind::Machine, key: machine.key.as_str().into(), version }
}

fn read_specs(store: &impl Store) -> ChangesetRead {
    ChangesetRead::Specs { kind: Kind::Machine, generation: store.world().spec_generation(Kind::Machine) }
}

fn read_table(store: &impl Store) -> ChangesetRead {
    ChangesetRead::Table { kind: Kind::Machine, generation: store.world().generation(Kind::Machine) }
}

/// The object with another status and the same spec.
fn seen(machine: &Stored<Machine>) -> Stored<Machine> {
    let mut next = machine.next_status(now());
    next.status.last_seen = Some(now());
    next
}

fn renamed(machine: &Stored<Machine>, name: &str) -> Stored<Machine> {
    let mut next = machine.next(now());
    next.spec.name = name.to_owned();
    next
}

fn update(machine: &Stored<Machine>) -> Changeset {
    Changeset::default().update(object(machine))
}

fn table_is_stale() -> StoreError {
    StoreError::Stale { kind: Kind::Machine, key: "*".to_owned() }
}

async fn reads_that_were_overtaken_are_stale(store: &impl Store) {
    let (first, absent) = (machine("read", &[]), machine("read-absent", &[]));
    store.commit(created(&first)).await.unwrap();
    let before = *store.committed().borrow();
    let told = |reads: Vec<ChangesetRead>| {
        store.commit(Changeset::default().event(event("x.read", "x")).with_reads(reads))
    };
    let (specs, table) = (read_specs(store), read_table(store));
    let all = vec![read(&first, Some(1)), read(&absent, None), specs.clone(), table.clone()];
    told(all.clone()).await.expect("it is all as it was read");

    let next = seen(&first);
    store.commit(update(&next)).await.unwrap();
    assert_eq!(told(vec![read(&first, Some(1))]).await, Err(stale(&first)));
    assert_eq!(told(vec![table]).await, Err(table_is_stale()));
    told(vec![read(&first, Some(2)), specs.clone()]).await.expect("the specs are as they were");

    store.commit(update(&renamed(&next, "read-2"))).await.unwrap();
    assert_eq!(told(vec![specs]).await, Err(table_is_stale()));
    let specs = read_specs(store);
    store.commit(created(&absent)).await.unwrap();
    assert_eq!(told(vec![read(&absent, None)]).await, Err(stale(&absent)));
    assert_eq!(told(vec![specs]).await, Err(table_is_stale()));

    let specs = read_specs(store);
    store.commit(Changeset::default().delete(&object(&absent))).await.unwrap();
    assert_eq!(told(vec![read(&absent, Some(1))]).await, Err(stale(&absent)));
    assert_eq!(told(vec![specs]).await, Err(table_is_stale()));
    assert_eq!(*store.committed().borrow(), before + 3, "what was stale has no events");
    let last = store.world().machines.get(&first.key).cloned().unwrap();
    store.commit(Changeset::default().delete(&object(&last))).await.unwrap();
}

async fn reads_are_overtaken_within_a_group(store: &impl Store) {
    let (first, absent) = (machine("group-read", &[]), machine("group-absent", &[]));
    store.commit(created(&first)).await.unwrap();
    let (specs, table) = (read_specs(store), read_table(store));
    let told = |read: ChangesetRead| Changeset::default().event(event("x.read", "x")).with_reads([read]);
    let all = async |changesets: Vec<Changeset>| -> Vec<Result<(), StoreError>> {
        let done = join_all(changesets.into_iter().map(|changeset| store.commit(changeset))).await;
        done.into_iter().map(|done| done.map(drop)).collect()
    };
    let next = seen(&first);
    let changesets = vec![
        update(&next),
        told(read(&first, Some(1))),
        told(read(&first, Some(2))),
        told(specs.clone()),
        told(table.clone()),
        created(&absent),
        told(read(&absent, None)),
        told(specs),
    ];
    let done = all(changesets).await;
    let (row, gone, table) = (Err(stale(&first)), Err(stale(&absent)), Err(table_is_stale()));
    assert_eq!(done, [Ok(()), row, Ok(()), Ok(()), table.clone(), Ok(()), gone, table.clone()]);

    let specs = read_specs(store);
    let delete = |machine| Changeset::default().delete(&object(machine));
    let refused = update(&renamed(&first, "refused"));
    assert_eq!(all(vec![refused, told(specs.clone())]).await, [Err(stale(&first)), Ok(())]);
    assert_eq!(all(vec![delete(&absent), told(specs), delete(&next)]).await, [Ok(()), table, Ok(())]);
}

async fn a_held_writer_lets_nobody_in_between(store: &impl Store) {
    let first = machine("held", &[]);
    store.commit(created(&first)).await.unwrap();
    let hold = store.hold().await.unwrap();
    let next = seen(&first);
    let outsider = store.commit(update(&next));
    let holder = async {
        let reads = [read(&first, Some(1)), read_table(store)];
        hold.commit(update(&renamed(&first, "held-2")).with_reads(reads)).await
    };
    let (outsider, holder) = futures_util::future::join(outsider, holder).await;
    assert_eq!((outsider.map(drop), holder.map(drop)), (Err(stale(&first)), Ok(())));
    drop(store.hold().await.unwrap());
    let held = renamed(&first, "held-2");
    store
        .commit(Changeset::default().delete(&object(&held)))
        .await
        .expect("who gives up lets the writer go on");
}

fn job(key: Uuid) -> Object {
    let spec = Job {
        machine: Uuid::nil(),
        run: Uuid::nil(),
        step: 0,
        stage: "inventory".into(),
        task: "inventory".into(),
        state: JobState::Running,
        exit: None,
        after: None,
        reason: String::new(),
        attempt: 1,
        started_at: None,
        ended_at: None,
        deadline: now(),
        log_bytes: 0,
        log_pruned_at: None,
        digest: String::new(),
    };
    Object::Job(Arc::new(Stored::new(key.to_string(), spec, now())))
}

async fn logs_grow_without_gaps_or_repeats(store: &impl Store) {
    let id = Uuid::now_v7();
    let absent = StoreError::Stale { kind: Kind::Job, key: id.to_string() };
    assert_eq!(store.write_log(id, 0, b"x".to_vec()).await, Err(absent));
    store.commit(Changeset::default().create(job(id))).await.unwrap();
    let write = async |offset: u64, text: &str| store.write_log(id, offset, text.into()).await;
    assert_eq!(write(0, "one two").await, Ok(7));
    assert_eq!(write(0, "one two").await, Ok(7), "again");
    assert_eq!(write(4, "two three").await, Ok(13), "half of it again");
    assert_eq!(write(14, "late").await, Err(StoreError::LogGap { bytes: 13 }));
    assert_eq!(write(13, "").await, Ok(13));
    assert_eq!(write(2, "e").await, Ok(13));
    let read = async |offset: u64, bytes_max: u32| {
        String::from_utf8(store.read_log(id, offset, bytes_max).await.unwrap()).unwrap()
    };
    assert_eq!(read(0, 100).await, "one two three");
    assert_eq!(read(5, 4).await, "wo t");
    assert_eq!(read(7, 100).await, " three");
    assert_eq!(read(13, 100).await, "");
    assert_eq!(read(u64::MAX, u32::MAX).await, "");
    store.commit(Changeset::default().delete(&job(id))).await.unwrap();
    assert_eq!(read(0, 100).await, "", "the log went with its job");
}

/// Once after a clean end, once without one.
async fn restarts_change_nothing<S: Store>(store: Arc<S>, open: impl AsyncFn() -> Arc<S>) {
    let log_of = Uuid::now_v7();
    store.commit(Changeset::default().create(job(log_of))).await.unwrap();
    store.write_log(log_of, 0, b"kept".to_vec()).await.unwrap();
    let shown = |store: &S| {
        let world = store.world();
        let machines: Vec<_> = world.machines.iter().cloned().collect();
        (machines, world.jobs.iter().cloned().collect::<Vec<_>>(), *store.committed().borrow())
    };
    let before = shown(&store);
    let events = store.events(EventQuery::default()).await.unwrap();
    assert_eq!(before.0.len(), 5);

    store.close().await;
    assert_eq!(store.commit(created(&machine("after-close", &[]))).await, Err(StoreError::Closed));
    drop(store);
    let store = open().await;
    assert_eq!(shown(&store), before);

    drop(store);
    let store = open().await;
    assert_eq!(shown(&store), before);
    assert_eq!(store.events(EventQuery::default()).await.unwrap(), events);
    assert_eq!(store.read_log(log_of, 0, 100).await.unwrap(), b"kept");
    let holder = store.world().machines.find("mac", MAC_1).unwrap().key.clone();
    assert_eq!(store.commit(created(&machine("late", &[MAC_1]))).await, Err(taken("mac", MAC_1, &holder)));
    store.close().await;
}

/// Tasks that each read, change and write, until no other task wrote in between.
pub(super) async fn writers_that_retry_lose_no_update(store: Arc<impl Store>) {
    const TASKS: u64 = 8;
    const UPDATES: u64 = 200;
    let first = machine("contended", &[MAC_1]);
    store.commit(created(&first)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (store, key) = (Arc::clone(&store), first.key.clone());
        tasks.spawn(async move {
            for _ in 0..UPDATES {
                update_until_done(&*store, &key).await;
            }
        });
    }
    tasks.join_all().await;
    let last = store.world().machines.get(&first.key).cloned().unwrap();
    assert_eq!((last.revision, last.status_revision), (1, TASKS * UPDATES));
    assert_eq!(last.status.cursor, u32::try_from(TASKS * UPDATES).unwrap());
}

async fn update_until_done(store: &impl Store, key: &str) {
    loop {
        let mut next = store.world().machines.get(key).unwrap().next_status(now());
        next.status.cursor += 1;
        let subject = next.subject();
        let changeset = Changeset::default().update(object(&next)).event(event("machine.updated", &subject));
        match store.commit(changeset).await {
            Ok(_) => return,
            Err(StoreError::Stale { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
