/** A new object of content: the name, then the object as JSON or, for a template, in the editor. */

import { useSignal } from "@preact/signals";

import { api, asProblem, type ApiProblem } from "../../api/client";
import { EditorPane } from "../../ui/editor/EditorPane";
import { jsonFault, placeProblems } from "../../ui/editor/problems";
import { Button, Dialog, Problem } from "./kit";
import type { ContentNounView } from "./nouns";

/** What a new object has besides its name. */
const STARTS: Record<string, Record<string, unknown>> = {
  templates: { body: "" },
  bootenvs: { kind: "install", arches: {}, templates: [] },
  stages: { tasks: [] },
  tasks: { templates: [] },
  workflows: { stages: [] },
  profiles: { params: {} },
  params: { schema: { type: "string" } },
};

interface CreateObjectProps {
  view: ContentNounView;
  onClose: () => void;
  onCreated: (name: string) => void;
}

export function CreateObject({ view, onClose, onCreated }: CreateObjectProps) {
  const isTemplate = view.noun === "templates";
  const name = useSignal("");
  const text = useSignal(JSON.stringify(STARTS[view.noun] ?? {}, null, 2));
  const problem = useSignal<ApiProblem | null>(null);
  const fault = isTemplate ? null : jsonFault(text.value);
  const create = async () => {
    problem.value = null;
    try {
      const rest = isTemplate ? { body: "" } : (JSON.parse(text.value) as Record<string, unknown>);
      await api.post(`/${view.noun}`, { ...rest, name: name.value });
      onCreated(name.value);
    } catch (refusal) {
      problem.value = asProblem(refusal);
    }
  };
  const problems = fault ? [fault] : placeProblems(text.value, problem.value?.problems ?? [], "json");
  return (
    <Dialog title={`Create a ${view.one}`} onClose={onClose} wide={!isTemplate}>
      <label class="content-choice">
        <span>Name</span>
        <input
          value={name.value}
          spellcheck={false}
          autoFocus
          onInput={(event) => (name.value = event.currentTarget.value)}
        />
      </label>
      {isTemplate && (
        <p class="content-note">A name has a path, like site/motd.sh. The editor opens with it.</p>
      )}
      {!isTemplate && (
        <EditorPane
          class="content-editor"
          value={text.value}
          language="json"
          label={`The new ${view.one}`}
          problems={problems}
          onChange={(value) => (text.value = value)}
        />
      )}
      {problem.value && <Problem problem={problem.value} />}
      <div class="content-bar">
        <Button kind="primary" disabled={name.value === "" || fault !== null} onClick={() => void create()}>
          Create
        </Button>
        <Button onClick={onClose}>Cancel</Button>
      </div>
    </Dialog>
  );
}
