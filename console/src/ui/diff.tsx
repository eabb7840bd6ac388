// The difference of two texts, or a unified diff of the API, with equal parts folded.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { Button } from "./button";
import { diffLines, foldSame, parseUnified, type DiffGap, type DiffLine } from "./diff-lines";
import { Empty } from "./status";
import "./text.css";

export type DiffProps = {
  /** Equal lines that are shown around a change. */
  context?: number;
  label?: string;
} & ({ before: string; after: string } | { unified: string });

type Shown = DiffLine | DiffGap | { kind: "hunk"; text: string };
const SIGNS: Record<string, string> = { added: "+", removed: "-", same: " " };

export function Diff(props: DiffProps): JSX.Element {
  const key = "unified" in props ? props.unified : `${props.before}\u0000${props.after}`;
  const all = useMemo(
    () => ("unified" in props ? parseUnified(props.unified) : diffLines(props.before, props.after)),
    [key],
  );
  const isWhole = useSignal(false);
  const folded: Shown[] = useMemo(() => foldSame(all, props.context ?? 3), [all, props.context]);
  const isSame = all.every((line) => line.kind === "same");
  if (isSame) return <Empty title="No difference" />;
  const hasGaps = folded.some((line) => line.kind === "gap");
  return (
    <div class="stack">
      <div class="diff" role="region" aria-label={props.label ?? "Difference"} tabIndex={0}>
        <table>
          <tbody>
            {(isWhole.value ? all : folded).map((line, index) => (
              <Row key={index} line={line} />
            ))}
          </tbody>
        </table>
      </div>
      {hasGaps && (
        <div>
          <Button
            size="small"
            onClick={() => {
              isWhole.value = !isWhole.value;
            }}
          >
            {isWhole.value ? "Only the changes" : "All lines"}
          </Button>
        </div>
      )}
    </div>
  );
}

function Row({ line }: { line: Shown }): JSX.Element {
  if (line.kind === "gap")
    return (
      <tr class="gap">
        <td colSpan={4}>⋯ {line.count} equal lines</td>
      </tr>
    );
  if (line.kind === "hunk")
    return (
      <tr class="hunk">
        <td colSpan={4}>{line.text}</td>
      </tr>
    );
  return (
    <tr class={line.kind}>
      <td class="number">{line.before}</td>
      <td class="number">{line.after}</td>
      <td class="number">
        {SIGNS[line.kind]}
        {line.kind !== "same" && <span class="visually-hidden">{line.kind}</span>}
      </td>
      <td>{line.text}</td>
    </tr>
  );
}
