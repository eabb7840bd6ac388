// How things stand: badges of states, problems, nothing there, not there yet. A state is a word, a drawing
// and a colour, never the colour alone.

import type { ComponentChildren, JSX } from "preact";
import { asProblem, type Fault } from "../api/problem";
import { Button, Copy } from "./button";
import { Icon } from "./icons";
import "./status.css";

export type Tone = "ok" | "warn" | "bad" | "info" | "busy" | "idle";

const TONES: Record<string, Tone> = {
  complete: "ok",
  completed: "ok",
  done: "ok",
  ready: "ok",
  bound: "ok",
  running_ok: "ok",
  healthy: "ok",
  live: "ok",
  finished: "ok",
  active: "ok",
  passed: "ok",
  good: "ok",
  ok: "ok",
  running: "busy",
  booting: "busy",
  started: "busy",
  fetching: "busy",
  verifying: "busy",
  unpacking: "busy",
  offered: "busy",
  connecting: "busy",
  waiting: "info",
  created: "info",
  queued: "info",
  pending: "info",
  armed: "info",
  paused: "warn",
  held: "warn",
  overdue: "warn",
  declined: "warn",
  incomplete: "warn",
  superseded: "warn",
  cancelled: "warn",
  stale: "warn",
  lost: "bad",
  failed: "bad",
  denied: "bad",
  timed_out: "bad",
  error: "bad",
  absent: "bad",
  broken: "bad",
};
const ICONS: Record<Tone, string> = {
  ok: "ok",
  warn: "hold",
  bad: "bad",
  info: "wait",
  busy: "busy",
  idle: "idle",
};

/** The tone of a word of the API, such as `failed`. */
export const toneOf = (state: string): Tone => TONES[state] ?? "idle";

interface BadgeProps {
  state: string;
  /** The words that are shown; the state itself without. */
  label?: string;
  tone?: Tone;
  title?: string;
}

export function StateBadge({ state, label, tone, title }: BadgeProps): JSX.Element {
  const used = tone ?? toneOf(state);
  return (
    <span class={`badge ${used}`} title={title}>
      <Icon name={ICONS[used]} />
      {label ?? state.replaceAll("_", " ")}
    </span>
  );
}

/** What can be done about a refusal that is not in its text. */
function advice(status: number): string | undefined {
  if (status === 403)
    return "Your token lacks the right. Sign in with another token, or ask an administrator for the scope.";
  if (status === 404) return "It may have been deleted, or your token may not see it.";
  if (status === 412)
    return "Somebody else changed it in the meantime. Read it again, and repeat your change.";
  if (status === 503 || status === 429) return "The server is busy. Try again in a moment.";
  if (status >= 500) return "The server's log has the cause under the request's id.";
  return undefined;
}

const placeOf = (fault: Fault): string =>
  fault.template ? `${fault.template}:${fault.line ?? 1}` : fault.pointer || "/";

/** A refusal: what, where, what to do, and the request's id. */
export function Problem({ problem, onRetry }: { problem: unknown; onRetry?: () => void }): JSX.Element {
  const { title, status, detail, problems, requestId } = asProblem(problem);
  const hint = advice(status);
  return (
    <div class="problem" role="alert">
      <p class="title">
        <Icon name="bad" />
        {title}
        {status > 0 && ` (${status})`}
      </p>
      <p>{detail}</p>
      {problems.length > 0 && (
        <ul>
          {problems.map((fault) => (
            <li>
              <code>{placeOf(fault)}</code> {fault.message}
            </li>
          ))}
        </ul>
      )}
      {hint && <p class="muted">{hint}</p>}
      <div class="row">
        {onRetry && (
          <Button size="small" icon="reload" onClick={onRetry}>
            Try again
          </Button>
        )}
        {requestId && (
          <span class="muted small">
            Request <code>{requestId}</code> <Copy text={requestId} label="Copy the request's id" />
          </span>
        )}
      </div>
    </div>
  );
}

/** Nothing is there, and what to do next. */
export function Empty({
  title,
  children,
  actions,
}: {
  title: string;
  children?: ComponentChildren;
  actions?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children && <div>{children}</div>}
      {actions && <div class="actions">{actions}</div>}
    </div>
  );
}

/** Keeps the room while something loads; the words come only when it takes longer. */
export function Loading({ label = "Loading", height }: { label?: string; height?: number }): JSX.Element {
  return (
    <div class="loading" role="status" style={height ? { minHeight: height } : undefined}>
      <span>
        <Icon name="busy" /> {label}…
      </span>
    </div>
  );
}
