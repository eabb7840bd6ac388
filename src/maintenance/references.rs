//! What an object names, and whether it is there.

use crate::model::{
    CheckedPart, DataFinding, FindingSeverity, HasTable, Job, Kind, Machine, Noun, Object, ObjectReference,
    Pack, SITE, Stored, Table, World, with_noun,
};

/// Most findings of one object.
const FINDINGS_MAX: usize = 16;

/// What is wrong with an object in a world that it is in.
pub fn findings(world: &World, object: &Object) -> Vec<DataFinding> {
    let mut found = shared_values(world, object);
    match object {
        Object::Machine(machine) => found.extend(work_of_machine(world, object, machine)),
        Object::Job(job) => found.extend(work_of_job(world, object, job)),
        Object::Pack(pack) => found.extend(files_of_pack(world, object, pack)),
        _ => {}
    }
    found.extend(unknown_names(world, object));
    found.truncate(FINDINGS_MAX);
    found
}

fn error(part: CheckedPart, object: &Object, message: String) -> DataFinding {
    let subject = object.kind().subject(object.key());
    DataFinding { part, severity: FindingSeverity::Error, subject, message }
}

/// Values that another object has as well.
fn shared_values(world: &World, object: &Object) -> Vec<DataFinding> {
    let shared = object.unique().into_iter().filter_map(|(index, value)| {
        let holder = world.holder(object.kind(), index, &value).filter(|holder| *holder != object.key())?;
        let what = format!("{index} {value} belongs to {holder} as well: change it in one of them");
        Some(error(CheckedPart::Rows, object, what))
    });
    shared.collect()
}

/// The run and job that a machine is in are never deleted while it is.
fn work_of_machine(world: &World, object: &Object, machine: &Stored<Machine>) -> Vec<DataFinding> {
    let run = machine.status.run.as_ref().map(|run| (Kind::Run, run.id.to_string()));
    let job = machine.status.job.map(|job| (Kind::Job, job.to_string()));
    let gone = run.into_iter().chain(job).filter(|(kind, key)| !world.contains(*kind, key));
    gone.map(|(kind, key)| {
        let what = format!("it is in {kind} {key}, which is not there: metalwright machines cancel it");
        error(CheckedPart::References, object, what)
    })
    .collect()
}

/// A job that is under way belongs to a machine.
fn work_of_job(world: &World, object: &Object, job: &Stored<Job>) -> Option<DataFinding> {
    let gone = job.spec.state.is_open() && world.machines.get(&job.spec.machine.to_string()).is_none();
    gone.then(|| {
        let what = format!("it is under way on machine {}, which is not there", job.spec.machine);
        error(CheckedPart::References, object, what)
    })
}

/// The files of a pack are kept as long as the pack.
fn files_of_pack(world: &World, object: &Object, pack: &Stored<Pack>) -> Option<DataFinding> {
    let gone = world.contents.get(&pack.spec.files).is_none();
    gone.then(|| {
        let what = "its files are not there: delete it with metalwright packs delete, and push it again";
        error(CheckedPart::References, object, what.to_owned())
    })
}

/// Objects that the site's own ones name and that are not there: readers see the same as problems.
fn unknown_names(world: &World, object: &Object) -> Vec<DataFinding> {
    if object.source() != SITE {
        return Vec::new();
    }
    let named = with_noun!(object.kind(), T => references_of::<T>(world, object.key()));
    let unknown = named.into_iter().filter(|named| {
        let by_name = named.key.strip_prefix("name:");
        let is_named = by_name.is_some_and(|name| world.holder(named.kind, "name", name).is_some());
        !is_named && !world.contains(named.kind, &named.key)
    });
    unknown
        .map(|named| DataFinding {
            part: CheckedPart::References,
            severity: FindingSeverity::Warning,
            subject: object.kind().subject(object.key()),
            message: format!("{} names {} `{}`, which is not there", named.pointer, named.kind, named.key),
        })
        .collect()
}

fn references_of<T: Noun>(world: &World, key: &str) -> Vec<ObjectReference>
where
    World: HasTable<T>,
{
    let table: &Table<T> = world.table();
    table.get(key).map(|stored| stored.spec.references()).unwrap_or_default()
}
