/** Previews of documents with a text that is not saved: one at a time, a moment after the last change. */

import { signal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { api, asProblem, type ApiProblem } from "../../api/client";
import type { NamedProblem } from "../../ui/editor/problems";
import type { LineOrigin } from "./provenance";
import type { ContentDocument } from "./references";

/** How long the text has to rest before it is rendered. */
const REST_MILLISECONDS = 300;

export interface RenderAnswer {
  text: string;
  sha256: string;
  lines?: LineOrigin[];
  problems: NamedProblem[];
  sources?: Record<string, string>;
  provenance: { secret: boolean };
}

export interface UnsavedTemplate {
  name: string;
  body: string;
  verbatim?: boolean;
}

export interface RenderQuestion {
  machine: string;
  document: ContentDocument;
  unsaved?: UnsavedTemplate | undefined;
  lines: boolean;
}

/** The body of `POST /render`. */
export function renderBody(question: RenderQuestion): Record<string, unknown> {
  const { machine, document, unsaved, lines } = question;
  return {
    machine: `name:${machine}`,
    ...(document.bootenv ? { bootenv: document.bootenv } : {}),
    ...(document.file ? { file: document.file } : { template: document.template }),
    ...(unsaved ? { content: { templates: [unsaved] } } : {}),
    lines,
  };
}

export function renderDocument(
  question: RenderQuestion,
  stop: AbortSignal,
  quiet = false,
): Promise<RenderAnswer> {
  return api.post<RenderAnswer>("/render", renderBody(question), { signal: stop, quiet });
}

export interface Preview {
  answer: ReadonlySignal<RenderAnswer | null>;
  problem: ReadonlySignal<ApiProblem | null>;
  rendering: ReadonlySignal<boolean>;
}

/** The preview of a question, kept current. The last answer stays until there is a newer one. */
export function usePreview(question: RenderQuestion | null): Preview {
  const state = useMemo(
    () => ({
      answer: signal<RenderAnswer | null>(null),
      problem: signal<ApiProblem | null>(null),
      rendering: signal(false),
    }),
    [],
  );
  const key = question ? JSON.stringify(renderBody(question)) : null;
  useEffect(() => {
    if (!question) return undefined;
    const stop = new AbortController();
    state.rendering.value = true;
    const timer = setTimeout(() => void render(question, stop.signal), REST_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key]);
  async function render(asked: RenderQuestion, stop: AbortSignal): Promise<void> {
    try {
      state.answer.value = await renderDocument(asked, stop);
      state.problem.value = null;
    } catch (fault) {
      if (stop.aborted) return;
      state.problem.value = asProblem(fault);
    }
    state.rendering.value = false;
  }
  return state;
}
