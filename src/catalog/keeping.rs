//! The content that a run keeps from its start: every piece by its digest; pieces that are stored already are
//! not stored again. Start at [`Catalog::keep`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::catalog::params;
use crate::kernel::{Changeset, ChangesetRead};
use crate::model::{
    Content, ContentDigests, ContentSet, ContentView, GLOBAL_PROFILE, Machine, MachineValues, Noun,
    ParamDeclaration, Run, RunStep, SITE, StepKind, Stored, Template, TemplateBody, World,
};

/// The digests of all templates, by name.
pub type TemplateDigests = BTreeMap<String, String>;

/// The content of one run, ready to be committed with it.
#[derive(Debug)]
pub struct KeptContent {
    digests: ContentDigests,
    /// Its pieces by digest, except bodies of templates that were stored when it was made.
    pieces: BTreeMap<String, Arc<Stored<Content>>>,
}

impl KeptContent {
    /// Adds the pieces that are not stored yet to the changeset of its run. A stored piece is read, so that
    /// it is not deleted before; those that it names are not deleted before it (`records::contents`). `None`
    /// if a body that was stored is not any more: the content has to be made anew.
    pub fn commit_with(&self, world: &World, mut changeset: Changeset) -> Option<Changeset> {
        let mut open = vec![self.digests.content.as_str(), self.digests.values.as_str()];
        let mut seen: HashSet<&str> = HashSet::new();
        while let Some(digest) = open.pop() {
            if !seen.insert(digest) {
                continue;
            }
            if let Some(stored) = world.contents.get(digest) {
                let (kind, version) = (Content::KIND, Some(stored.version()));
                changeset.reads.push(ChangesetRead::Row { kind, key: digest.into(), version });
                continue;
            }
            let piece = self.pieces.get(digest)?;
            open.extend(piece.spec.named());
            changeset = changeset.create(Content::object(Arc::clone(piece)));
        }
        Some(changeset)
    }

    /// Sets the digests in the run.
    pub fn name_in(&self, run: &mut Run) {
        run.change_content(&self.digests);
    }

    /// Whether it is the same content.
    pub fn is_same(&self, other: &KeptContent) -> bool {
        self.digests == other.digests
    }
}

impl Catalog {
    /// The content that a machine needs for the steps of a run, from a copy of the content
    /// ([`Catalog::content`]). What no longer exists under its name is taken from `before`, which is what the
    /// run has kept so far.
    pub fn keep(&self, (content, now): (&World, Timestamp), of: ContentOwner<'_>) -> KeptContent {
        let mut keeper = ContentCollector { content, now, pieces: BTreeMap::new() };
        let set = ContentSet { templates: self.keep_templates(&mut keeper), ..keeper.set(&of) };
        let content = keeper.add(Content::Set(set));
        let Machine { params, profiles, .. } = of.machine;
        let values = MachineValues { params: params.clone(), profiles: profiles.clone() };
        let values = keeper.add(Content::Values(values));
        KeptContent { digests: ContentDigests { content, values }, pieces: keeper.pieces }
    }

    /// Adds the list of all templates, and the bodies that are not stored: usually all are.
    fn keep_templates(&self, keeper: &mut ContentCollector<'_>) -> String {
        let templates = self.template_digests(keeper.content);
        let list = keeper.add(Content::Templates(TemplateDigests::clone(&templates)));
        let absent: Vec<&String> = self.kernel.read(|world| {
            let bodies = templates.iter().filter(|(_, digest)| world.contents.get(digest).is_none());
            if world.contents.get(&list).is_some() {
                Vec::new()
            } else {
                bodies.map(|(name, _)| name).collect()
            }
        });
        for template in absent.into_iter().filter_map(|name| keeper.content.templates.get(name)) {
            keeper.add(body(&template.spec));
        }
        list
    }

    /// The digests of the bodies of all templates.
    fn template_digests(&self, world: &World) -> Arc<TemplateDigests> {
        let (generation, templates) = (world.templates.generation(), world.templates.iter());
        if world.is_derived() {
            return self.known.channels.digests_of(generation, || {
                templates.map(|row| (row.spec.name.clone(), body(&row.spec).digest())).collect()
            });
        }
        self.digests_of(generation, templates)
    }

    /// The digests of the bodies of all templates of a generation. Only what was written since the last call
    /// is looked at. The lock is not held meanwhile.
    pub(super) fn digests_of<'a>(
        &self,
        generation: u64,
        templates: impl Iterator<Item = &'a Arc<Stored<Template>>>,
    ) -> Arc<TemplateDigests> {
        let known = self.known.digests.lock().unwrap_or_else(PoisonError::into_inner).clone();
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
        *self.known.digests.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
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
    content: &'w World,
    now: Timestamp,
    pieces: BTreeMap<String, Arc<Stored<Content>>>,
}

impl ContentCollector<'_> {
    fn add(&mut self, piece: Content) -> String {
        let stored = piece.stored(self.now);
        let digest = stored.key.clone();
        self.pieces.insert(digest.clone(), stored);
        digest
    }

    /// Everything but the templates.
    fn set(&mut self, of: &ContentOwner<'_>) -> ContentSet {
        let mut set = ContentSet::default();
        let mut profiles = of.machine.profiles.clone();
        for step in of.steps {
            self.step(step, of.before, &mut set);
        }
        for name in set.stages.keys() {
            let stage = self.content.stages.get(name).or_else(|| of.before.stage(name));
            profiles.extend(stage.into_iter().flat_map(|stage| stage.spec.profiles.iter().cloned()));
        }
        profiles.push(GLOBAL_PROFILE.to_owned());
        for profile in params::expand(self.content.into(), &profiles) {
            if let Some(stored) = self.content.profiles.get(&profile.name) {
                set.profiles.insert(profile.name.clone(), self.add(Content::Profile(plain(stored))));
            }
        }
        set.declarations = self.declarations();
        set.sources = Some(self.sources());
        set
    }

    /// Adds what one step needs.
    fn step(&mut self, step: &RunStep, before: ContentView<'_>, set: &mut ContentSet) {
        let content = self.content;
        let names = [Some(&step.stage), (step.kind == StepKind::Stage).then_some(&step.name)];
        for name in names.into_iter().flatten() {
            if !set.stages.contains_key(name)
                && let Some(stage) = content.stages.get(name).or_else(|| before.stage(name))
            {
                set.stages.insert(name.clone(), self.add(Content::Stage(plain(stage))));
            }
        }
        match step.kind {
            StepKind::Stage => {}
            StepKind::Bootenv => {
                if !set.bootenvs.contains_key(&step.name)
                    && let Some(bootenv) =
                        content.bootenvs.get(&step.name).or_else(|| before.bootenv(&step.name))
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
            let Some(task) = self.content.tasks.get(&name).or_else(|| before.task(&name)) else { continue };
            open.extend(task.spec.on_failure.iter().cloned());
            set.tasks.insert(name, self.add(Content::Task(plain(task))));
        }
    }

    /// Where the templates come from that are not the site's.
    fn sources(&mut self) -> String {
        let packed = self.content.templates.iter().filter(|row| row.source != SITE);
        let sources = packed.map(|row| (row.spec.name.clone(), row.source.clone()));
        self.add(Content::Sources(sources.collect()))
    }

    fn declarations(&mut self) -> String {
        let params = self.content.params.iter().map(|row| &row.spec);
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
