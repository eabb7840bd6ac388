// The raw object with an editor: YAML or JSON, problems at their place, and a write that changes only what
// was changed, refused if somebody else changed the object meanwhile.

import { useSignal } from "@preact/signals";
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

function Editor(props: ObjectEditorProps & { text: TextModule }): JSX.Element {
  const { text, object, collection, objectKey } = props;
  const base = useSignal(object);
  const format = useSignal<ObjectText.TextFormat>("yaml");
  const typed = useSignal(text.writeText(editableFields(object), "yaml"));
  const problems = useSignal<EditorProblem[]>([]);
  const refusal = useSignal<ApiProblem | undefined>(undefined);
  const isBusy = useSignal(false);
  const shows = useSignal(false);
  const fields = useObjectFields(collection);
  const original = useMemo(
    () => text.writeText(editableFields(base.value), format.value),
    [base.value, format.value],
  );
  const isChanged = typed.value !== original;
  const isOld = objectKey !== undefined && object.revision !== base.value.revision;

  const read = (): ReturnType<TextModule["readText"]> => {
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
      const saved = await write(props, base.peek(), result.value);
      if (saved) {
        reset(saved);
        toast("Saved");
        props.onSaved?.(saved);
      } else toast("Nothing was changed");
    } catch (error) {
      const problem = asProblem(error);
      refusal.value = problem;
      problems.value = placeProblems(typed.peek(), problem.problems, format.peek());
    }
    isBusy.value = false;
  };
  const shown = (): void => {
    if (!("faults" in read())) shows.value = true;
  };
  return (
    <div class="stack">
      <div class="row">
        <Button
          size="small"
          kind={format.value === "yaml" ? "primary" : "plain"}
          onClick={() => choose("yaml")}
        >
          YAML
        </Button>
        <Button
          size="small"
          kind={format.value === "json" ? "primary" : "plain"}
          onClick={() => choose("json")}
        >
          JSON
        </Button>
        <span class="grow" />
        {props.readOnly && <span class="muted">{props.readOnly}</span>}
        <Button size="small" disabled={!isChanged} onClick={shown}>
          Show changes
        </Button>
        <Button size="small" disabled={!isChanged} onClick={() => reset(base.peek())}>
          Undo all
        </Button>
        <Button
          size="small"
          kind="primary"
          disabled={!isChanged || !!props.readOnly}
          isBusy={isBusy.value}
          onClick={() => void save()}
        >
          {objectKey === undefined ? "Create" : "Save"}
        </Button>
      </div>
      {isOld && (
        <div class="row muted" role="status">
          The object was changed by somebody else.
          <Button size="small" onClick={() => reset(object)}>
            {isChanged ? "Drop my changes and read it" : "Read it"}
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
          onSave={() => void save()}
          onChange={(value) => {
            typed.value = value;
          }}
          completions={(ask) => completeField(ask, fields.current, format.peek())}
          hover={(ask) => hoverField(typed.peek(), ask.line, fields.current)}
        />
      </div>
      {shows.value && (
        <Dialog
          title="What you changed"
          wide
          onClose={() => {
            shows.value = false;
          }}
        >
          <Diff before={original} after={typed.value} />
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
