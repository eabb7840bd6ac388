/** What can be done with a template: override a block, replace it, save, give it back to the pack. */

import { useSignal } from "@preact/signals";

import { api, ref } from "../../api/client";
import { go, setQuery } from "../../app/router";
import { may } from "../../app/session";
import { Button, ConfirmErase, toast } from "./kit";
import { originOf, type StoredContent } from "./contentData";
import { hasConflictMarks } from "./merge3";
import type { TemplateDraft } from "./templateDraft";
import type { EditTarget } from "./templateEdit";

export interface TemplateActionsProps {
  template: StoredContent;
  draft: TemplateDraft;
  editing: boolean;
  target: EditTarget;
}

export function TemplateActions({ template, draft, editing, target }: TemplateActionsProps) {
  const erasing = useSignal(false);
  const own = originOf(template.source) === "site";
  const writes = may(target.kind === "block" ? "overrides:write" : "templates:write");
  return (
    <>
      {editing && writes && (
        <Button
          kind="primary"
          disabled={!draft.dirty.value || draft.saving.value || hasConflictMarks(draft.text.value)}
          onClick={() => void saveAndTell(draft, template.name, target)}
        >
          {draft.saving.value ? "Saving …" : target.kind === "block" ? "Save the override" : "Save"}
        </Button>
      )}
      {editing && draft.dirty.value && <Button onClick={draft.reset}>Discard</Button>}
      {target.kind === "block" && (
        <Button onClick={() => setQuery({ block: undefined })}>Whole template</Button>
      )}
      {!own && !editing && may("templates:write") && (
        <Button onClick={() => setQuery({ replace: "1" })}>Replace the whole template</Button>
      )}
      {own && writes && (
        <Button kind="danger" onClick={() => (erasing.value = true)}>
          Delete
        </Button>
      )}
      {erasing.value && (
        <ConfirmErase
          title={`Delete template ${template.name}`}
          expected={template.name}
          expectedIs="the template's name"
          action="Delete"
          erases={[eraseWords(template)]}
          onConfirm={() => erase(template)}
          onClose={() => (erasing.value = false)}
        />
      )}
    </>
  );
}

/** Saves, and says what came of it. */
export async function saveAndTell(draft: TemplateDraft, name: string, target: EditTarget): Promise<void> {
  if (!draft.dirty.value || hasConflictMarks(draft.text.value) || !(await draft.save())) return;
  const what =
    target.kind === "block" ? `The override of ${target.block} is in force.` : `${name} is saved.`;
  const broken = draft.broken.value.length;
  toast(broken === 0 ? what : `${what} ${broken} problems: see below.`);
}

function eraseWords(template: StoredContent): string {
  const packs = (template.hides ?? []).join(", ");
  const back = packs
    ? `The text of ${packs} is in force again, with its overrides.`
    : "Nothing takes its place.";
  return `The text of the site. ${back}`;
}

async function erase(template: StoredContent): Promise<void> {
  await api.del(`/templates/${ref(template.name)}`);
  toast(`${template.name} is deleted.`);
  if (!template.hides?.length) go("/content/templates");
  else setQuery({ replace: undefined });
}
