// The data of the server: a backup of it, the check of what is stored, and old history.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, call } from "../../api/client";
import { Link } from "../../app/router";
import { Button } from "../../ui/button";
import { ConfirmErase } from "../../ui/dialog";
import { bytesText } from "../../ui/format";
import { Card } from "../../ui/page";
import { saveFile } from "../../ui/save-file";
import { Problem, StateBadge } from "../../ui/status";
import { toast } from "../../ui/toast";
import { Time } from "../../ui/values";

export function BackupCard(): JSX.Element {
  const withFiles = useSignal(false);
  const isBusy = useSignal(false);
  const problem = useSignal<unknown>(undefined);
  const size = useSignal<number | undefined>(undefined);
  const download = async () => {
    isBusy.value = true;
    problem.value = undefined;
    try {
      const response = await call({
        method: "POST",
        path: "/server/backup",
        query: { artifacts: withFiles.value },
      });
      const blob = await response.blob();
      size.value = blob.size;
      saveFile(`metalwright-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.tar.gz`, blob);
      toast(`The backup has ${bytesText(blob.size)}`);
    } catch (error) {
      problem.value = error;
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Card title="Backup">
      <p>
        Everything that a restore needs, <strong>with all secrets and the key that opens them</strong>. Keep
        it as you keep the administrator's token.
      </p>
      <label class="toggle">
        <input
          type="checkbox"
          checked={withFiles.value}
          onChange={(event) => {
            withFiles.value = event.currentTarget.checked;
          }}
        />
        <span>
          With the files of artifacts: may be many gigabytes, for which{" "}
          <code>metalwright backup --artifacts</code> is better
        </span>
      </label>
      <p>
        <Button icon="download" isBusy={isBusy.value} onClick={() => void download()}>
          Download a backup
        </Button>
        {size.value !== undefined && <span class="muted small"> {bytesText(size.value)}</span>}
      </p>
      {problem.value !== undefined && <Problem problem={problem.value} />}
    </Card>
  );
}

interface CheckReport {
  findings: Array<{ part: string; severity: string; subject: string; message: string }>;
  more: boolean;
  objects: number;
  secrets: number;
  artifacts: number;
}

export function CheckCard(): JSX.Element {
  const report = useSignal<CheckReport | undefined>(undefined);
  const isBusy = useSignal(false);
  const problem = useSignal<unknown>(undefined);
  const check = async () => {
    isBusy.value = true;
    problem.value = undefined;
    try {
      report.value = await api.get<CheckReport>("/server/check");
    } catch (error) {
      problem.value = error;
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Card title="Check of the data">
      <p>
        Looks for what is broken in everything that is stored: the file of the database, rows, names of
        objects that are not there, secrets. Nothing is changed.
      </p>
      <p>
        <Button icon="check" isBusy={isBusy.value} onClick={() => void check()}>
          Check the data
        </Button>
      </p>
      {problem.value !== undefined && <Problem problem={problem.value} />}
      {report.value && <CheckShown report={report.value} />}
    </Card>
  );
}

function CheckShown({ report }: { report: CheckReport }): JSX.Element {
  const { findings, more, objects, secrets } = report;
  return (
    <>
      {findings.length === 0 && <StateBadge state="nothing is broken" tone="ok" />}
      <ul class="finding-list">
        {findings.map((finding) => (
          <li key={finding.subject + finding.message}>
            <StateBadge state={finding.severity} tone={finding.severity === "error" ? "bad" : "warn"} />{" "}
            <code>{finding.subject}</code> {finding.message}
          </li>
        ))}
      </ul>
      {more && <p class="muted">There are more findings than are listed.</p>}
      <p class="muted small">
        {objects} objects and {secrets} sealed values were looked at.
      </p>
    </>
  );
}

interface PruneReport {
  items?: Array<{ kind: string; count: number; bytes?: number; oldest?: string | null; settings?: string }>;
  complete?: boolean;
}

export function PruneCard(): JSX.Element {
  const report = useSignal<PruneReport | undefined>(undefined);
  const isAsking = useSignal(false);
  const problem = useSignal<unknown>(undefined);
  const prune = (dryRun: boolean) =>
    api.post<PruneReport>("/server/prune", undefined, { query: { dry_run: dryRun } });
  const look = async () => {
    problem.value = undefined;
    try {
      report.value = await prune(true);
    } catch (error) {
      problem.value = error;
    }
  };
  const items = report.value?.items?.filter((item) => item.count > 0) ?? [];
  const total = items.reduce((sum, item) => sum + item.count, 0);
  return (
    <Card title="History">
      <p>
        The server deletes runs, jobs, logs, documents and events by itself when they are older than the{" "}
        <Link to="/settings">preferences</Link> allow.
      </p>
      <p>
        <Button onClick={() => void look()}>What is due now</Button>
      </p>
      {problem.value !== undefined && <Problem problem={problem.value} />}
      {report.value && total === 0 && <p>Nothing is due.</p>}
      {items.length > 0 && (
        <>
          <ul>
            {items.map((item) => (
              <li key={item.kind}>
                {item.count} {item.kind}
                {item.oldest && (
                  <>
                    , the oldest <Time at={item.oldest} />
                  </>
                )}
              </li>
            ))}
          </ul>
          <Button
            kind="danger"
            icon="trash"
            onClick={() => {
              isAsking.value = true;
            }}
          >
            Delete it now
          </Button>
        </>
      )}
      {isAsking.value && (
        <ConfirmErase
          title="Delete old history"
          erases={items.map((item) => `${item.count} ${item.kind}`)}
          expected={String(total)}
          expectedIs="the number of rows"
          action="Delete the history"
          onConfirm={async () => {
            await prune(false);
            toast("Old history is deleted");
            await look();
          }}
          onClose={() => {
            isAsking.value = false;
          }}
        />
      )}
    </Card>
  );
}
