// A log of any length: only the lines in view exist in the page. It follows the end until one scrolls up.

import { useComputed, useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { parseAnsi, plainText } from "./ansi";
import { Button, Copy, IconButton } from "./button";
import { rowWindow } from "./window";
import "./text.css";

export interface LogViewProps {
  text: string | ReadonlySignal<string>;
  label: string;
  /** Whether more may come: the view keeps to the end. */
  follows?: boolean;
  /** As CSS. */
  height?: string;
  /** A line (from 1) to begin at. */
  line?: number;
}

const LINE = 20;

export function LogView(props: LogViewProps): JSX.Element {
  const { text } = props;
  const given = useSignal(typeof text === "string" ? text : text.value);
  const current = typeof text === "string" ? text : text.value;
  useLayoutEffect(() => {
    given.value = current;
  }, [current]);
  const lines = useComputed(() => linesOf(given.value));
  const [top, height] = [useSignal(0), useSignal(400)];
  const follows = useSignal(props.follows ?? false);
  const scroller = useRef<HTMLDivElement>(null);
  const search = useLogSearch(lines, (line) => {
    follows.value = false;
    scroller.current?.scrollTo({ top: Math.max(0, line * LINE - height.peek() / 2) });
  });
  useEffect(() => {
    if (props.line !== undefined) scroller.current?.scrollTo({ top: (props.line - 1) * LINE });
  }, [props.line]);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    height.value = element.clientHeight;
    if (follows.value) element.scrollTop = element.scrollHeight;
  }, [lines.value.length, follows.value]);
  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    top.value = element.scrollTop;
    height.value = element.clientHeight;
    const isAtEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - LINE;
    if (!isAtEnd) follows.value = false;
    else if (props.follows) follows.value = true;
  };
  const { first, end } = rowWindow(top.value, height.value, LINE, lines.value.length);
  return (
    <div class="log">
      <LogTools
        search={search}
        follows={props.follows ? follows : undefined}
        text={given}
        count={lines.value.length}
      />
      <div
        ref={scroller}
        class="lines"
        role="log"
        aria-label={props.label}
        aria-live="off"
        tabIndex={0}
        onScroll={onScroll}
        style={props.height ? { height: props.height } : undefined}
      >
        <div style={{ height: `${lines.value.length * LINE}px` }}>
          {lines.value.slice(first, end).map((line, index) => (
            <LogLine key={first + index} number={first + index} line={line} search={search} />
          ))}
        </div>
      </div>
    </div>
  );
}

function linesOf(text: string): string[] {
  if (text === "") return [];
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
}

function LogLine({
  number,
  line,
  search,
}: {
  number: number;
  line: string;
  search: LogSearch;
}): JSX.Element {
  const isHit = search.hits.value.has(number);
  const isHere = isHit && search.at.value === number;
  const parts = useMemo(() => parseAnsi(line), [line]);
  return (
    <div class={`line ${isHit ? "hit" : ""} ${isHere ? "here" : ""}`} style={{ top: `${number * LINE}px` }}>
      <span class="number">{number + 1}</span>
      {parts.map((part, index) => (
        <span key={index} class={part.look}>
          {part.text}
        </span>
      ))}
    </div>
  );
}

interface LogSearch {
  typed: Signal<string>;
  hits: ReadonlySignal<ReadonlySet<number>>;
  at: Signal<number>;
  step: (by: 1 | -1) => void;
}

function useLogSearch(lines: ReadonlySignal<string[]>, show: (line: number) => void): LogSearch {
  const typed = useSignal("");
  const at = useSignal(-1);
  const hits = useComputed((): ReadonlySet<number> => {
    const word = typed.value.toLowerCase();
    if (word === "") return new Set();
    return new Set(
      lines.value.flatMap((line, index) => (plainText(line).toLowerCase().includes(word) ? [index] : [])),
    );
  });
  const step = (by: 1 | -1) => {
    const all = [...hits.peek()];
    if (all.length === 0) return;
    const next =
      by > 0
        ? (all.find((line) => line > at.peek()) ?? all[0])
        : (all.filter((line) => line < at.peek()).at(-1) ?? all.at(-1));
    if (next === undefined) return;
    at.value = next;
    show(next);
  };
  return { typed, hits, at, step };
}

function LogTools({
  search,
  follows,
  text,
  count,
}: {
  search: LogSearch;
  follows: Signal<boolean> | undefined;
  text: ReadonlySignal<string>;
  count: number;
}): JSX.Element {
  const { typed, hits, at, step } = search;
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1);
  };
  return (
    <div class="tools">
      <input
        class="input"
        type="search"
        aria-label="Search in the log"
        placeholder="Search"
        value={typed.value}
        onKeyDown={onKey}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          at.value = -1;
        }}
      />
      {typed.value !== "" && (
        <>
          <IconButton size="small" icon="up" label="Previous hit" onClick={() => step(-1)} />
          <IconButton size="small" icon="down" label="Next hit" onClick={() => step(1)} />
          <span class="muted small" role="status">
            {hits.value.size} lines
          </span>
        </>
      )}
      <span class="grow" />
      <span class="muted small">{count} lines</span>
      {follows && (
        <Button
          size="small"
          kind={follows.value ? "primary" : "plain"}
          onClick={() => {
            follows.value = !follows.value;
          }}
        >
          {follows.value ? "Following" : "Follow"}
        </Button>
      )}
      <Copy text={() => text.peek()} label="Copy the log" />
    </div>
  );
}
