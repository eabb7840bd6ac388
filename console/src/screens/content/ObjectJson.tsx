/** An object as JSON, with problems at their fields and a guard against the writes of others. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { may } from "../../app/session";
import { EditorPane } from "../../ui/editor/EditorPane";
import { jsonFault, placeProblems } from "../../ui/editor/problems";
import { originOf, type StoredContent } from "./contentData";
import { ConflictDialog } from "./ConflictDialog";
import { Button, Problem, toast } from "./kit";
import type { ContentNounView } from "./nouns";
import type { EditConflict } from "./templateDraft";

/** Fields that the server writes. */
const READ_ONLY = new Set([
  "source",
  "hides",
  "problems",
  "revision",
  "commit",
  "created_at",
  "updated_at",
  "status",
  "status_revision",
  "status_updated_at",
]);

/** The object as people write it. */
export function writtenJson(object: Record<string, unknown>): string {
  const written = Object.entries(object).filter(([field]) => !READ_ONLY.has(field));
  return `${JSON.stringify(Object.fromEntries(written), null, 2)}\n`;
}

export function ObjectJson({ view, object }: { view: ContentNounView; object: StoredContent }) {
  const present = writtenJson(object);
  const base = useSignal(present);
  const text = useSignal(present);
  const revision = useRef(object.revision);
  const problem = useSignal<ApiProblem | null>(null);
  const conflict = useSignal<EditConflict | null>(null);
  const saving = useSignal(false);
  const writes = originOf(object.source) === "site" && may(`${view.noun}:write`);
  useEffect(() => {
    if (text.value !== base.value) return;
    base.value = text.value = present;
    revision.current = object.revision;
  }, [object.revision, present]);
  const path = `/${view.noun}/${ref(object.name)}`;
  const save = async (written: string, of: number) => {
    saving.value = true;
    problem.value = null;
    try {
      const saved = await api.put<StoredContent>(path, JSON.parse(written), { ifMatch: of });
      base.value = text.value = writtenJson(saved);
      revision.current = saved.revision;
      conflict.value = null;
      toast(`${object.name} is saved.${saved.problems.length > 0 ? " It has problems." : ""}`);
    } catch (fault) {
      const refused = asProblem(fault);
      if (refused.status !== 412) problem.value = refused;
      else {
        const now = await api.get<StoredContent>(path);
        conflict.value = {
          base: base.value,
          mine: written,
          theirs: writtenJson(now),
          revision: now.revision,
        };
      }
    }
    saving.value = false;
  };
  const fault = jsonFault(text.value);
  const dirty = text.value !== base.value;
  return (
    <section aria-label="JSON">
      {!writes && (
        <p class="content-note">It is read-only: it comes from a pack, or your token may not write it.</p>
      )}
      <EditorPane
        class="content-editor"
        value={text.value}
        language="json"
        label={`${object.name} as JSON`}
        readOnly={!writes}
        problems={fault ? [fault] : placeProblems(text.value, problem.value?.problems ?? [], "json")}
        onChange={(value) => (text.value = value)}
        onSave={() => void (dirty && !fault && save(text.value, revision.current))}
      />
      {problem.value && <Problem problem={problem.value} />}
      {writes && (
        <div class="content-bar">
          <Button
            kind="primary"
            disabled={!dirty || fault !== null}
            isBusy={saving.value}
            onClick={() => void save(text.value, revision.current)}
          >
            Save
          </Button>
          {dirty && <Button onClick={() => (text.value = base.value)}>Discard</Button>}
        </div>
      )}
      {conflict.value && (
        <ConflictDialog
          name={object.name}
          conflict={conflict.value}
          saving={saving.value}
          onSave={(merged) => void save(merged, conflict.value?.revision ?? 0)}
          onClose={() => (conflict.value = null)}
        />
      )}
    </section>
  );
}
