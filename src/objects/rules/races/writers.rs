//! Two writers on one server, and the results of both orders.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::catalog::content::PackFile;
use crate::houses::{Houses, testing};
use crate::kernel::{Actor, Caller, Changeset, Error, EventQuery};
use crate::model::{Kind, Machine, Noun, Object, Stored, with_noun};
use crate::objects::patch::Patch;
use crate::objects::write::{ExpectedRevision, WriteTarget};
use crate::runs::actions::RunAction;

/// An action of a writer.
#[derive(Clone, Debug)]
pub enum WriterOp {
    Create(Kind, Value),
    /// Stores an object that clients do not create like others.
    Put(Kind, Value),
    Patch(Kind, &'static str, Value),
    Delete(Kind, &'static str),
    /// Starts a workflow on a machine.
    Start(&'static str, &'static str),
    /// Creates so many objects that have nothing but a name.
    Fill(Kind, usize),
    /// Makes a version of `core` the only pack: its files by path.
    Install(&'static str, BTreeMap<String, String>),
}

impl WriterOp {
    /// Parses `create subnet {…}`, `put pack {…}`, `patch subnet lan {…}`, `delete subnet lan`, `start
    /// name:web1 flow`, `fill client_class 499`, `install 1.0.0 {"templates/a": "…"}`.
    fn parse(line: &'static str) -> Self {
        let (verb, rest) = line.split_once(' ').expect(line);
        let (first, rest) = rest.split_once(' ').expect(line);
        let kind = || serde_json::from_value(json!(first)).expect(line);
        let body = |text: &str| serde_json::from_str(text).expect(line);
        match (verb, rest.split_once(' ')) {
            ("create", _) => WriterOp::Create(kind(), body(rest)),
            ("put", _) => WriterOp::Put(kind(), body(rest)),
            ("install", _) => WriterOp::Install(first, serde_json::from_str(rest).expect(line)),
            ("patch", Some((reference, fields))) => WriterOp::Patch(kind(), reference, body(fields)),
            ("delete", None) => WriterOp::Delete(kind(), rest),
            ("start", None) => WriterOp::Start(first, rest),
            ("fill", None) => WriterOp::Fill(kind(), rest.parse().expect(line)),
            _ => panic!("{line}"),
        }
    }
}

/// Runs the action. Of the result only the refusal is kept.
async fn carry_out(houses: &Houses, caller: &Caller, op: &WriterOp) -> Result<(), String> {
    let target = |reference| WriteTarget { reference, expected: ExpectedRevision::Any };
    let done: Result<(), Error> = match op {
        WriterOp::Create(Kind::Token, body) => {
            houses.access.create_token(caller, body.clone()).await.map(drop)
        }
        WriterOp::Create(kind, body) => {
            with_noun!(*kind, T => houses.objects.create::<T>(caller, body.clone()).await.map(drop))
        }
        WriterOp::Put(kind, body) => with_noun!(*kind, T => {
            let spec: T = serde_json::from_value(body.clone()).unwrap();
            let stored = Stored::new(spec.key().unwrap_or_default(), spec, caller.now);
            let changeset = Changeset::default().create(T::object(Arc::new(stored)));
            houses.kernel.commit(changeset).await.map(drop)
        }),
        WriterOp::Patch(kind, reference, fields) => {
            let (target, patch) = (target(reference), Patch::Merge(fields.clone()));
            with_noun!(*kind, T => houses.objects.patch::<T>(caller, &target, &patch).await.map(drop))
        }
        WriterOp::Delete(kind, reference) => {
            with_noun!(*kind, T => houses.objects.delete::<T>(caller, &target(reference)).await)
        }
        WriterOp::Start(machine, workflow) => {
            let workflow = Some((*workflow).to_owned());
            let action = RunAction::Start { workflow, reason: String::new(), stop_before: None };
            let machine = houses.kernel.find::<Machine>(caller, machine).map(|machine| machine.key.clone());
            match machine {
                Ok(machine) => houses.runs.act(caller, &machine, &action).await.map(drop),
                Err(error) => Err(error),
            }
        }
        WriterOp::Install(version, files) => {
            let files: Vec<PackFile> = files
                .iter()
                .map(|(path, body)| PackFile { path: path.clone(), body: body.clone().into_bytes() })
                .collect();
            testing::install(houses, version, &files).await;
            Ok(())
        }
        WriterOp::Fill(..) => Ok(()),
    };
    done.map_err(|error| error.to_string())
}

/// A rule, the initial objects, and the actions of two simultaneous writers.
#[derive(Clone, Debug)]
pub struct RaceCase {
    rule: &'static str,
    before: Vec<WriterOp>,
    writers: [WriterOp; 2],
}

impl RaceCase {
    /// All cases of the list.
    pub fn all() -> Vec<RaceCase> {
        let paragraphs = include_str!("cases.txt").split("\n\n").skip(1);
        paragraphs.map(RaceCase::parse).collect()
    }

    fn parse(text: &'static str) -> RaceCase {
        let (mut rule, mut before, mut one, mut other) = ("", Vec::new(), None, None);
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("#", what)) => rule = what,
                Some(("before", op)) => before.push(WriterOp::parse(op.trim())),
                Some(("one", op)) => one = Some(WriterOp::parse(op.trim())),
                Some(("other", op)) => other = Some(WriterOp::parse(op.trim())),
                _ => panic!("{line}"),
            }
        }
        RaceCase { rule, before, writers: [one.expect(text), other.expect(text)] }
    }
}

/// The answers to both writers, and the objects at the end.
#[derive(Clone, Debug, PartialEq)]
struct RaceResult {
    told: [Result<(), String>; 2],
    objects: BTreeMap<String, Value>,
}

/// A server on which a case is run repeatedly.
pub struct RuleRace<'a> {
    case: &'a RaceCase,
    houses: Arc<Houses>,
    /// The results if the first writer is first, and if the second is.
    orders: [RaceResult; 2],
}

impl<'a> RuleRace<'a> {
    /// Runs both orders. Their results must differ; otherwise the rule checks nothing.
    pub async fn new(case: &'a RaceCase) -> Self {
        let houses = testing::houses();
        let mut orders = Vec::new();
        for order in [[0, 1], [1, 0]] {
            prepare(&houses, case).await;
            let mut told = [Ok(()), Ok(())];
            for writer in order {
                told[writer] = carry_out(&houses, &caller(writer), &case.writers[writer]).await;
            }
            orders.push(RaceResult { told, objects: objects(&houses) });
        }
        let orders: [RaceResult; 2] = orders.try_into().unwrap();
        assert_ne!(orders[0].told, orders[1].told, "{}: {case:?}", case.rule);
        RuleRace { case, houses, orders }
    }

    /// Runs both writers at the same moment.
    ///
    /// # Errors
    /// The result is that of neither order.
    pub async fn round(&self) -> Result<(), String> {
        prepare(&self.houses, self.case).await;
        let after = self.houses.kernel.last_event();
        let barrier = Arc::new(Barrier::new(2));
        let writers = [0, 1].map(|writer| {
            let (houses, op, barrier) =
                (self.houses.clone(), self.case.writers[writer].clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                carry_out(&houses, &caller(writer), &op).await
            })
        });
        let [one, other] = writers;
        let ended =
            RaceResult { told: [one.await.unwrap(), other.await.unwrap()], objects: objects(&self.houses) };
        let first = self.first_after(after).await;
        // A refused writer wrote nothing and may have been first or second. If neither was refused, the
        // events tell.
        let may_be: Vec<&RaceResult> = match ended.told {
            [Ok(()), Ok(())] => self.orders.iter().skip(first).take(1).collect(),
            _ => self.orders.iter().collect(),
        };
        match may_be.contains(&&ended) {
            true => Ok(()),
            false => Err(format!("{}: {ended:?}, and one after the other {may_be:?}", self.case.rule)),
        }
    }

    /// Which of the two writers wrote first.
    async fn first_after(&self, after: u64) -> usize {
        let events =
            self.houses.kernel.events(EventQuery { after, limit: 1, ..EventQuery::default() }).await.unwrap();
        usize::from(events.first().is_some_and(|event| event.actor == caller(1).actor.to_string()))
    }
}

fn caller(writer: usize) -> Caller {
    Caller { actor: Actor::Token(format!("writer-{writer}")), ..testing::caller() }
}

/// Deletes everything that the case does not need.
async fn prepare(houses: &Houses, case: &RaceCase) {
    let all: Vec<Object> = Kind::ALL
        .iter()
        .flat_map(|kind| houses.kernel.read(|world| world.objects(*kind).collect::<Vec<_>>()))
        .collect();
    let clear = all.iter().fold(Changeset::default(), Changeset::delete);
    houses.kernel.commit(clear).await.unwrap();
    for op in &case.before {
        if let WriterOp::Fill(kind, count) = op {
            fill(houses, *kind, *count).await;
        }
        carry_out(houses, &testing::caller(), op).await.unwrap();
    }
}

async fn fill(houses: &Houses, kind: Kind, count: usize) {
    let document = |number: usize| {
        let spec = json!({"name": format!("fill-{number}"), "match": {}});
        let time = testing::caller().now;
        json!({"spec": spec, "status": {}, "source": "site", "created_at": time, "updated_at": time})
            .to_string()
    };
    let changeset = (0..count)
        .map(|number: usize| {
            let (key, document) = (format!("fill-{number}"), document(number));
            Object::decode(kind, crate::model::ObjectRow { key: &key, version: 1, document: &document })
                .unwrap()
        })
        .fold(Changeset::default(), Changeset::create);
    houses.kernel.commit(changeset).await.unwrap();
}

/// The specs of all objects, and what machines run, without ids, tokens and sealed values, which always
/// differ. Runs and kept content consist of such values only and are left out.
fn objects(houses: &Houses) -> BTreeMap<String, Value> {
    houses.kernel.read(|world| {
        let kinds = Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Run | Kind::Content));
        let objects = kinds.flat_map(|kind| world.objects(kind));
        let shown = objects.map(|object| {
            let document: Value = serde_json::from_str(&object.encode().unwrap()).unwrap();
            let mut spec = document["spec"].clone();
            if let Some(fields) = spec.as_object_mut() {
                fields.remove("sha256");
            }
            for (_, value) in spec["params"].as_object_mut().into_iter().flatten() {
                if value.is_object() {
                    *value = json!("sealed");
                }
            }
            let name = spec.get("name").or(spec.get("address")).cloned().unwrap_or_default();
            (format!("{} {name}", object.kind()), json!([spec, document["status"]["run"]["workflow"]]))
        });
        shown.collect()
    })
}
