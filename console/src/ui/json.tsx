// A value as a tree that folds.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Copy } from "./button";
import { Icon } from "./icons";
import "./text.css";

/** Entries of one level that are drawn before one asks for more. */
const STEP = 100;

export function Json({
  value,
  open = 2,
}: {
  value: unknown;
  /** Levels that are unfolded. */ open?: number;
}): JSX.Element {
  return (
    <div class="json">
      <span class="copy">
        <Copy text={() => JSON.stringify(value, undefined, 2)} label="Copy as JSON" />
      </span>
      <Node value={value} open={open} />
    </div>
  );
}

function Node({ value, open, name }: { value: unknown; open: number; name?: string }): JSX.Element {
  const isOpen = useSignal(open > 0);
  const shown = useSignal(STEP);
  const label = name !== undefined && <span class="key">{name}: </span>;
  if (typeof value !== "object" || value === null)
    return (
      <span>
        {label}
        <Leaf value={value} />
      </span>
    );
  const isList = Array.isArray(value);
  const entries = Object.entries(value as Record<string, unknown>);
  const size = isList ? `[${entries.length}]` : `{${entries.length}}`;
  if (entries.length === 0)
    return (
      <span>
        {label}
        {isList ? "[]" : "{}"}
      </span>
    );
  return (
    <span>
      <button
        type="button"
        class="fold"
        aria-expanded={isOpen.value}
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        <Icon name={isOpen.value ? "down" : "right"} />
        {label}
        <span class="muted">{size}</span>
      </button>
      {isOpen.value && (
        <ul>
          {entries.slice(0, shown.value).map(([key, part]) => (
            <li key={key}>
              <Node name={key} value={part} open={open - 1} />
            </li>
          ))}
          {entries.length > shown.value && (
            <li>
              <Button
                size="small"
                onClick={() => {
                  shown.value += STEP;
                }}
              >
                {entries.length - shown.value} more
              </Button>
            </li>
          )}
        </ul>
      )}
    </span>
  );
}

function Leaf({ value }: { value: unknown }): JSX.Element {
  if (typeof value === "string") return <span class="text">{JSON.stringify(value)}</span>;
  return <span class="other">{String(value)}</span>;
}
