// The steps of the machine's run, and the runs before it.
import type { JSX } from "preact";
import { Link } from "../../app/router";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Machine, Run } from "../../api/schema";
import { StepTable } from "../run/StepTable";
import { Card, Duration, Empty, Loading, Problem, StateBadge, Time } from "./kit";
import type { WorkflowUsual } from "./timeline/usual";

interface StepsTabProps {
  machine: Machine;
  run: Run | undefined;
  isLoading: boolean;
  usual: WorkflowUsual | null;
}

export function StepsTab({ machine, run, isLoading, usual }: StepsTabProps): JSX.Element {
  if (!machine.status.run) {
    return (
      <Empty title="No run yet">Start a workflow by “Start a workflow” above; its steps stand here.</Empty>
    );
  }
  return (
    <>
      <Card
        title={`Run of ${machine.status.run.workflow}`}
        actions={<Link to={`/runs/${machine.status.run.id}`}>Open the run</Link>}
      >
        {run ? (
          <StepTable run={run} usual={usual} cursor={machine.status.cursor} />
        ) : isLoading ? (
          <Loading />
        ) : null}
      </Card>
      <EarlierRuns machine={machine} />
    </>
  );
}

const RUNS_MAX = 30;

function EarlierRuns({ machine }: { machine: Machine }): JSX.Element {
  const runs = useQuery(`runs of ${machine.id} ${machine.status.run?.id}`, (signal) =>
    api.get<{ items: Run[]; total: number }>(
      `/machines/${machine.id}/runs`,
      {
        sort: "-started_at",
        limit: RUNS_MAX,
        fields: "id,workflow,result,started_at,ended_at,started_by,reason",
      },
      { signal },
    ),
  );
  if (runs.problem.value) return <Problem problem={runs.problem.value} />;
  const items = runs.data.value?.items;
  if (!items) return <Loading />;
  const total = runs.data.value?.total ?? items.length;
  return (
    <Card
      title={`Runs of this machine: ${total}`}
      actions={<Link to={`/runs?machine=${machine.id}`}>All as a list</Link>}
    >
      <div class="scroll-x" tabIndex={0} role="region" aria-label="Runs of this machine">
        <table class="plain">
          <thead>
            <tr>
              <th>Began</th>
              <th>Workflow</th>
              <th>Result</th>
              <th>Took</th>
              <th>By</th>
              <th>Reason</th>
            </tr>
          </thead>
          <tbody>
            {items.map((run) => (
              <tr key={run.id}>
                <td>
                  <Link to={`/runs/${run.id}`}>
                    <Time at={run.started_at} />
                  </Link>
                </td>
                <td>{run.workflow}</td>
                <td>
                  <StateBadge state={run.result ?? "open"} />
                </td>
                <td class="num">
                  <Duration from={run.started_at} to={run.ended_at ?? undefined} />
                </td>
                <td>{run.started_by}</td>
                <td class="wrap">{run.reason}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
