// Runs of the last 24 hours: how many, how many succeeded, by hour, and how long each workflow takes.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { Card } from "../../ui/page";
import { Duration } from "../../ui/values";
import { HoursChart } from "./hours";
import { percentText, type RunSummary, type WorkflowRow } from "./summary";

const WIDTH = 200;

/** From zero to the 95th percentile, with a mark at the median. */
function DurationBar({ row, top }: { row: WorkflowRow; top: number }): JSX.Element | null {
  const { median_seconds: median, p95_seconds: p95 } = row;
  if (typeof median !== "number" || typeof p95 !== "number") {
    return <span class="fleet-muted">no run completed</span>;
  }
  const x = (seconds: number): number => (seconds / top) * WIDTH;
  const label = `half within ${median} seconds, 95 % within ${p95} seconds`;
  return (
    <svg class="fleet-duration" viewBox={`0 0 ${WIDTH} 12`} role="img" aria-label={label}>
      <title>{label}</title>
      <rect class="fleet-track" x={0} y={4} width={WIDTH} height={4} />
      <rect class="fleet-fill-info" x={0} y={2} width={Math.max(x(p95), 1)} height={8} />
      <rect class="fleet-median" x={Math.max(x(median) - 1, 0)} y={0} width={2} height={12} />
    </svg>
  );
}

function WorkflowLine({ row, top }: { row: WorkflowRow; top: number }): JSX.Element {
  return (
    <tr>
      <th scope="row">
        <Link to={`/machines?status.run.workflow=${encodeURIComponent(row.workflow)}`}>{row.workflow}</Link>
      </th>
      <td class="fleet-number">{row.started.toLocaleString("en")}</td>
      <td class={row.failed > 0 ? "fleet-number fleet-bad" : "fleet-number"}>
        {row.failed.toLocaleString("en")}
      </td>
      <td class="fleet-number">
        {typeof row.success_rate === "number" ? percentText(row.success_rate) : "–"}
      </td>
      <td>
        <DurationBar row={row} top={top} />
      </td>
      <td class="fleet-number">
        {typeof row.median_seconds === "number" ? <Duration ms={row.median_seconds * 1000} /> : "–"}
      </td>
      <td class="fleet-number">
        {typeof row.p95_seconds === "number" ? <Duration ms={row.p95_seconds * 1000} /> : "–"}
      </td>
    </tr>
  );
}

function WorkflowTable({ rows }: { rows: readonly WorkflowRow[] }): JSX.Element {
  const top = Math.max(1, ...rows.map((row) => row.p95_seconds ?? 0));
  const titles = ["Workflow", "Started", "Failed", "Success", "Duration", "Half within", "95 % within"];
  return (
    <div class="fleet-wide" tabIndex={0} role="region" aria-label="Runs by workflow">
      <table class="fleet-table">
        <thead>
          <tr>
            {titles.map((title) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <WorkflowLine key={row.workflow} row={row} top={top} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Runs({ runs }: { runs: RunSummary }): JSX.Element {
  const isEmpty = runs.started === 0 && runs.complete === 0 && runs.failed === 0 && runs.cancelled === 0;
  const figures: [string, string][] = [
    ["started", runs.started.toLocaleString("en")],
    ["complete", runs.complete.toLocaleString("en")],
    ["failed", runs.failed.toLocaleString("en")],
    ["cancelled", runs.cancelled.toLocaleString("en")],
    ["open now", runs.open.toLocaleString("en")],
    ["success rate", typeof runs.success_rate === "number" ? percentText(runs.success_rate) : "–"],
  ];
  return (
    <Card title="Runs of the last 24 hours">
      <dl class="fleet-figures">
        {figures.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {isEmpty ? (
        <p class="fleet-calm">No run began or ended. Start a workflow on a machine, and it appears here.</p>
      ) : (
        <HoursChart hours={runs.hours} />
      )}
      {runs.workflows.length > 0 && <WorkflowTable rows={runs.workflows} />}
    </Card>
  );
}
