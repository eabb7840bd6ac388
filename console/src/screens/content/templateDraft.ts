/** The text that is edited: what it began with, what is typed, and how it is saved. */

import { batch, computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { blockText } from "../../ui/editor/blocks";
import type { NamedProblem } from "../../ui/editor/problems";
import { originOf, packOf, type StoredContent, type StoredOverride } from "./contentData";
import { overrideName, type EditTarget } from "./templateEdit";

/** What a save is refused with because somebody else saved meanwhile. */
export interface EditConflict {
  base: string;
  mine: string;
  theirs: string;
  revision: number;
}

export interface TemplateDraft {
  text: Signal<string>;
  /** What was there when the edit began. */
  base: ReadonlySignal<string>;
  dirty: ReadonlySignal<boolean>;
  saving: ReadonlySignal<boolean>;
  problem: ReadonlySignal<ApiProblem | null>;
  conflict: Signal<EditConflict | null>;
  /** What the server said of the saved text: documents of machines that cannot be rendered any more. */
  broken: ReadonlySignal<NamedProblem[]>;
  save: () => Promise<boolean>;
  /** Saves a merged text in the place of what somebody else saved. */
  saveMerged: (text: string, revision: number) => Promise<boolean>;
  reset: () => void;
}

interface DraftSource {
  template: StoredContent;
  target: EditTarget;
  override: StoredOverride | undefined;
}

/** The text in force of what is edited. */
export function textInForce({ template, target, override }: DraftSource): string {
  const body = template.body ?? "";
  if (target.kind === "body") return body;
  return override?.blocks?.[target.block] ?? blockText(body, target.block) ?? "";
}

function revisionOf({ template, target, override }: DraftSource): number | undefined {
  if (target.kind === "block") return override?.revision;
  return originOf(template.source) === "site" ? template.revision : undefined;
}

/** Sends the text; answers what the server has then. */
async function send(source: DraftSource, text: string, revision: number | undefined): Promise<unknown> {
  const { template, target, override } = source;
  const guard = revision === undefined ? {} : { ifMatch: revision };
  if (target.kind === "body") {
    if (originOf(template.source) === "site") {
      return api.patch(`/templates/${ref(template.name)}`, { body: text }, guard);
    }
    const { name, description, verbatim } = template as StoredContent & { verbatim?: boolean };
    return api.post("/templates", { name, description, verbatim, body: text });
  }
  const blocks = { [target.block]: text };
  if (override) return api.patch(`/overrides/${ref(override.name)}`, { blocks }, guard);
  return api.post("/overrides", {
    name: overrideName(template.name, target.block),
    target: { kind: "template", name: template.name },
    blocks,
  });
}

/** What is there now of what is edited, after somebody else saved. */
async function readAgain({
  template,
  target,
  override,
}: DraftSource): Promise<{ text: string; revision: number }> {
  if (target.kind === "block" && override) {
    const now = await api.get<StoredOverride>(`/overrides/${ref(override.name)}`);
    return { text: now.blocks?.[target.block] ?? "", revision: now.revision };
  }
  const now = await api.get<StoredContent>(`/templates/${ref(template.name)}`);
  const text = target.kind === "block" ? (blockText(now.body ?? "", target.block) ?? "") : (now.body ?? "");
  return { text, revision: now.revision };
}

/** The edit of a template. It begins anew with another template or block, and when what is saved changes
 * while nothing is typed. */
export function useTemplateDraft(source: DraftSource | null): TemplateDraft {
  const draft = useMemo(() => new Draft(), []);
  const key = source ? `${source.template.name} ${JSON.stringify(source.target)}` : "";
  useEffect(() => {
    if (!source) return undefined;
    draft.begin(source);
    return () => draft.leave();
  }, [key]);
  useEffect(() => {
    const ask = (event: BeforeUnloadEvent) => draft.dirty.peek() && event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, []);
  useEffect(() => {
    if (source) draft.follow(source);
  }, [source?.template.revision, source?.template.commit, source?.override?.revision]);
  return draft;
}

/** A text that was typed and not saved when its page was left. */
interface KeptDraft {
  text: string;
  base: string;
  revision: number | undefined;
}

/** Most texts that are kept for pages that were left; the oldest goes first. */
const KEPT_MAX = 20;
const kept = new Map<string, KeptDraft>();

function keyOf({ template, target }: DraftSource): string {
  return `${template.name} ${target.kind === "block" ? target.block : ""}`;
}

class Draft implements TemplateDraft {
  readonly text = signal("");
  readonly base = signal("");
  readonly dirty = computed(() => this.text.value !== this.base.value);
  readonly saving = signal(false);
  readonly problem = signal<ApiProblem | null>(null);
  readonly conflict = signal<EditConflict | null>(null);
  readonly broken = signal<NamedProblem[]>([]);
  private source: DraftSource | null = null;
  private revision: number | undefined;

  begin(source: DraftSource): void {
    this.source = source;
    const before = kept.get(keyOf(source));
    kept.delete(keyOf(source));
    this.revision = before ? before.revision : revisionOf(source);
    const text = textInForce(source);
    batch(() => {
      this.text.value = before?.text ?? text;
      this.base.value = before?.base ?? text;
      this.problem.value = null;
      this.conflict.value = null;
      this.broken.value = [];
    });
  }

  /** Keeps what is typed for the next visit. */
  leave(): void {
    if (!this.source || !this.dirty.peek()) return;
    kept.set(keyOf(this.source), {
      text: this.text.peek(),
      base: this.base.peek(),
      revision: this.revision,
    });
    const oldest = kept.size > KEPT_MAX ? kept.keys().next().value : undefined;
    if (oldest !== undefined) kept.delete(oldest);
  }

  /** What is saved changed. What is typed stays, with the revision that it was made of. */
  follow(source: DraftSource): void {
    const typed = this.dirty.peek() || this.saving.peek();
    if (this.source && !typed && textInForce(source) !== this.base.peek()) this.begin(source);
    else if (this.source && !typed) {
      this.source = source;
      this.revision = revisionOf(source);
    }
  }

  reset = (): void => {
    if (this.source) this.text.value = this.base.value;
    this.problem.value = null;
  };

  save = (): Promise<boolean> => this.write(this.text.value, this.revision);

  saveMerged = (text: string, revision: number): Promise<boolean> => this.write(text, revision);

  private async write(text: string, revision: number | undefined): Promise<boolean> {
    const source = this.source;
    if (!source || this.saving.value) return false;
    this.saving.value = true;
    this.problem.value = null;
    try {
      const saved = (await send(source, text, revision)) as StoredContent;
      batch(() => {
        this.base.value = text;
        this.text.value = text;
        this.conflict.value = null;
        this.broken.value = saved.problems;
      });
      this.adopt(source, saved);
      return true;
    } catch (fault) {
      await this.refused(asProblem(fault), source, text);
      return false;
    } finally {
      this.saving.value = false;
    }
  }

  /** What was saved is what the next save is made of. */
  private adopt(source: DraftSource, saved: StoredContent): void {
    this.revision = saved.revision;
    this.source =
      source.target.kind === "body"
        ? { ...source, template: { ...source.template, ...saved } }
        : { ...source, override: saved as unknown as StoredOverride };
  }

  private async refused(problem: ApiProblem, source: DraftSource, mine: string): Promise<void> {
    if (problem.status !== 412) {
      this.problem.value = problem;
      return;
    }
    try {
      const now = await readAgain(source);
      this.conflict.value = { base: this.base.value, mine, theirs: now.text, revision: now.revision };
    } catch (fault) {
      this.problem.value = asProblem(fault);
    }
  }
}

/** The key of the pack that brings a template, for its own text: `core@0.1.0`. */
export function packOfTemplate(template: StoredContent): string | null {
  const hidden = (template.hides ?? []).map(packOf).find((pack) => pack !== null);
  return packOf(template.source) ?? hidden ?? null;
}
