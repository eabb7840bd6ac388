// The failed jobs of a run, each with those of other machines whose logs end with the same lines.
import type { JSX } from "preact";
import { Link, setQuery } from "../../app/router";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Job, Run } from "../../api/schema";
import { Card, Empty, Loading, Problem, Time } from "../machine/kit";
import type { FailedJob, FailureGroup } from "./failures";
import { groupFailures, TAIL_BYTES } from "./failures";
import { exitText } from "./steps";

/** Failed jobs of a task whose logs are looked at. */
const JOBS_MAX = 24;
const BAD = new Set(["failed", "lost"]);

interface FoundFailures {
  groups: FailureGroup[];
  names: Map<string, string>;
}

async function readFailures(run: Run, signal: AbortSignal): Promise<FoundFailures> {
  const tasks = new Set((run.jobs ?? []).filter((job) => BAD.has(job.state)).map((job) => job.task));
  const lists = await Promise.all(
    [...tasks].map((task) =>
      api.get<{ items: Job[] }>(
        "/jobs",
        { task, "state[in]": "failed,lost", sort: "-ended_at", limit: JOBS_MAX },
        { signal },
      ),
    ),
  );
  const jobs = lists.flatMap((list) => list.items);
  const [logs, names] = await Promise.all([
    Promise.all(jobs.map((job) => readTail(job, signal))),
    readNames([...new Set(jobs.map((job) => job.machine))], signal),
  ]);
  const failed = jobs.map((job, index): FailedJob => ({ ...job, log: logs[index] ?? "" }));
  const groups = groupFailures(failed, (job) => [names.get(job.machine) ?? ""]);
  return { groups: groups.filter((group) => group.jobs.some((job) => job.run === run.id)), names };
}

async function readTail(job: Job, signal: AbortSignal): Promise<string> {
  const bytes = job.log_bytes ?? 0;
  if (bytes === 0 || job.log_pruned_at) return "";
  const query = { offset: Math.max(0, bytes - TAIL_BYTES), limit: TAIL_BYTES };
  return api.text(`/jobs/${job.id}/log`, query, { signal, quiet: true }).catch(() => "");
}

async function readNames(ids: string[], signal: AbortSignal): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const query = { "id[in]": ids.join(","), fields: "id,name", limit: 1000 };
  const list = await api.get<{ items: { id: string; name: string }[] }>("/machines", query, {
    signal,
    quiet: true,
  });
  return new Map(list.items.map((one) => [one.id, one.name]));
}

export function Failures({ run }: { run: Run }): JSX.Element {
  const found = useQuery(`failures ${run.id} ${run.revision}`, (signal) => readFailures(run, signal));
  if (found.problem.value) return <Problem problem={found.problem.value} />;
  if (!found.data.value) return <Loading />;
  const { groups, names } = found.data.value;
  const stopped = (run.entries ?? []).filter((entry) => entry.what === "run.failed");
  if (groups.length === 0 && stopped.length === 0) return <Empty title="No job of this run failed" />;
  return (
    <>
      {stopped.length > 0 && (
        <Card title="Where the run stopped">
          <ul class="plain-list">
            {stopped.map((entry) => (
              <li key={entry.at} class="wrap">
                <Time at={entry.at} /> {entry.text}
              </li>
            ))}
          </ul>
        </Card>
      )}
      {groups.map((group) => (
        <GroupCard key={group.jobs[0]?.id} group={group} run={run} names={names} />
      ))}
    </>
  );
}

function GroupCard({
  group,
  run,
  names,
}: {
  group: FailureGroup;
  run: Run;
  names: Map<string, string>;
}): JSX.Element {
  const own = group.jobs.find((job) => job.run === run.id);
  const elsewhere = group.jobs.filter((job) => job.run !== run.id);
  const machines = new Set(elsewhere.map((job) => job.machine)).size;
  return (
    <Card title={`Task ${group.task}: ${exitText(group.exit) || "no exit code"}`}>
      {group.lines.length > 0 ? (
        <pre class="file-text">{group.lines.join("\n")}</pre>
      ) : (
        <p class="muted">The log is empty or not kept.</p>
      )}
      {own && (
        <button type="button" class="linklike" onClick={() => setQuery({ tab: undefined, job: own.id })}>
          The whole log
        </button>
      )}
      <p>
        <strong>
          {machines === 0
            ? "No other machine failed so."
            : `The same on ${machines} other ${machines === 1 ? "machine" : "machines"}:`}
        </strong>
      </p>
      <ul class="plain-list">
        {elsewhere.map((job) => (
          <li key={job.id}>
            <Link to={`/runs/${job.run}?tab=failures`}>{names.get(job.machine) ?? job.machine}</Link>{" "}
            <Time at={job.ended_at} />
          </li>
        ))}
      </ul>
    </Card>
  );
}
