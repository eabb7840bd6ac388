// The runs of a workflow that ended well, and what is usual by them.
import { useComputed } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Run } from "../../api/schema";
import type { UsualRun, WorkflowUsual } from "./timeline/usual";
import { usualOfRuns } from "./timeline/usual";

/** Runs that the usual times come from: the newest. */
const RUNS_MAX = 50;
const FIELDS = "id,steps,attempts,started_at,ended_at";

export function useUsual(workflow: string | null): ReadonlySignal<WorkflowUsual | null> {
  const runs = useQuery(workflow ? `usual ${workflow}` : undefined, (signal) =>
    api.get<{ items: UsualRun[] }>(
      "/runs",
      {
        workflow: workflow ?? "",
        result: "complete",
        rehearse: "false",
        sort: "-started_at",
        limit: RUNS_MAX,
        fields: FIELDS,
      },
      { signal, quiet: true },
    ),
  );
  return useComputed(() => {
    const items = runs.data.value?.items;
    return items && items.length > 0 ? usualOfRuns(items) : null;
  });
}

export const runTitle = (run: Run): string => `${run.workflow} on ${run.machine_name}`;
