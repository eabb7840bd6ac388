/** What a pack itself has for a template, below overrides and objects of the site. */

import { api, ref } from "../../api/client";
import { useQuery } from "../../api/query";
import { blockText } from "../../ui/editor/blocks";

export interface PackFileRow {
  path: string;
  bytes: number;
  sha256: string;
  text: string;
}

export interface PackText {
  /** The template's text in the pack; undefined as long as it is not known. */
  body: string | undefined;
  block: (name: string | null) => string | undefined;
}

/** The files of a pack. */
export function packFiles(pack: string, stop?: AbortSignal): Promise<{ items: PackFileRow[] }> {
  return api.get<{ items: PackFileRow[] }>(
    `/packs/${ref(pack)}/files`,
    undefined,
    stop ? { signal: stop } : {},
  );
}

export function usePackText(pack: string | null, template: string): PackText {
  const files = useQuery(pack === null ? undefined : `files of ${pack}`, (stop) =>
    packFiles(pack ?? "", stop),
  );
  const paths = [`templates/${template}`, `verbatim/${template}`];
  const body = files.data.value?.items.find((file) => paths.includes(file.path))?.text;
  return {
    body,
    block: (name) =>
      name === null || body === undefined ? undefined : (blockText(body, name) ?? undefined),
  };
}
