// The overview: machines by state, what needs somebody, runs, the server's health, what changed last. All of
// it is one call, `GET /summary`, which is asked again after a change and every ten seconds.

import { useEffect, useRef } from "preact/hooks";
import type { JSX } from "preact";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Screen } from "../../app/screen";
import { useChanges } from "../../live/feed";
import { PageHeader } from "../../ui/page";
import { Loading, Problem } from "../../ui/status";
import { Time } from "../../ui/values";
import { Needs } from "./needs";
import "./overview.css";
import { Recent } from "./recent";
import { Runs } from "./runs";
import { ServerHealth } from "./server";
import { GettingStarted } from "./start";
import { MachineStates } from "./states";
import type { Summary } from "./summary";

const EVERY_MS = 10_000;
const AFTER_CHANGE_MS = 1000;

/** Calls again every ten seconds while the page is seen, and a second after a change. */
function useFreshness(reload: () => void): void {
  const pending = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) reload();
    }, EVERY_MS);
    return () => {
      clearInterval(timer);
      clearTimeout(pending.current);
      pending.current = undefined;
    };
  }, []);
  useChanges(["machine", "run", "artifact", "subnet"], () => {
    pending.current ??= setTimeout(() => {
      pending.current = undefined;
      reload();
    }, AFTER_CHANGE_MS);
  });
}

function Overview(): JSX.Element {
  const summary = useQuery("summary", (signal) => api.get<Summary>("/summary", undefined, { signal }));
  useFreshness(summary.reload);
  const data = summary.data.value;
  const problem = summary.problem.value;
  return (
    <div class="fleet-overview">
      <PageHeader
        title="Overview"
        subtitle={
          data === undefined ? undefined : (
            <>
              as of <Time at={data.at} />
            </>
          )
        }
      />
      {problem !== undefined && <Problem problem={problem} onRetry={summary.reload} />}
      {data === undefined && problem === undefined && <Loading label="Reading the overview" />}
      {data !== undefined && <Parts summary={data} />}
    </div>
  );
}

function Parts({ summary }: { summary: Summary }): JSX.Element {
  const { machines, needs, runs, server, recent } = summary;
  const isEmpty = machines?.total === 0;
  return (
    <>
      {isEmpty && <GettingStarted />}
      {machines !== undefined && !isEmpty && <MachineStates counts={machines} />}
      <div class={isEmpty ? "fleet-columns fleet-columns-one" : "fleet-columns"}>
        <div>
          {needs !== undefined && (!isEmpty || needs.length > 0) && <Needs rows={needs} />}
          {runs !== undefined && !isEmpty && <Runs runs={runs} />}
        </div>
        <div>
          <ServerHealth server={server} />
          {recent !== undefined && <Recent events={recent} />}
        </div>
      </div>
    </>
  );
}

export const screens: Screen[] = [
  {
    path: "/",
    title: () => "Overview",
    nav: { label: "Overview", group: "Fleet", order: 0, icon: "overview" },
    key: "o",
    view: Overview,
  },
];
