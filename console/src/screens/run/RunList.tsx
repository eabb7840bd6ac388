// All runs, live, with the filters of the API in the address.
import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { go, Link, location } from "../../app/router";
import type { Run } from "../../api/schema";
import { useCollection } from "../../live/collection";
import type { Column } from "../machine/kit";
import {
  Duration,
  Empty,
  FilterBar,
  filterQuery,
  Loading,
  PageHeader,
  Problem,
  StateBadge,
  Table,
  Time,
} from "../machine/kit";
import { millisBetween } from "../machine/timeline/usual";
import "../machine/details.css";
import "../machine/machine.css";
import "../machine/timeline/timeline.css";

const FIELDS = [
  "machine",
  "machine_name",
  "workflow",
  "result",
  "started_at",
  "ended_at",
  "started_by",
  "reason",
  "rehearse",
];

const COLUMNS: Column<Run>[] = [
  {
    key: "started_at",
    title: "Began",
    value: (run) => run.started_at,
    render: (run) => <Time at={run.started_at} />,
    width: "150px",
  },
  {
    key: "machine_name",
    title: "Machine",
    value: (run) => run.machine_name,
    width: "minmax(120px, 1fr)",
    render: (run) => <Link to={`/machines/${run.machine}`}>{run.machine_name}</Link>,
  },
  { key: "workflow", title: "Workflow", value: (run) => run.workflow, width: "minmax(140px, 1fr)" },
  {
    key: "result",
    title: "Result",
    value: (run) => run.result ?? "open",
    render: (run) => <StateBadge state={run.result ?? "open"} />,
    width: "130px",
  },
  {
    key: "seconds",
    title: "Took",
    value: (run) => millisBetween(run.started_at, run.ended_at),
    width: "110px",
    minPage: 600,
    render: (run) => <Duration from={run.started_at} to={run.ended_at} />,
  },
  { key: "started_by", title: "By", value: (run) => run.started_by, width: "140px", minPage: 900 },
  { key: "reason", title: "Reason", value: (run) => run.reason, width: "minmax(120px, 1fr)", minPage: 900 },
  {
    key: "rehearse",
    title: "Rehearsal",
    value: (run) => run.rehearse === true,
    render: (run) => (run.rehearse ? "yes" : ""),
    width: "100px",
    optional: true,
  },
];

export function RunList(): JSX.Element {
  const { query } = location.value;
  const runs = useCollection<Run>("runs", {
    fields: FIELDS,
    filter: filterQuery(query),
    sort: "-started_at",
  });
  const total = runs.total.value;
  const rows = useComputed(() => runs.rows.value);
  return (
    <div class="run-list">
      <PageHeader
        title="Runs"
        subtitle={runs.state.value === "loading" ? "" : `${total} ${total === 1 ? "run" : "runs"}`}
      />
      <FilterBar list="runs" wordField="machine_name" />
      {runs.problem.value && <Problem problem={runs.problem.value} onRetry={runs.reload} />}
      {runs.state.value === "loading" && rows.value.length === 0 ? (
        <Loading height={400} />
      ) : (
        <Table<Run>
          key={runs.state.value === "problem" ? "problem" : "runs"}
          name="runs"
          label="Runs"
          columns={COLUMNS}
          rows={runs.rows}
          rowKey={(run) => run.id}
          onOpen={(run) => go(`/runs/${run.id}`)}
          empty={<Empty title="No run">Start a workflow on a machine, or take a filter away.</Empty>}
        />
      )}
    </div>
  );
}
