// What a generic page knows of its noun: its fields, which are loaded when they are needed, and what the
// server allows to be done with its objects.

import { useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { call, ref } from "../../api/client";
import type { FilterField } from "../../api/fields";
import { nounOf, type NounView } from "./nouns";

type AllFields = Record<string, readonly FilterField[]>;

let loaded: AllFields | undefined;

/** All fields of all lists, once they are there. */
export function useAllFields(): ReadonlySignal<AllFields | undefined> {
  const fields = useSignal<AllFields | undefined>(loaded);
  useEffect(() => {
    if (loaded) return;
    void import("../../api/fields").then(({ FIELDS }) => {
      loaded = FIELDS;
      fields.value = FIELDS;
    });
  }, []);
  return fields;
}

export interface KnownNoun {
  noun: NounView;
  fields: readonly FilterField[];
}

/** The noun of a list; none until its fields are there. */
export function useNoun(plural: string): KnownNoun | undefined {
  const all = useAllFields().value;
  return useMemo(() => {
    if (!all) return undefined;
    const fields = all[plural] ?? [];
    return { noun: nounOf(plural, fields), fields };
  }, [all, plural]);
}

/** The methods that a path takes, such as `PATCH`; the server says so. */
export function useMethods(path: string): ReadonlySignal<ReadonlySet<string>> {
  const methods = useSignal<ReadonlySet<string>>(new Set());
  useEffect(() => {
    const cancel = new AbortController();
    call({ method: "OPTIONS", path, quiet: true, signal: cancel.signal }).then(
      (response) => {
        methods.value = new Set(
          (response.headers.get("Allow") ?? "").split(",").map((word) => word.trim()),
        );
      },
      () => {
        methods.value = new Set();
      },
    );
    return () => cancel.abort();
  }, [path]);
  return methods;
}

export const objectApiPath = (plural: string, key: string): string => `/${plural}/${ref(key)}`;
