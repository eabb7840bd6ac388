// The raw object with an editor: YAML or JSON, problems at their place, and a write that changes only what
// was changed, refused if somebody else changed the object meanwhile.

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { api, asProblem, ref, type ApiProblem } from "../api/client";
import type { FilterField } from "../api/fields";
import { Button } from "./button";
import { Diff } from "./diff";
import { Dialog } from "./dialog";
import { EditorPane } from "./editor/EditorPane";
import { placeProblems } from "./editor/problems";
import type { EditorProblem } from "./editor/types";
import { completeField, hoverField } from "./object-fields";
import { editableFields, mergePatch } from "./object-patch";
import type * as ObjectText from "./object-text";
import { Loading, Problem } from "./status";
import { toast } from "./toast";

export interface ObjectEditorProps {
  /** The list that it is in: `machines`. */
  collection: string;
  /** The object's key; absent for one that is to be created. */
  objectKey?: string;
  /** As the API gave it. A newer one is offered, and does not replace what is typed. */
  object: Record<string, unknown>;
  onSaved?: (object: Record<string, unknown>) => void;
  /** Why it cannot be changed: it comes from a pack, or the token may not. */
  readOnly?: string | undefined;
  height?: string;
}

type TextModule = typeof ObjectText;

export function ObjectEditor(props: ObjectEditorProps): JSX.Element {
  const module = useSignal<TextModule | undefined>(undefined);
  const problem = useSignal<unknown>(undefined);
  useEffect(() => {
    import("./object-text").then(
      (loaded) => {
        module.value = loaded;
      },
      (error: unknown) => {
        problem.value = error;
      },
    );
  }, []);
  if (problem.value !== undefined) return <Problem problem={problem.value} />;
  return module.value ? (
    <Editor {...props} text={module.value} />
  ) : (
    <Loading label="Loading the editor" height={300} />
  );
}

function useObjectFields(collection: string): { current: readonly FilterField[] } {
  const fields = useRef<readonly FilterField[]>([]);
  useEffect(() => {
    void import("../api/fields").then(({ FIELDS }) => {
      const own = FIELDS[collection] ?? [];
      fields.current = own.filter(
        (field) => Object.keys(editableFields({ [field.name.split(".")[0] ?? ""]: 1 })).length > 0,
      );
    });
  }, [collection]);
  return fields;
}

/** What is typed, what it was, and what can be done with it. */
interface Draft {
  format: Signal<ObjectText.TextFormat>;
  typed: Signal<string>;
  problems: Signal<EditorProblem[]>;
  refusal: Signal<ApiProblem | undefined>;
  isBusy: Signal<boolean>;
  /** The text of what was read. */
  original: string;
  isChanged: boolean;
  /** Whether somebody else changed the object since. */
  isOld: boolean;
  /** Whether the text is whole; its faults are shown if not. */
  check: () => boolean;
  undo: () => void;
  readAnew: () => void;
  choose: (format: ObjectText.TextFormat) => void;
  save: () => Promise<void>;
}

function useDraft(props: ObjectEditorProps & { text: TextModule }): Draft {
  const { text, object, objectKey } = props;
  const base = useSignal(object);
  const format = useSignal<ObjectText.TextFormat>("yaml");
  const typed = useSignal(text.writeText(editableFields(object), "yaml"));
  const problems = useSignal<EditorProblem[]>([]);
  const refusal = useSignal<ApiProblem | undefined>(undefined);
  const isBusy = useSignal(false);
  const original = useMemo(
    () => text.writeText(editableFields(base.value), format.value),
    [base.value, format.value],
  );
  const read = () => {
    const result = text.readText(typed.peek(), format.peek());
    problems.value = "faults" in result ? result.faults : [];
    return result;
  };
  const reset = (to: Record<string, unknown>) => {
    base.value = to;
    typed.value = text.writeText(editableFields(to), format.peek());
    problems.value = [];
    refusal.value = undefined;
  };
  const choose = (next: ObjectText.TextFormat) => {
    const result = read();
    if ("faults" in result) return;
    format.value = next;
    typed.value = text.writeText(result.value, next);
  };
  const save = async () => {
    const result = read();
    if ("faults" in result || isBusy.peek() || props.readOnly) return;
    isBusy.value = true;
    refusal.value = undefined;
    try {
      tell(props, await write(props, base.peek(), result.value), reset);
    } catch (error) {
      const problem = asProblem(error);
      refusal.value = problem;
      problems.value = placeProblems(typed.peek(), problem.problems, format.peek());
    }
    isBusy.value = false;
  };
  return {
    format,
    typed,
    problems,
    refusal,
    isBusy,
    original,
    choose,
    save,
    isChanged: typed.value !== original,
    isOld: objectKey !== undefined && object.revision !== base.value.revision,
    check: () => !("faults" in read()),
    undo: () => reset(base.peek()),
    readAnew: () => reset(object),
  };
}

function tell(
  props: ObjectEditorProps,
  saved: Record<string, unknown> | undefined,
  reset: (to: Record<string, unknown>) => void,
): void {
  if (!saved) return toast("Nothing was changed");
  reset(saved);
  toast("Saved");
  props.onSaved?.(saved);
}

function Editor(props: ObjectEditorProps & { text: TextModule }): JSX.Element {
  const draft = useDraft(props);
  const fields = useObjectFields(props.collection);
  const { format, typed, problems, refusal } = draft;
  return (
    <div class="stack">
      <Tools draft={draft} props={props} />
      {draft.isOld && (
        <div class="row muted" role="status">
          The object was changed by somebody else.
          <Button size="small" onClick={draft.readAnew}>
            {draft.isChanged ? "Drop my changes and read it" : "Read it"}
          </Button>
        </div>
      )}
      {refusal.value && <Problem problem={refusal.value} />}
      <div class="object-text" style={props.height ? { height: props.height } : undefined}>
        <EditorPane
          value={typed.value}
          language={format.value}
          label={`The object as ${format.value.toUpperCase()}`}
          problems={problems.value}
          readOnly={!!props.readOnly}
          onSave={() => void draft.save()}
          onChange={(value) => {
            typed.value = value;
          }}
          completions={(ask) => completeField(ask, fields.current, format.peek())}
          hover={(ask) => hoverField(typed.peek(), ask.line, fields.current)}
        />
      </div>
    </div>
  );
}

function Tools({ draft, props }: { draft: Draft; props: ObjectEditorProps }): JSX.Element {
  const shows = useSignal(false);
  const { format, isChanged } = draft;
  return (
    <div class="row">
      {(["yaml", "json"] as const).map((one) => (
        <Button
          key={one}
          size="small"
          kind={format.value === one ? "primary" : "plain"}
          onClick={() => draft.choose(one)}
        >
          {one.toUpperCase()}
        </Button>
      ))}
      <span class="grow" />
      {props.readOnly && <span class="muted">{props.readOnly}</span>}
      <Button size="small" disabled={!isChanged} onClick={() => (shows.value = draft.check())}>
        Show changes
      </Button>
      <Button size="small" disabled={!isChanged} onClick={draft.undo}>
        Undo all
      </Button>
      <Button
        size="small"
        kind="primary"
        disabled={!isChanged || !!props.readOnly}
        isBusy={draft.isBusy.value}
        onClick={() => void draft.save()}
      >
        {props.objectKey === undefined ? "Create" : "Save"}
      </Button>
      {shows.value && (
        <Dialog title="What you changed" wide onClose={() => (shows.value = false)}>
          <Diff before={draft.original} after={draft.typed.value} />
        </Dialog>
      )}
    </div>
  );
}

/** Sends what differs; `undefined` where nothing does. */
async function write(
  { collection, objectKey }: ObjectEditorProps,
  before: Record<string, unknown>,
  after: unknown,
): Promise<Record<string, unknown> | undefined> {
  if (objectKey === undefined) return api.post(`/${collection}`, after);
  const patch = mergePatch(editableFields(before), after);
  if (patch === undefined) return undefined;
  const ifMatch = typeof before.revision === "number" ? { ifMatch: before.revision } : {};
  return api.patch(`/${collection}/${ref(objectKey)}`, patch, ifMatch);
}
