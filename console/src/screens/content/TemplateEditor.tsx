/** The editor of a template, or of one of its blocks, with completions and texts under the pointer. */

import { useMemo } from "preact/hooks";

import { api, ref } from "../../api/client";
import { useQuery } from "../../api/query";
import { Problem } from "./kit";
import { EditorPane } from "../../ui/editor/EditorPane";
import { describeProblem } from "../../ui/editor/problems";
import type { EditorHandle, EditorProblem } from "../../ui/editor/types";
import { originOf, type ContentData, type StoredContent, type StoredOverride } from "./contentData";
import { editorNames, hoverTexts, type MachineValues } from "./editorNames";
import { templateCompletions } from "../../ui/editor/completion";
import { saveAndTell } from "./TemplateActions";
import type { TemplateDraft } from "./templateDraft";
import type { EditTarget } from "./templateEdit";

export interface TemplateEditorProps {
  template: StoredContent;
  data: ContentData;
  draft: TemplateDraft;
  editing: boolean;
  target: EditTarget;
  override: StoredOverride | undefined;
  problems: EditorProblem[];
  machine: string;
  original: string | undefined;
  onCursor: (line: number) => void;
  onReady: (editor: EditorHandle | null) => void;
}

export function TemplateEditor(props: TemplateEditorProps) {
  const { template, data, draft, editing, target, machine } = props;
  const values = useMachineValues(machine);
  const names = useMemo(
    () => templateCompletions(() => editorNames(template, data, values.variables)),
    [template, values.variables],
  );
  const problems = useMemo(() => props.problems, [JSON.stringify(props.problems)]);
  const problem = draft.problem.value;
  return (
    <section class="content-edit" aria-label="Editor">
      <p class="content-note">{stateWords(props)}</p>
      <EditorPane
        class="content-editor"
        value={draft.text.value}
        language={template.verbatim ? "shell" : "jinja"}
        label={target.kind === "block" ? `Block ${target.block} of ${template.name}` : template.name}
        readOnly={!editing}
        problems={problems}
        {...(props.original === undefined ? {} : { original: props.original })}
        completions={names}
        hover={({ word }) => hoverTexts(word, data, values)}
        onChange={(text) => (draft.text.value = text)}
        onSave={() => void saveAndTell(draft, template.name, target)}
        onCursor={props.onCursor}
        onReady={props.onReady}
      />
      {problem && problem.problems.length === 0 && <Problem problem={problem} />}
      {problem && problem.problems.length > 0 && (
        <p class="content-note content-bad" role="alert">
          It is not saved: see the marked lines.
        </p>
      )}
      {draft.broken.value.length > 0 && (
        <ul class="content-note content-bad" role="alert">
          {draft.broken.value.map((one) => (
            <li key={one.message}>{describeProblem(one)}</li>
          ))}
        </ul>
      )}
    </section>
  );
}

function stateWords({ template, editing, target, override, draft }: TemplateEditorProps): string {
  const changed = draft.dirty.value ? " Not saved." : "";
  if (target.kind === "block") {
    const what = override ? `the override ${override.name}` : "a new override";
    return `Block ${target.block}: ${what}. {{ super() }} stands for what the pack has.${changed}`;
  }
  const origin = originOf(template.source);
  if (origin === "site") return `A text of the site.${changed}`;
  if (!editing) return "A pack brings this text: it is read-only. Override a block of it, below.";
  return `Your text replaces the pack's: new versions of the pack do not reach it.${changed}`;
}

/** The values of the machine: for completions and under the pointer. Secrets are sealed. */
function useMachineValues(machine: string): MachineValues {
  const key = machine === "" ? undefined : machine;
  const path = `/machines/${ref(`name:${machine}`)}`;
  const variables = useQuery(key && `variables of ${key}`, (signal) =>
    api.get<{ items: MachineValues["variables"] }>(`${path}/variables`, undefined, { signal }),
  );
  const params = useQuery(key && `params of ${key}`, (signal) =>
    api.get<{ params: MachineValues["params"] }>(`${path}/params`, { explain: true }, { signal }),
  );
  return { machine, variables: variables.data.value?.items ?? [], params: params.data.value?.params ?? {} };
}
