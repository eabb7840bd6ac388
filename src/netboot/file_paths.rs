//! The paths of a bootenv's files. A path may be a template; then it is rendered for the machine, and no
//! secret is read for it: paths stand in logs and events.

use std::sync::Arc;

use crate::artifacts::opened::FetchRefusal;
use crate::catalog::params::SecretMode;
use crate::catalog::rendering::{BootContext, problem};
use crate::model::{BootTemplate, check_file_path, is_path_template};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::documents::place;
use crate::render::{RenderProblem, rendered_path};

impl Netboot {
    /// The files of a boot that are rendered, each with its path. Blocks for the duration of the renders, if
    /// any path is a template.
    ///
    /// # Errors
    /// A path cannot be rendered, cannot be a path, or is that of another file too.
    pub fn rendered_files<'a>(
        &self,
        boot: &'a BootContext,
    ) -> Result<Vec<(String, &'a BootTemplate)>, RenderProblem> {
        let files = boot.templates();
        if !has_path_templates(boot) {
            return Ok(files.iter().map(|file| (file.path.clone(), file)).collect());
        }
        let input = self.catalog.input(boot, SecretMode::Withheld)?;
        let engine = self.catalog.engine_for(boot);
        let mut found: Vec<(String, &BootTemplate)> = Vec::with_capacity(files.len());
        for file in files {
            let place = place(boot, &format!("{}/path", file.name));
            let path = rendered_path(&engine, (&place, &file.path), &input)?;
            if let Some(fault) = check_file_path(&path, "").into_iter().next() {
                return Err(problem(&place, fault.message));
            }
            if found.iter().any(|(other, _)| *other == path) {
                return Err(problem(&place, format!("`{path}` is the path of an earlier file too")));
            }
            found.push((path, file));
        }
        Ok(found)
    }

    /// The file of a boot at a path. Blocks as [`Netboot::rendered_files`].
    ///
    /// # Errors
    /// Those of [`Netboot::rendered_files`].
    fn file_at(&self, boot: &BootContext, path: &str) -> Result<Option<BootTemplate>, RenderProblem> {
        let files = self.rendered_files(boot)?;
        Ok(files.into_iter().find(|(of, _)| of == path).map(|(_, file)| file.clone()))
    }

    /// The file that a machine fetches by its path; nothing is rendered for paths that are no templates. A
    /// path that cannot be rendered is an event and a fault of the machine.
    pub(super) async fn file_fetched(
        self: &Arc<Self>,
        (gathered, boot): (&BootFacts, BootContext),
        path: &str,
    ) -> Result<Option<BootTemplate>, FetchRefusal> {
        let mut plain = boot.templates().iter().filter(|file| !is_path_template(&file.path));
        let plain = plain.find(|file| file.path == path).cloned();
        if plain.is_some() || !has_path_templates(&boot) {
            return Ok(plain);
        }
        let (netboot, asked) = (Arc::clone(self), path.to_owned());
        match self.catalog.render_aside(move || netboot.file_at(&boot, &asked)).await {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(problem)) => {
                self.render_failed(gathered, &format!("rendered:{}", problem.template), &problem).await;
                Err(FetchRefusal::Failed(problem.to_string()))
            }
            Err(error) => Err(FetchRefusal::Failed(error.to_string())),
        }
    }
}

/// Whether the path of a file has to be rendered.
fn has_path_templates(boot: &BootContext) -> bool {
    boot.templates().iter().any(|file| is_path_template(&file.path))
}
