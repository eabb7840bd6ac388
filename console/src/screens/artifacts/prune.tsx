// Prune: what no artifact refers to any more, first as a list, then deleted.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem } from "../../api/client";
import { useQuery } from "../../api/query";
import { Button } from "../../ui/button";
import { ConfirmErase, Dialog } from "../../ui/dialog";
import { Loading, Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { bytesText } from "../../ui/format";
import { Bytes, Truncated } from "../../ui/values";
import { LEFTOVER_TEXTS, type PruneReport } from "./artifact";

const ITEMS_SHOWN_MAX = 200;

const prune = (isDryRun: boolean, signal?: AbortSignal): Promise<PruneReport> =>
  api.post<PruneReport>(
    "/artifacts/actions/prune",
    { dry_run: isDryRun },
    signal === undefined ? {} : { signal },
  );

function LeftoverTable({ report }: { report: PruneReport }): JSX.Element {
  const largest = [...report.items].sort((a, b) => b.bytes - a.bytes).slice(0, ITEMS_SHOWN_MAX);
  return (
    <div class="fleet-wide" tabIndex={0} role="region" aria-label="What would be deleted">
      <table class="fleet-table">
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">Id</th>
            <th scope="col" class="fleet-number">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {largest.map((item) => (
            <tr key={`${item.kind} ${item.id}`}>
              <td>{LEFTOVER_TEXTS[item.kind]}</td>
              <td>
                <Truncated text={item.id} />
              </td>
              <td class="fleet-number">
                <Bytes value={item.bytes} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {report.items.length > largest.length && (
        <p>{`and ${report.items.length - largest.length} smaller ones`}</p>
      )}
    </div>
  );
}

/** How many of each kind, and how large they are together. */
function leftoverLines(report: PruneReport): string[] {
  const kinds = [...new Set(report.items.map((item) => item.kind))];
  return kinds.map((kind) => {
    const items = report.items.filter((item) => item.kind === kind);
    const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
    return `${items.length} × ${LEFTOVER_TEXTS[kind]}, ${bytesText(bytes)}`;
  });
}

export function PruneDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const found = useQuery("prune", (signal) => prune(true, signal));
  const isSure = useSignal(false);
  const report = found.data.value;
  const erase = async (): Promise<void> => {
    try {
      const done = await prune(false);
      const more = done.more ? "; there is more, prune again" : "";
      toast(`${done.items.length} items are deleted${more}`);
      onClose();
    } catch (error) {
      toast("Prune was refused", { problem: asProblem(error) });
      throw error;
    }
  };
  if (report !== undefined && isSure.value) {
    const count = report.items.length;
    return (
      <ConfirmErase
        title={`Delete ${count} ${count === 1 ? "item" : "items"}?`}
        expected={String(count)}
        expectedIs="the number of items"
        erases={leftoverLines(report)}
        action="Delete"
        onConfirm={erase}
        onClose={onClose}
      >
        <p>
          No artifact refers to them. They take <Bytes value={report.bytes} /> on the server's disk.
        </p>
      </ConfirmErase>
    );
  }
  return (
    <Dialog title="Prune" onClose={onClose}>
      {found.problem.value !== undefined && (
        <Problem problem={found.problem.value} onRetry={found.reload} />
      )}
      {report === undefined && found.problem.value === undefined && (
        <Loading label="Looking for what nothing refers to" />
      )}
      {report !== undefined && report.items.length === 0 && (
        <p>Nothing to delete: artifacts refer to everything that is kept.</p>
      )}
      {report !== undefined && report.items.length > 0 && (
        <>
          <p>
            Nothing is deleted yet. Pruning deletes {report.items.length} items and frees up to{" "}
            <Bytes value={report.bytes} />
            {report.more && "; there is more, which a second prune finds"}.
          </p>
          <LeftoverTable report={report} />
          <div class="fleet-actions">
            <Button onClick={onClose}>Keep everything</Button>
            <Button kind="danger" onClick={() => void (isSure.value = true)}>
              Delete…
            </Button>
          </div>
        </>
      )}
    </Dialog>
  );
}
