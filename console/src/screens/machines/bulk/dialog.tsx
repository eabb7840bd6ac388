// The dialog of a bulk action: form, what would happen, confirmation, progress, result.

import { useEffect, useMemo } from "preact/hooks";
import type { JSX } from "preact";
import { Button } from "../../../ui/button";
import { ConfirmErase, Dialog } from "../../../ui/dialog";
import { Toggle } from "../../../ui/form";
import { Problem } from "../../../ui/status";
import { ProgressBar } from "../../../ui/values";
import { countMachines } from "../filters";
import "./bulk.css";
import { ActionFields } from "./fields";
import { acceptableFaults } from "./report";
import { ReportView } from "./report_view";
import { BulkSession } from "./session";
import { describeTarget, type BulkTarget } from "./target";
import { canAccept, inputFault, type BulkAction } from "./verbs";

/** Most machines that the confirmation names. */
const NAMED_MAX = 100;

interface DialogProps {
  action: BulkAction;
  target: BulkTarget;
  /** How many machines it is about, as the list shows it. */
  count: number;
  onClose: () => void;
}

export function BulkDialog({ action, target, count, onClose }: DialogProps): JSX.Element {
  const session = useMemo(() => new BulkSession(action, target), []);
  useEffect(() => {
    if (action.fields.length === 0) void session.check();
    return session.close;
  }, [session]);
  const phase = session.phase.value;
  const title = `${action.title}: ${describeTarget(target, count)}`;
  const isErasing = phase === "checked" && isConfirmed(session) > 0;
  if (isErasing) {
    return <ErasingDialog session={session} title={title} onClose={onClose} />;
  }
  return (
    <Dialog title={title} onClose={onClose} wide>
      <p class="bulk-about">{action.about}</p>
      {target.kind === "chosen" && target.outside > 0 && (
        <p class="bulk-note">{`${countMachines(target.outside)} of them match the filter no longer.`}</p>
      )}
      {target.kind === "matching" && phase !== "ended" && (
        <p class="bulk-note">Machines that begin to match after the check are not touched.</p>
      )}
      {session.problem.value !== undefined && <Problem problem={session.problem.value} />}
      {phase === "form" && <FormPhase session={session} onClose={onClose} />}
      {(phase === "checking" || phase === "working") && <ProgressPhase session={session} />}
      {phase === "checked" && <CheckedPhase session={session} onClose={onClose} />}
      {phase === "ended" && <EndedPhase session={session} onClose={onClose} />}
    </Dialog>
  );
}

/** How many machines the number is asked for; none where nothing is erased or removed. */
function isConfirmed({ action, summary }: BulkSession): number {
  const found = summary.value;
  if (found === undefined) {
    return 0;
  }
  if (action.id === "delete") {
    return found.done.length;
  }
  return action.mayErase ? found.erasing.length : 0;
}

interface PhaseProps {
  session: BulkSession;
  onClose: () => void;
}

function FormPhase({ session, onClose }: PhaseProps): JSX.Element {
  const fault = inputFault(session.action, session.input.value);
  const send = (event: Event): void => {
    event.preventDefault();
    if (fault === undefined) void session.check();
  };
  return (
    <form class="fleet-form" onSubmit={send}>
      <ActionFields action={session.action} input={session.input} change={session.change} />
      {fault !== undefined && <p class="bulk-note">{fault}</p>}
      <div class="fleet-actions">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" type="submit" disabled={fault !== undefined}>
          See what would happen
        </Button>
      </div>
    </form>
  );
}

function ProgressPhase({ session }: { session: BulkSession }): JSX.Element {
  const { done, total } = session.progress.value;
  const isCheck = session.phase.value === "checking";
  const text = `${isCheck ? "Checked" : "Worked on"} ${done.toLocaleString("en")} of ${countMachines(total)}`;
  return (
    <div role="status">
      <ProgressBar value={done} max={Math.max(total, 1)} label={text} />
      <p>{total === 0 ? "Reading the machines" : text}</p>
      <div class="fleet-actions">
        <Button onClick={session.stop} disabled={session.isStopping.value}>
          {session.isStopping.value ? "Stopping after this call" : "Stop"}
        </Button>
      </div>
    </div>
  );
}

/** Faults that the check found, and that somebody may accept with a reason. */
function AcceptFaults({ session }: { session: BulkSession }): JSX.Element | null {
  const summary = session.summary.value;
  const faults = summary !== undefined && canAccept(session.action) ? acceptableFaults(summary) : [];
  if (faults.length === 0) {
    return null;
  }
  const { accept } = session.input.value;
  const toggle = (code: string): void => {
    session.change({
      accept: accept.includes(code) ? accept.filter((one) => one !== code) : [...accept, code],
    });
  };
  return (
    <section class="bulk-accept">
      <h3>Begin in spite of faults</h3>
      <p>The run's record keeps who accepted them, and the reason.</p>
      {faults.map(([code, machines]) => (
        <Toggle
          key={code}
          label={`${code} (${countMachines(machines)})`}
          checked={accept.includes(code)}
          onChange={() => toggle(code)}
        />
      ))}
      <div class="bulk-again">
        <Button onClick={session.reopen} disabled={accept.length === 0}>
          Give the reason and check again
        </Button>
      </div>
    </section>
  );
}

function CheckedPhase({ session, onClose }: PhaseProps): JSX.Element {
  const summary = session.summary.value;
  const ready = summary?.done.length ?? 0;
  return (
    <>
      {summary !== undefined && (
        <ReportView
          summary={summary}
          outcome={`would be ${session.action.done}`}
          unchanged={session.unchanged.value}
        />
      )}
      <AcceptFaults session={session} />
      <div class="fleet-actions">
        <Button onClick={onClose}>Cancel</Button>
        {session.action.fields.length > 0 && <Button onClick={session.reopen}>Back</Button>}
        <Button kind="primary" disabled={ready === 0} onClick={() => void session.carryOut()}>
          {`${session.action.title}: ${countMachines(ready)}`}
        </Button>
      </div>
    </>
  );
}

function ErasingDialog({ session, title, onClose }: PhaseProps & { title: string }): JSX.Element {
  const count = isConfirmed(session);
  const ready = session.summary.value?.done.length ?? 0;
  const isDelete = session.action.id === "delete";
  const erased = isDelete
    ? (session.summary.value?.done ?? [])
        .slice(0, NAMED_MAX)
        .map((item) => `the machine ${item.name ?? item.ref}`)
    : (session.summary.value?.erasing ?? [])
        .slice(0, NAMED_MAX)
        .map((item) => `${item.name ?? item.ref}: ${item.erases ?? ""}`);
  if (count > NAMED_MAX) erased.push(`and ${countMachines(count - NAMED_MAX)} more`);
  const what = isDelete
    ? `${countMachines(count)} will be deleted.`
    : `The disks of ${countMachines(count)} will be erased at their next boot.`;
  return (
    <ConfirmErase
      title={title}
      expected={String(count)}
      expectedIs={
        isDelete ? "the number of machines that are deleted" : "the number of machines that are erased"
      }
      erases={erased}
      action={`${session.action.title}: ${countMachines(ready)}`}
      onConfirm={() => {
        void session.carryOut();
      }}
      onClose={() => {
        if (session.phase.peek() === "checked") onClose();
      }}
    >
      <p>
        <strong>{what}</strong>
      </p>
      {session.summary.value !== undefined && (
        <ReportView
          summary={session.summary.value}
          outcome={`would be ${session.action.done}`}
          unchanged={session.unchanged.value}
          hidesErased
        />
      )}
      <AcceptFaults session={session} />
      {session.action.fields.length > 0 && (
        <div>
          <Button onClick={session.reopen}>Back to the form</Button>
        </div>
      )}
    </ConfirmErase>
  );
}

function EndedPhase({ session, onClose }: PhaseProps): JSX.Element {
  const summary = session.summary.value;
  const left = summary?.notTried.length ?? 0;
  const unsent = session.unsent.value;
  const { done } = session.action;
  return (
    <div role="status">
      {summary !== undefined && (
        <ReportView
          summary={summary}
          outcome={summary.done.length === 1 ? `is ${done}` : `are ${done}`}
          unchanged={0}
        />
      )}
      {unsent > 0 && (
        <p class="bulk-note">{`${countMachines(unsent)} were not sent: it was stopped or a call failed.`}</p>
      )}
      {left > 0 && <p class="bulk-note">{`The server had no time for ${countMachines(left)}.`}</p>}
      <div class="fleet-actions">
        {left > 0 && (
          <Button onClick={() => void session.tryAgain()}>{`Try ${countMachines(left)} again`}</Button>
        )}
        <Button kind="primary" onClick={onClose}>
          Close
        </Button>
      </div>
    </div>
  );
}
