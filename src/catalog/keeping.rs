//! The content that a run keeps from its start: every piece by its digest; pieces that are stored already are
//! not stored again. Start at [`Catalog::keep`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::catalog::params;
use crate::kernel::{Changeset, ChangesetRead, TrackedWorld};
use crate::model::{
    Content, ContentDigests, ContentSet, ContentView, GLOBAL_PROFILE, Machine, MachineValues, Noun,
    ParamDeclaration, Run, RunStep, Stage, StepKind, Stored, Template, TemplateBody, World,
};

/// The digests of all templates, by name.
pub type TemplateDigests = BTreeMap<String, String>;

/// The content of one run, ready to be committed with it.
#[derive(Debug)]
pub struct KeptContent {
    digests: ContentDigests,
    /// The pieces that are not stored yet.
    pieces: Vec<Arc<Stored<Content>>>,
    /// The pieces that are stored, and must not be deleted before the run is committed.
    reads: Vec<ChangesetRead>,
}

impl KeptContent {
    /// Adds the content to the changeset of its run.
    pub fn commit_with(self, changeset: Changeset) -> Changeset {
        let pieces = self.pieces.into_iter().map(Content::object);
        pieces.fold(changeset.with_reads(self.reads), Changeset::create)
    }

    /// Sets the digests in the run.
    pub fn name_in(&self, run: &mut Run) {
        run.change_content(&self.digests);
    }
}

impl Catalog {
    /// The content that a machine needs for the steps of a run. Content that no longer exists under its name
    /// is taken from `before`, which is what the run has kept so far.
    pub fn keep(&self, (world, now): (&World, Timestamp), of: ContentOwner<'_>) -> KeptContent {
        let mut keeper = ContentCollector { world, now, pieces: BTreeMap::new(), reads: BTreeSet::new() };
        let templates = self.template_digests(world);
        let set = keeper.set(&of, &templates);
        let content = keeper.add(Content::Set(set));
        let Machine { params, profiles, .. } = of.machine;
        let values = MachineValues { params: params.clone(), profiles: profiles.clone() };
        let values = keeper.add(Content::Values(values));
        let tracked = TrackedWorld::new(world);
        for digest in &keeper.reads {
            tracked.get::<Content>(digest);
        }
        let reads = tracked.into_reads();
        let digests = ContentDigests { content, values };
        KeptContent { digests, pieces: keeper.pieces.into_values().collect(), reads }
    }

    /// The digests of the bodies of all templates.
    pub fn template_digests(&self, world: &World) -> Arc<TemplateDigests> {
        self.digests_of(world.templates.generation(), world.templates.iter())
    }

    /// The digests of the bodies of all templates of a generation. Only what was written since the last call
    /// is looked at. The lock is not held meanwhile: somebody may wait for it with the world held.
    pub(super) fn digests_of<'a>(
        &self,
        generation: u64,
        templates: impl Iterator<Item = &'a Arc<Stored<Template>>>,
    ) -> Arc<TemplateDigests> {
        let known = self.digests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.generation == Some(generation) {
            return Arc::clone(&known.digests);
        }
        let mut made = KnownDigests { generation: Some(generation), ..KnownDigests::default() };
        let mut digests = TemplateDigests::new();
        for template in templates {
            let (name, commit) = (&template.spec.name, template.commit.get());
            let same = known.commits.get(name).filter(|of| **of == commit && commit != 0);
            let digest = same.and_then(|_| known.digests.get(name).cloned());
            digests.insert(name.clone(), digest.unwrap_or_else(|| body(&template.spec).digest()));
            made.commits.insert(name.clone(), commit);
        }
        made.digests = Arc::new(digests);
        let digests = Arc::clone(&made.digests);
        *self.digests.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
        digests
    }
}

/// The digests of templates, and what they were made from.
#[derive(Debug, Default)]
pub(super) struct KnownDigests {
    generation: Option<u64>,
    digests: Arc<TemplateDigests>,
    /// The commit that wrote each.
    commits: HashMap<String, u64>,
}

fn body(template: &Template) -> Content {
    Content::Template(TemplateBody { body: template.body.clone(), verbatim: template.verbatim })
}

/// The machine and the run whose content is kept.
#[derive(Clone, Copy)]
pub struct ContentOwner<'a> {
    pub machine: &'a Machine,
    pub steps: &'a [RunStep],
    /// The content that the run has kept so far; for a new run, the present content.
    pub before: ContentView<'a>,
}

struct ContentCollector<'w> {
    world: &'w World,
    now: Timestamp,
    /// The pieces that are not stored yet, by digest.
    pieces: BTreeMap<String, Arc<Stored<Content>>>,
    /// The digests of stored pieces.
    reads: BTreeSet<String>,
}

impl ContentCollector<'_> {
    fn add(&mut self, piece: Content) -> String {
        let stored = piece.stored(self.now);
        let digest = stored.key.clone();
        if self.world.contents.get(&digest).is_some() {
            self.reads.insert(digest.clone());
        } else {
            self.pieces.insert(digest.clone(), stored);
        }
        digest
    }

    fn set(&mut self, of: &ContentOwner<'_>, templates: &TemplateDigests) -> ContentSet {
        let mut set = ContentSet { templates: self.templates(templates), ..ContentSet::default() };
        let mut profiles = of.machine.profiles.clone();
        for step in of.steps {
            self.step(step, of.before, &mut set);
        }
        for name in set.stages.keys() {
            profiles.extend(self.stage(name, of.before).into_iter().flat_map(|stage| stage.profiles.clone()));
        }
        profiles.push(GLOBAL_PROFILE.to_owned());
        for profile in params::expand(self.world.into(), &profiles) {
            if let Some(stored) = self.world.profiles.get(&profile.name) {
                set.profiles.insert(profile.name.clone(), self.add(Content::Profile(plain(stored))));
            }
        }
        set.declarations = self.declarations();
        set
    }

    fn stage(&self, name: &str, before: ContentView<'_>) -> Option<Stage> {
        let stage = self.world.stages.get(name).map(|stage| stage.spec.clone());
        stage.or_else(|| before.stage(name).map(|stage| stage.spec.clone()))
    }

    /// Adds what one step needs.
    fn step(&mut self, step: &RunStep, before: ContentView<'_>, set: &mut ContentSet) {
        let world = self.world;
        let names = [Some(&step.stage), (step.kind == StepKind::Stage).then_some(&step.name)];
        for name in names.into_iter().flatten() {
            if !set.stages.contains_key(name)
                && let Some(stage) = world.stages.get(name).or_else(|| before.stage(name))
            {
                set.stages.insert(name.clone(), self.add(Content::Stage(plain(stage))));
            }
        }
        match step.kind {
            StepKind::Stage => {}
            StepKind::Bootenv => {
                if !set.bootenvs.contains_key(&step.name)
                    && let Some(bootenv) =
                        world.bootenvs.get(&step.name).or_else(|| before.bootenv(&step.name))
                {
                    set.bootenvs.insert(step.name.clone(), self.add(Content::Bootenv(plain(bootenv))));
                }
            }
            StepKind::Task => self.task(&step.name, before, set),
        }
    }

    /// Adds a task, and the tasks that run after its failure.
    fn task(&mut self, name: &str, before: ContentView<'_>, set: &mut ContentSet) {
        let mut open = vec![name.to_owned()];
        // Each iteration adds a task to the set or ends, so the number of tasks is the bound.
        while let Some(name) = open.pop() {
            if set.tasks.contains_key(&name) {
                continue;
            }
            let Some(task) = self.world.tasks.get(&name).or_else(|| before.task(&name)) else { continue };
            open.extend(task.spec.on_failure.iter().cloned());
            set.tasks.insert(name, self.add(Content::Task(plain(task))));
        }
    }

    fn templates(&mut self, templates: &TemplateDigests) -> String {
        for (name, digest) in templates {
            if self.world.contents.get(digest).is_some() {
                self.reads.insert(digest.clone());
            } else if let Some(template) = self.world.templates.get(name) {
                self.add(body(&template.spec));
            }
        }
        self.add(Content::Templates(templates.clone()))
    }

    fn declarations(&mut self) -> String {
        let params = self.world.params.iter().map(|row| &row.spec);
        let declared =
            params.filter(|param| param.secret || param.default.is_some()).map(|param| ParamDeclaration {
                name: param.name.clone(),
                default: param.default.clone(),
                secret: param.secret,
            });
        self.add(Content::Declarations(declared.collect()))
    }
}

/// An object as a piece of content, without the fields that only its row has.
fn plain<T: Noun>(stored: &Stored<T>) -> Arc<Stored<T>> {
    Arc::new(Stored::new(stored.key.clone(), stored.spec.clone(), Timestamp::UNIX_EPOCH))
}
