/** An editor in a page: it loads the editor's chunk when it is shown first. */

import { useEffect, useRef, useState } from "preact/hooks";

import "./editor.css";
import { ToldTexts } from "./changes";
import type { EditorHandle, EditorOptions, MergeOptions } from "./types";

type PaneOptions = Omit<EditorOptions, "parent">;

export interface EditorPaneProps extends PaneOptions {
  class?: string;
  /** Given the editor once it is there, and null when it goes. */
  onReady?: (editor: EditorHandle | null) => void;
}

type LoadState = "loading" | "ready" | "failed";

/** The value is the host's: a change is told, and shown when it comes back. */
export function EditorPane(props: EditorPaneProps) {
  const place = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorHandle | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const told = useRef(new ToldTexts());
  const [state, setState] = useState<LoadState>("loading");
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let gone = false;
    void loadEditor(() => (gone ? null : place.current), latest, told.current).then((made) => {
      if (gone) return;
      editor.current = made;
      setState(made ? "ready" : "failed");
      latest.current.onReady?.(made);
    });
    return () => {
      gone = true;
      editor.current?.destroy();
      editor.current = null;
      latest.current.onReady?.(null);
    };
  }, [tries]);
  useShownOptions({ editor, told: told.current }, props, state);
  return (
    <div class={`editor-pane ${props.class ?? ""}`} data-state={state}>
      {state === "failed" && (
        <p class="editor-failed" role="alert">
          The editor could not be loaded. The server may have another version now.{" "}
          <button type="button" onClick={() => setTries(tries + 1)}>
            Load it again
          </button>
        </p>
      )}
      {state === "loading" && (
        <pre class="editor-waiting" aria-busy="true">
          {props.value.slice(0, 20_000)}
        </pre>
      )}
      <div class="editor-place" ref={place} />
    </div>
  );
}

async function loadEditor(
  place: () => HTMLDivElement | null,
  latest: { current: EditorPaneProps },
  told: ToldTexts,
): Promise<EditorHandle | null> {
  try {
    const { createEditor } = await import("./codemirror");
    const parent = place();
    return parent ? createEditor(optionsOf(parent, latest, told)) : null;
  } catch {
    return null;
  }
}

function optionsOf(
  parent: HTMLElement,
  latest: { current: EditorPaneProps },
  told: ToldTexts,
): EditorOptions {
  const { value, language, label, readOnly, problems, original, onSave } = latest.current;
  return {
    parent,
    value,
    language,
    label,
    ...(readOnly === undefined ? {} : { readOnly }),
    ...(problems === undefined ? {} : { problems }),
    ...(original === undefined ? {} : { original }),
    ...(onSave === undefined ? {} : { onSave: () => latest.current.onSave?.() }),
    completions: (ask) => latest.current.completions?.(ask) ?? null,
    hover: (ask) => latest.current.hover?.(ask) ?? null,
    onChange: (text) => {
      told.tell(text);
      latest.current.onChange?.(text);
    },
    onCursor: (line) => latest.current.onCursor?.(line),
    onPick: (line) => latest.current.onPick?.(line),
  };
}

function useShownOptions(
  { editor, told }: { editor: { current: EditorHandle | null }; told: ToldTexts },
  props: PaneOptions,
  state: LoadState,
): void {
  useEffect(() => {
    if (!editor.current || told.isEcho(props.value) || editor.current.value() === props.value) return;
    told.forget();
    editor.current.setValue(props.value);
  }, [props.value, state]);
  useEffect(() => editor.current?.setProblems(props.problems ?? []), [props.problems, state]);
  useEffect(() => editor.current?.setLanguage(props.language), [props.language, state]);
  useEffect(() => editor.current?.setReadOnly(props.readOnly ?? false), [props.readOnly, state]);
  useEffect(() => editor.current?.setOriginal(props.original), [props.original, state]);
}

/** Two texts side by side. */
export function MergePane(props: Omit<MergeOptions, "parent">) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let gone = false;
    let destroy: (() => void) | undefined;
    void import("./codemirror").then(({ createMerge }) => {
      if (!gone && place.current) destroy = createMerge({ ...props, parent: place.current }).destroy;
    });
    return () => {
      gone = true;
      destroy?.();
    };
  }, [props.left.text, props.language]);
  return <div class="merge-pane" ref={place} />;
}
