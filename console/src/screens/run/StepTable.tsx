// Steps of a run with the time each took against the usual, and the log of each job beneath it.
import type { JSX } from "preact";
import { location, setQuery } from "../../app/router";
import type { Run, RunJob } from "../../api/schema";
import { JobLog } from "../machine/JobLog";
import { now, StateBadge, Time } from "../machine/kit";
import { usualText } from "../machine/timeline/expected";
import type { WorkflowUsual } from "../machine/timeline/usual";
import { spanText } from "../machine/timeline/words";
import type { StepRow } from "./steps";
import { exitText, isOpenJob, longest, stepRows } from "./steps";

export function StepTable({
  run,
  usual,
  cursor,
}: {
  run: Run;
  usual: WorkflowUsual | null;
  cursor?: number;
}): JSX.Element {
  const rows = stepRows(run, usual, run.ended_at ? 0 : now.value);
  const scale = longest(rows);
  const open = location.value.query.get("job");
  return (
    <ol class="steps" aria-label="Steps of the run">
      {rows.map((row) => (
        <StepItem
          key={row.index}
          row={row}
          scale={scale}
          isCurrent={!run.ended_at && row.index === cursor}
          openJob={open}
        />
      ))}
    </ol>
  );
}

interface StepItemProps {
  row: StepRow;
  scale: number;
  isCurrent: boolean;
  openJob: string | null;
}

function StepItem({ row, scale, isCurrent, openJob }: StepItemProps): JSX.Element {
  const { step } = row;
  return (
    <li
      class={`step ${step.kind}${isCurrent ? " current" : ""}`}
      aria-current={isCurrent ? "step" : undefined}
    >
      <div class="step-head">
        <span class="step-index">{row.index}</span>
        <span class="step-name">
          <span class="muted">{step.kind}</span> <strong class="wrap">{step.name}</strong>
        </span>
        <StateBadge state={step.state ?? "pending"} />
        <StepTime row={row} scale={scale} />
      </div>
      {step.note && <p class="step-note wrap">{step.note}</p>}
      {row.jobs.map((job) => (
        <JobItem key={job.id} job={job} isOpen={openJob === job.id} stage={step.stage} />
      ))}
    </li>
  );
}

function StepTime({ row, scale }: { row: StepRow; scale: number }): JSX.Element | null {
  const { spent, usual, slow, step } = row;
  if (step.kind === "stage") return null;
  const words = spent === null ? "" : spanText(spent);
  return (
    <span class={slow ? "step-time slow" : "step-time"} title={usual ? usualText(usual) : undefined}>
      <span class="step-bar" aria-hidden="true">
        {usual && <span class="step-usual" style={{ width: `${(usual.most / scale) * 100}%` }} />}
        {spent !== null && (
          <span class="step-spent" style={{ width: `${Math.max(1, (spent / scale) * 100)}%` }} />
        )}
      </span>
      <span>
        {words}
        {slow && <strong> slower than usual</strong>}
      </span>
      {usual && <span class="muted">{usualText(usual)}</span>}
    </span>
  );
}

function JobItem({ job, isOpen, stage }: { job: RunJob; isOpen: boolean; stage: string }): JSX.Element {
  const flip = () => setQuery({ job: isOpen ? undefined : job.id }, { replace: true });
  return (
    <div class="job">
      <div class="job-head">
        <span>{job.attempt > 1 ? `try ${job.attempt}` : "job"}</span>
        <StateBadge state={job.state} />
        <span class="muted">{exitText(job.exit)}</span>
        {job.started_at && <Time at={job.started_at} />}
        <button type="button" class="linklike" aria-expanded={isOpen} onClick={flip}>
          {isOpen ? "Close the log" : "Log"}
        </button>
      </div>
      {isOpen && (
        <JobLog
          key={job.id}
          job={job.id}
          isOpen={isOpenJob(job)}
          name={`${stage}-${job.task}-${job.attempt}`}
        />
      )}
    </div>
  );
}
