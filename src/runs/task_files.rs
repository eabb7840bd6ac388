//! Renders the files and scripts of a task for a job.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use crate::catalog::params::SecretMode;
use crate::catalog::rendering::{BootContext, RenderPurpose, task_file_path, task_file_text};
use crate::model::{ContentView, JobFile, Problem, RefusalCode, Stored, Task, TaskTemplate};
use crate::records::documents::{DocumentServing, KeptText, STOPPING, run_under_way};
use crate::render::{RenderInput, RenderProblem, RenderedText};
use crate::runs::Runs;
use crate::runs::flow::step::boot_step;
use crate::runs::jobs::{RenderTasks, TaskRender};

impl RenderTasks for Arc<Runs> {
    fn render_task(&self, request: TaskRender) -> BoxFuture<'_, Result<Vec<JobFile>, Vec<Problem>>> {
        Box::pin(async move {
            let runs = Arc::clone(self);
            match self.catalog.render_aside(move || runs.render_task_files(&request)).await {
                Ok(rendered) => rendered,
                Err(error) => Err(vec![
                    Problem::new("", format!("the render failed: {error}")).coded(RefusalCode::Template),
                ]),
            }
        })
    }
}

impl Runs {
    /// All files of a task, or the problem of each file that cannot be rendered. Blocks.
    fn render_task_files(self: &Arc<Self>, request: &TaskRender) -> Result<Vec<JobFile>, Vec<Problem>> {
        let (task, boot) = self.task_and_boot(request);
        let Some(task) = task else {
            return Err(vec![
                Problem::new("", format!("there is no task `{}`", request.task)).coded(RefusalCode::NotFound),
            ]);
        };
        let input =
            self.task_input(request, &boot, SecretMode::Revealed).map_err(|fault| vec![said(&fault)])?;
        let engine = self.catalog.engine_for(&boot);
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for template in &task.spec.templates {
            let path = task_file_path(&engine, (&request.task, template), &input);
            let rendered = task_file_text(&engine, (&request.task, template), &input);
            match path.and_then(|path| Ok((path, rendered?))) {
                Ok((path, rendered)) => {
                    self.record_task_file(request, template, &rendered);
                    files.push(JobFile { name: template.name.clone(), path, body: rendered.text });
                }
                Err(fault) => problems.push(said(&fault)),
            }
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }

    fn task_input(
        &self,
        request: &TaskRender,
        boot: &BootContext,
        mode: SecretMode,
    ) -> Result<RenderInput, RenderProblem> {
        let mut input = self.catalog.input(boot, mode)?;
        input.variables.insert("task".into(), json!({"name": request.task}));
        input.variables.insert("job".into(), json!({"id": request.job}));
        Ok(input)
    }

    /// Records a file that is sent to an agent. Nothing waits for it.
    fn record_task_file(
        self: &Arc<Self>,
        request: &TaskRender,
        template: &TaskTemplate,
        rendered: &RenderedText,
    ) {
        let machine = &request.machine;
        let (Some(run), Ok(id)) = (run_under_way(&machine.status), machine.key.parse()) else { return };
        let attempt = machine.status.boot_attempt.as_ref();
        let serving = DocumentServing {
            run,
            machine: id,
            attempt: attempt.map(|attempt| attempt.id),
            job: Some(request.job),
            path: &format!("tasks/{}/{}/{}", request.stage, request.task, template.name),
            sha256: &rendered.sha256,
            bytes: rendered.text.len(),
            is_secret: rendered.provenance.secret,
        };
        self.records.keep(&serving, || match serving.is_secret {
            true => self.redacted_task_file(request, template),
            false => {
                let (text, cover) = (rendered.text.clone(), self.catalog.capability_cover(attempt));
                Box::new(move || Ok(cover(&text)))
            }
        });
    }

    /// The file, rendered again with secrets covered.
    fn redacted_task_file(self: &Arc<Self>, request: &TaskRender, template: &TaskTemplate) -> KeptText {
        // The queued work must not keep this house alive: the queue belongs to a house that this one holds.
        let (runs, request, template) = (Arc::downgrade(self), request.clone(), template.clone());
        Box::new(move || {
            let runs = runs.upgrade().ok_or_else(|| STOPPING.to_owned())?;
            let boot = BootContext { purpose: RenderPurpose::Preview, ..runs.task_and_boot(&request).1 };
            let engine = runs.catalog.engine_for(&boot);
            let input = runs.task_input(&request, &boot, SecretMode::Redacted);
            let rendered =
                input.and_then(|input| task_file_text(&engine, (&request.task, &template), &input));
            rendered.map(|rendered| rendered.text).map_err(|problem| {
                format!("it holds secrets, and it could not be rendered without them: {problem}")
            })
        })
    }

    /// The task, and the boot that its machine is in.
    fn task_and_boot(&self, request: &TaskRender) -> (Option<Arc<Stored<Task>>>, BootContext) {
        let status = &request.machine.status;
        let attempt = status.boot_attempt.clone();
        let server = attempt.as_ref().and_then(|attempt| attempt.server);
        let listening = self.kernel.endpoints.api.map(|api| api.ip()).filter(|ip| !ip.is_unspecified());
        let facing = server.or(listening).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.kernel.read(|world| {
            let run = request.run.as_ref().map(|run| &run.spec);
            let (content, steps) = (ContentView::of_run(world, run), run.map_or(&[][..], |run| &run.steps));
            let boot = boot_step(status, steps).and_then(|i| steps.get(i as usize));
            let boot = BootContext {
                machine: Some(Arc::clone(&request.machine)),
                bootenv: boot.and_then(|step| content.bootenv(&step.name)).cloned(),
                stage: content.stage(&request.stage).cloned(),
                run: request.run.clone(),
                channel_content: None,
                attempt,
                facing: self.catalog.facing(facing),
                agent_token: None,
                purpose: RenderPurpose::Serve,
            };
            (content.task(&request.task).cloned(), boot)
        })
    }
}

fn said(fault: &RenderProblem) -> Problem {
    Problem::from(fault)
}
