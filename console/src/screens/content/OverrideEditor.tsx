/** An override of fields of an object that a pack brings: a merge patch, beside what is in force. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { setQuery } from "../../app/router";
import { may } from "../../app/session";
import { EditorPane } from "../../ui/editor/EditorPane";
import { describeProblem, jsonFault, placeProblems } from "../../ui/editor/problems";
import { originOf, type StoredContent, type StoredOverride } from "./contentData";
import { Button, Problem, toast } from "./kit";
import { writtenJson } from "./ObjectJson";

export interface OverrideEditorProps {
  kind: string;
  object: StoredContent;
  overrides: readonly StoredOverride[];
  chosen: StoredOverride | undefined;
}

const HINTS: Record<string, string> = {
  param: "Of a param the default and the description can be set.",
  stage: 'For example {"timeout_seconds": 10800}.',
  task: 'For example {"timeout_seconds": 600, "retries": 2}.',
};

export function OverrideEditor({ kind, object, overrides, chosen }: OverrideEditorProps) {
  const name = useSignal("");
  const text = useSignal("{}");
  const problem = useSignal<ApiProblem | null>(null);
  const start = JSON.stringify(chosen?.fields ?? {}, null, 2);
  useEffect(() => {
    text.value = start;
    name.value = chosen?.name ?? `site-${object.name}`.slice(0, 128);
  }, [chosen?.name, chosen?.revision]);
  if (originOf(object.source) === "site") {
    return (
      <p class="content-note">
        The site's own object is in force as it is. Overrides are for objects of packs.
      </p>
    );
  }
  const fault = jsonFault(text.value);
  const save = async () => {
    problem.value = null;
    try {
      const fields: unknown = JSON.parse(text.value);
      if (chosen) await replaceFields(chosen, fields);
      else await api.post("/overrides", { name: name.value, target: { kind, name: object.name }, fields });
      toast(`The override ${name.value} is in force.`);
    } catch (refusal) {
      problem.value = asProblem(refusal);
    }
  };
  return (
    <section aria-label="Overrides">
      {overrides.length > 1 && (
        <label class="content-choice">
          <span>Override</span>
          <select
            value={chosen?.name}
            onChange={(event) => setQuery({ override: event.currentTarget.value }, { replace: true })}
          >
            {overrides.map((one) => (
              <option key={one.name} value={one.name}>
                {one.name}
              </option>
            ))}
          </select>
        </label>
      )}
      {!chosen && (
        <label class="content-choice">
          <span>Name of the override</span>
          <input
            value={name.value}
            spellcheck={false}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        </label>
      )}
      <p class="content-note">
        The fields that the site sets; null takes a field away. The rest comes from the pack, also from its
        next versions. {HINTS[kind]}
      </p>
      <div class="content-split">
        <EditorPane
          class="content-editor"
          value={text.value}
          language="json"
          label="Fields of the override"
          readOnly={!may("overrides:write")}
          onChange={(value) => (text.value = value)}
          problems={fault ? [fault] : placeProblems(text.value, belowFields(problem.value), "json")}
        />
        <EditorPane
          class="content-editor"
          value={writtenJson(object)}
          language="json"
          label="What is in force"
          readOnly
        />
      </div>
      {chosen?.problems.map((one) => (
        <p key={one.message} class="content-bad">
          {describeProblem(one)}
        </p>
      ))}
      {problem.value && <Problem problem={problem.value} />}
      {may("overrides:write") && (
        <Button
          kind="primary"
          disabled={fault !== null || text.value === start}
          onClick={() => void save()}
        >
          {chosen ? "Save the override" : "Create the override"}
        </Button>
      )}
    </section>
  );
}

/** The fields as they are in the text: a merge patch of the override alone would keep what was taken out. */
async function replaceFields(chosen: StoredOverride, fields: unknown): Promise<void> {
  const { name, target, blocks, description } = chosen;
  const body = {
    name,
    target,
    fields,
    ...(blocks ? { blocks } : {}),
    ...(description ? { description } : {}),
  };
  await api.put(`/overrides/${ref(name)}`, body, { ifMatch: chosen.revision });
}

function belowFields(problem: ApiProblem | null) {
  return (problem?.problems ?? []).map((one) => ({
    ...one,
    pointer: one.pointer.replace(/^\/fields/, ""),
  }));
}
