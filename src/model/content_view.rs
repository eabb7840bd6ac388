//! The content that a reader sees: a run sees the content it kept, everything else sees the present content.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{
    Bootenv, Content, ContentSet, GeneratedSecret, Machine, MachineStatus, MachineValues, Noun,
    ParamDeclaration, Profile, Run, SITE, Stage, Stored, Task, Template, TemplateBody, TemplateText, World,
};

/// Most templates of a folder that a template takes its includes from.
pub const FOLDER_TEMPLATES_MAX: usize = 256;

/// The content that applies to one run, or the present content.
///
/// A run without kept content sees the present content. This is so for a run that is about to start, whose
/// content is committed together with it, and for runs of versions that kept no content.
#[derive(Clone, Copy, Debug)]
pub struct ContentView<'w> {
    world: &'w World,
    kept: Option<KeptView<'w>>,
}

#[derive(Clone, Copy, Debug)]
struct KeptView<'w> {
    set: &'w ContentSet,
    values: Option<&'w MachineValues>,
}

impl<'w> From<&'w World> for ContentView<'w> {
    fn from(world: &'w World) -> Self {
        ContentView { world, kept: None }
    }
}

impl<'w> ContentView<'w> {
    /// The content that a run sees.
    pub fn of_run(world: &'w World, run: Option<&Run>) -> Self {
        let kept = run.and_then(|run| {
            let stored = world.contents.get(run.content.as_ref()?)?;
            let Content::Set(set) = &stored.spec else { return None };
            let values = run.values.as_ref().and_then(|digest| match &world.contents.get(digest)?.spec {
                Content::Values(values) => Some(values),
                _ => None,
            });
            Some(KeptView { set, values })
        });
        ContentView { world, kept }
    }

    /// The content that a machine sees: its open run's, or the present content.
    pub fn of_machine(world: &'w World, status: &MachineStatus) -> Self {
        Self::of_run(world, open_run(world, status).map(|run| &run.spec))
    }

    /// Whether it is content that a run kept.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// A world of the pieces that a run kept, without the bodies of templates, for work that is done without
    /// the world's lock.
    pub fn kept_pieces(world: &World, run: &Run) -> World {
        let mut kept = World::default();
        let set = run.content.as_ref().and_then(|digest| world.contents.get(digest));
        let named = set.into_iter().flat_map(|set| set.spec.named());
        let pieces = named.filter_map(|digest| world.contents.get(digest)).chain(set);
        pieces.for_each(|piece| kept.put(Content::object(Arc::clone(piece))));
        kept
    }

    /// The digest of all templates the run kept; none for the present templates.
    pub fn templates_digest(&self) -> Option<&'w str> {
        self.kept.map(|kept| kept.set.templates.as_str())
    }

    fn piece(&self, digest: &str) -> Option<&'w Content> {
        self.world.contents.get(digest).map(|stored| &stored.spec)
    }

    pub fn bootenv(&self, name: &str) -> Option<&'w Arc<Stored<Bootenv>>> {
        let Some(kept) = self.kept else { return self.world.bootenvs.get(name) };
        match self.piece(kept.set.bootenvs.get(name)?)? {
            Content::Bootenv(bootenv) => Some(bootenv),
            _ => None,
        }
    }

    pub fn stage(&self, name: &str) -> Option<&'w Arc<Stored<Stage>>> {
        let Some(kept) = self.kept else { return self.world.stages.get(name) };
        match self.piece(kept.set.stages.get(name)?)? {
            Content::Stage(stage) => Some(stage),
            _ => None,
        }
    }

    pub fn task(&self, name: &str) -> Option<&'w Arc<Stored<Task>>> {
        let Some(kept) = self.kept else { return self.world.tasks.get(name) };
        match self.piece(kept.set.tasks.get(name)?)? {
            Content::Task(task) => Some(task),
            _ => None,
        }
    }

    pub fn profile(&self, name: &str) -> Option<&'w Profile> {
        let Some(kept) = self.kept else { return self.world.profiles.get(name).map(|row| &row.spec) };
        match self.piece(kept.set.profiles.get(name)?)? {
            Content::Profile(profile) => Some(&profile.spec),
            _ => None,
        }
    }

    /// The text of a template.
    pub fn template(&self, name: &str) -> Option<TemplateText<'w>> {
        let Some(kept) = self.kept else {
            return self.world.templates.get(name).map(|row| text_of(&row.spec));
        };
        let Content::Templates(templates) = self.piece(&kept.set.templates)? else { return None };
        self.body(templates.get(name)?)
    }

    fn body(&self, digest: &str) -> Option<TemplateText<'w>> {
        match self.piece(digest)? {
            Content::Template(TemplateBody { body, verbatim }) => {
                Some(TemplateText { body, verbatim: *verbatim })
            }
            _ => None,
        }
    }

    /// Where a template comes from: `site`, `pack core@1.0.0`. None if that is not known.
    pub fn template_source(&self, name: &str) -> Option<&'w str> {
        let Some(kept) = self.kept else {
            return self.world.templates.get(name).map(|row| row.source.as_str());
        };
        self.template(name)?;
        let Content::Sources(sources) = self.piece(kept.set.sources.as_deref()?)? else { return None };
        Some(sources.get(name).map_or(SITE, String::as_str))
    }

    /// The names of the templates in a folder, at most [`FOLDER_TEMPLATES_MAX`].
    pub fn templates_below(&self, folder: &str) -> Vec<&'w str> {
        let folder = format!("{folder}/");
        let Some(kept) = self.kept else {
            let rows = self.world.templates.after(&folder).map(|row| row.spec.name.as_str());
            return rows.take_while(|name| name.starts_with(&folder)).take(FOLDER_TEMPLATES_MAX).collect();
        };
        let Some(Content::Templates(templates)) = self.piece(&kept.set.templates) else { return Vec::new() };
        let names = templates.range(folder.clone()..).map(|(name, _)| name.as_str());
        names.take_while(|name| name.starts_with(&folder)).take(FOLDER_TEMPLATES_MAX).collect()
    }

    /// All templates, by name.
    pub fn templates(&self) -> Vec<(&'w str, TemplateText<'w>)> {
        let Some(kept) = self.kept else {
            let rows = self.world.templates.iter();
            return rows.map(|row| (row.spec.name.as_str(), text_of(&row.spec))).collect();
        };
        let Some(Content::Templates(templates)) = self.piece(&kept.set.templates) else { return Vec::new() };
        let bodies = templates.iter().map(|(name, digest)| Some((name.as_str(), self.body(digest)?)));
        bodies.flatten().collect()
    }

    /// The declared defaults of params, by name.
    pub fn defaults(&self) -> Vec<(&'w str, &'w Value)> {
        let kept = self.declarations();
        let Some(kept) = kept else {
            let rows = self.world.params.iter().map(|row| &row.spec);
            return rows.filter_map(|param| Some((param.name.as_str(), param.default.as_ref()?))).collect();
        };
        kept.iter().filter_map(|param| Some((param.name.as_str(), param.default.as_ref()?))).collect()
    }

    /// Whether a declaration of the param has a default.
    pub fn has_default(&self, name: &str) -> bool {
        match self.declarations() {
            None => self.world.params.get(name).is_some_and(|param| param.spec.default.is_some()),
            Some(kept) => kept.iter().any(|param| param.name == name && param.default.is_some()),
        }
    }

    /// The names of all secret params, kept and present: a param that became secret since is not shown
    /// either.
    pub fn secrets(&self) -> impl Iterator<Item = &'w str> {
        let kept = self.declarations().unwrap_or_default();
        let kept = kept.iter().filter(|param| param.secret).map(|param| param.name.as_str());
        let present = self.world.params.iter().filter(|param| param.spec.secret);
        kept.chain(present.map(|param| param.spec.name.as_str()))
    }

    /// The params that are generated for machines when a run begins. A run that has begun has their values.
    pub fn generated(&self) -> impl Iterator<Item = (&'w str, GeneratedSecret)> + use<'w> {
        let present = self.kept.is_none().then(|| self.world.params.iter());
        present.into_iter().flatten().filter_map(|row| Some((row.spec.name.as_str(), row.spec.generate?)))
    }

    fn declarations(&self) -> Option<&'w [ParamDeclaration]> {
        match self.piece(&self.kept?.set.declarations)? {
            Content::Declarations(declarations) => Some(declarations),
            _ => None,
        }
    }

    /// A machine's own params and its list of profiles.
    pub fn values_of<'a>(&self, machine: &'a Machine) -> (&'a BTreeMap<String, Value>, &'a [String])
    where
        'w: 'a,
    {
        match self.kept.and_then(|kept| kept.values) {
            Some(values) => (&values.params, &values.profiles),
            None => (&machine.params, &machine.profiles),
        }
    }
}

fn text_of(template: &Template) -> TemplateText<'_> {
    TemplateText { body: &template.body, verbatim: template.verbatim }
}

/// The run that the machine is in, unless it has ended.
pub fn open_run<'w>(world: &'w World, status: &MachineStatus) -> Option<&'w Arc<Stored<Run>>> {
    let present = status.run.as_ref().filter(|run| run.ended_at.is_none())?;
    world.runs.get(&present.id.to_string())
}
