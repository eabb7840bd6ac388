// The server's work in the background: how often each piece runs, and how its last round went.

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { Card } from "../../ui/page";
import { Loading, Problem, StateBadge } from "../../ui/status";
import { Duration, Time } from "../../ui/values";

interface Round {
  started_at: string;
  duration_ms: number;
  ok: boolean;
  reason?: string;
}

interface Work {
  name: string;
  about: string;
  period_seconds: number;
  nudged_by?: string;
  running: boolean;
  rounds: number;
  failures: number;
  last?: Round;
  last_failure?: Round;
}

const AGAIN_MS = 10_000;

export function BackgroundWork(): JSX.Element {
  const { data, problem, reload } = useQuery("background", (signal) =>
    api.get<{ items: Work[] }>("/server/background", undefined, { signal, quiet: true }),
  );
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) reload();
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <Card title="Background work">
      {problem.value && <Problem problem={problem.value} onRetry={reload} />}
      {!data.value && !problem.value && <Loading height={200} />}
      {data.value && <WorkTable items={data.value.items} />}
    </Card>
  );
}

function WorkTable({ items }: { items: readonly Work[] }): JSX.Element {
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Background work">
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Work</th>
            <th scope="col">State</th>
            <th scope="col">Every</th>
            <th scope="col">Last round</th>
            <th scope="col">Took</th>
            <th scope="col">Rounds</th>
            <th scope="col">Failures</th>
            <th scope="col">What it does</th>
          </tr>
        </thead>
        <tbody>
          {items.map((work) => (
            <WorkRow key={work.name} work={work} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function WorkRow({ work }: { work: Work }): JSX.Element {
  const state = work.running ? "running" : !work.last ? "not yet" : work.last.ok ? "ok" : "failed";
  return (
    <tr>
      <th scope="row">{work.name}</th>
      <td>
        <StateBadge state={state} />
        {work.last && !work.last.ok && <div class="small">{work.last.reason}</div>}
      </td>
      <td>
        {work.period_seconds > 0 ? <Duration ms={work.period_seconds * 1000} /> : "when it is needed"}
      </td>
      <td>
        <Time at={work.last?.started_at} />
      </td>
      <td>
        <Duration ms={work.last?.duration_ms ?? null} />
      </td>
      <td class="number">{work.rounds}</td>
      <td class="number">
        {work.failures}
        {work.last_failure && <div class="small muted">{work.last_failure.reason}</div>}
      </td>
      <td class="wide-cell">
        {work.about}
        {work.nudged_by && <span class="muted small"> Early: {work.nudged_by}.</span>}
      </td>
    </tr>
  );
}
