/** One template: its text in an editor, what a machine would get of it, and what it belongs to. */

import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";

import { location, setQuery, type Params } from "../../app/router";
import { useCollection, useObject } from "../../live/collection";
import { Loading, Problem } from "./kit";
import { templateBlocks } from "../../ui/editor/blocks";
import type { EditorHandle } from "../../ui/editor/types";
import {
  originOf,
  useContent,
  type ContentData,
  type StoredContent,
  type StoredOverride,
} from "./contentData";
import { ConflictDialog } from "./ConflictDialog";
import { ContentHeader } from "./ContentHeader";
import { findMachine, firstMachine, type ChosenMachine } from "./MachineChoice";
import { PreviewPanel } from "./PreviewPanel";
import { usePackText } from "./packText";
import { usePreview, type RenderQuestion } from "./previewSource";
import type { ContentObjects } from "./references";
import { previewDocuments, workflowsWith, type ImpactQuestion } from "./saveImpact";
import { SourceBadge } from "./SourceBadge";
import { TemplateActions } from "./TemplateActions";
import { packOfTemplate, useTemplateDraft, type TemplateDraft } from "./templateDraft";
import {
  draftLine,
  draftProblems,
  wholeBody,
  wholeLine,
  type EditedTemplate,
  type EditTarget,
} from "./templateEdit";
import { TemplateEditor } from "./TemplateEditor";
import { TemplateTabs } from "./TemplateTabs";

export function TemplatePage({ params }: { params: Params }) {
  const name = params["name"] ?? "";
  const template = useObject<StoredContent>("templates", name);
  const data = useContent();
  const overrides = useOverridesOf(name);
  const found = template.value.value;
  if (template.problem.value && !found) {
    return (
      <>
        <ContentHeader part="templates" title={name} />
        <Problem problem={template.problem.value} />
      </>
    );
  }
  if (!found) return <Loading />;
  return <TemplateWorkshop key={name} template={found} data={data} overrides={overrides} />;
}

function useOverridesOf(name: string): readonly StoredOverride[] {
  const filter = useMemo(
    () => new URLSearchParams({ "target.kind": "template", "target.name": name }),
    [name],
  );
  return useCollection<StoredOverride>("overrides", { filter }).rows.value;
}

interface WorkshopProps {
  template: StoredContent;
  data: ContentData;
  overrides: readonly StoredOverride[];
}

/** What the address says is edited. */
function useTarget(template: StoredContent): EditTarget {
  const block = location.value.query.get("block");
  const known = block !== null && templateBlocks(template.body ?? "").some((one) => one.name === block);
  return known ? { kind: "block", block } : { kind: "body" };
}

/** What the page of a template works with: what is edited, the draft, the machine and the preview. */
function useWorkshop({ template, data, overrides }: WorkshopProps) {
  const target = useTarget(template);
  const block = target.kind === "block" ? target.block : null;
  const override = overrides.find((one) => block !== null && block in (one.blocks ?? {}));
  const packText = usePackText(block === null ? null : packOfTemplate(template), template.name);
  const draft = useTemplateDraft({ template, target, override });
  const edited: EditedTemplate = {
    name: template.name,
    body: template.body ?? "",
    target,
    draft: draft.text.value,
    packBlock: packText.block(block),
  };
  const machine = useChosenMachine(template.name, data).value;
  const documents = previewDocuments(template.name, machine?.workflow, dataOf(data));
  const wanted = location.value.query.get("document");
  const document = documents.find((one) => one.title === wanted) ?? documents[0];
  const unsaved = draft.dirty.value || block !== null ? edited : null;
  const preview = usePreview(
    machine && document ? questionOf(machine.name, document, unsaved, template) : null,
  );
  return { target, override, draft, edited, machine, documents, document, preview };
}

function TemplateWorkshop(props: WorkshopProps) {
  const { template, data, overrides } = props;
  const shop = useWorkshop(props);
  const { target, draft, edited, machine, document, preview } = shop;
  const cursor = useSignal(1);
  const editor = useRef<EditorHandle | null>(null);
  const replaces = location.value.query.has("replace");
  const editing = originOf(template.source) === "site" || target.kind === "block" || replaces;
  const faults = preview.problem.value ?? draft.problem.value;
  const toLine = (line: number) => {
    const own = draftLine(edited, line);
    if (own !== null) editor.current?.goTo(own);
  };
  return (
    <div class="content-workshop">
      <ContentHeader
        part="templates"
        title={template.name}
        subtitle={<TemplateWords template={template} />}
        actions={<TemplateActions template={template} draft={draft} editing={editing} target={target} />}
      />
      <div class="content-split">
        <TemplateEditor
          template={template}
          data={data}
          draft={draft}
          editing={editing}
          target={target}
          override={shop.override}
          problems={faults ? draftProblems(edited, faults.problems) : []}
          machine={machine?.name ?? ""}
          original={draft.dirty.value ? draft.base.value : undefined}
          onCursor={(line) => (cursor.value = wholeLine(edited, line))}
          onReady={(ready) => (editor.current = ready)}
        />
        {document && (
          <PreviewPanel
            template={template.name}
            machine={machine?.name ?? ""}
            document={document}
            documents={shop.documents}
            preview={preview}
            cursor={cursor}
            onMachine={(name) => setQuery({ machine: name }, { replace: true })}
            onDocument={(title) => setQuery({ document: title }, { replace: true })}
            onLine={toLine}
          />
        )}
      </div>
      <TemplateTabs
        template={template}
        data={data}
        overrides={overrides}
        draft={draft}
        impact={impactOf(edited, template, data)}
        onLine={toLine}
      />
      <Conflict name={template.name} draft={draft} />
    </div>
  );
}

function TemplateWords({ template }: { template: StoredContent }) {
  return (
    <>
      <SourceBadge source={template.source} hides={template.hides} /> {template.description}
    </>
  );
}

function impactOf(edited: EditedTemplate, template: StoredContent, data: ContentData): ImpactQuestion {
  const verbatim = template.verbatim === true;
  return { template: { name: template.name, body: wholeBody(edited), verbatim }, ...dataOf(data) };
}

function Conflict({ name, draft }: { name: string; draft: TemplateDraft }) {
  const conflict = draft.conflict.value;
  if (!conflict) return null;
  return (
    <ConflictDialog
      name={name}
      conflict={conflict}
      saving={draft.saving.value}
      onSave={(text) => void draft.saveMerged(text, conflict.revision)}
      onClose={() => (draft.conflict.value = null)}
    />
  );
}

function dataOf(data: ContentData) {
  return { objects: data.objects.value as ContentObjects, index: data.index.value };
}

function questionOf(
  machine: string,
  document: RenderQuestion["document"],
  edited: EditedTemplate | null,
  template: StoredContent,
): RenderQuestion {
  const verbatim = template.verbatim === true;
  const unsaved = edited ? { name: edited.name, body: wholeBody(edited), verbatim } : undefined;
  return { machine, document, unsaved, lines: true };
}

/** The machine of the address, or one that gets the template. */
function useChosenMachine(template: string, data: ContentData): Signal<ChosenMachine | null> {
  const chosen = useSignal<ChosenMachine | null>(null);
  const named = location.value.query.get("machine");
  const ready = !data.loading.value;
  useEffect(() => {
    if (named === null && !ready) return undefined;
    const stop = new AbortController();
    const find =
      named === null
        ? firstMachine(workflowsWith(template, data.index.value), stop.signal)
        : findMachine(named, stop.signal);
    find.then(
      (found) => (chosen.value = found),
      () => undefined,
    );
    return () => stop.abort();
  }, [named, template, ready]);
  return chosen;
}
