// Who is like this machine: the newest run of the workflow on each other machine, compared by digests.
import type { JSX } from "preact";
import { Link } from "../../app/router";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Run } from "../../api/schema";
import { Card, Empty, Loading, Problem } from "../machine/kit";
import type { ComparedRun, CongruenceGroup } from "./congruence";
import { congruenceOf, differenceText } from "./congruence";

const RUNS_MAX = 500;
const FIELDS = "id,machine,machine_name,steps,artifacts,result,started_at,ended_at";
const NAMED_FIRST = 24;

export function Congruence({ run }: { run: Run }): JSX.Element {
  const others = useQuery(`congruence ${run.workflow}`, (signal) =>
    api.get<{ items: ComparedRun[]; total: number }>(
      "/runs",
      { workflow: run.workflow, sort: "-started_at", limit: RUNS_MAX, fields: FIELDS },
      { signal },
    ),
  );
  if (others.problem.value) return <Problem problem={others.problem.value} />;
  const read = others.data.value;
  if (!read) return <Loading />;
  const groups = congruenceOf(run, read.items);
  if (groups.length === 0)
    return <Empty title="No other machine">{`No other machine has a run of ${run.workflow}.`}</Empty>;
  const [alike, all] = [
    groups.find((one) => one.differences.length === 0)?.runs.length ?? 0,
    groups.reduce((sum, one) => sum + one.runs.length, 0),
  ];
  return (
    <Card title={`${alike} of ${all} machines are congruent with ${run.machine_name}`}>
      <p class="muted">
        The same steps in the same order, with the same content, the same values of all params, and the same
        artifacts.
        {read.total > RUNS_MAX && ` The newest ${RUNS_MAX} of ${read.total} runs are compared.`}
      </p>
      {groups.map((group) => (
        <Group key={group.runs[0]?.id} group={group} />
      ))}
    </Card>
  );
}

function Group({ group }: { group: CongruenceGroup }): JSX.Element {
  const { differences, runs } = group;
  return (
    <section class="compare">
      <p>
        <strong>{`${runs.length} ${runs.length === 1 ? "machine" : "machines"}: `}</strong>
        {differences.length === 0 ? (
          <span class="tone ok">✓ alike</span>
        ) : (
          <span class="tone warn">≠ {differences.map(differenceText).join("; ")}</span>
        )}
      </p>
      <p class="row">
        {runs.slice(0, NAMED_FIRST).map((run) => (
          <Link key={run.id} to={`/runs/${run.id}`}>
            {run.machine_name}
          </Link>
        ))}
        {runs.length > NAMED_FIRST && <span class="muted">{`and ${runs.length - NAMED_FIRST} more`}</span>}
      </p>
    </section>
  );
}
