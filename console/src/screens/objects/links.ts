// Where objects are shown: the page of their own screen, or the generic one. Pure.

import { NOUNS, pluralOf } from "./nouns";

const part = encodeURIComponent;

/** Screens that own a noun; all others have the generic pages. */
const OWN: Record<string, (key: string) => string> = {
  machine: (key) => `/machines/${part(key)}`,
  run: (key) => `/runs/${part(key)}`,
  artifact: (key) => `/artifacts/${part(key)}`,
  channel: (key) => `/content/channels/${part(key)}`,
  ...Object.fromEntries(
    ["template", "bootenv", "stage", "task", "workflow", "param", "profile"].map((word) => [
      word,
      (key: string) => `/content/${word}s/${part(key)}`,
    ]),
  ),
};
const OWN_LISTS: Record<string, string> = {
  machines: "/machines",
  artifacts: "/artifacts",
  events: "/activity",
};

/** The page of an object: `objectPath("profile", "db")`. */
export const objectPath = (word: string, key: string): string =>
  (OWN[word] ?? ((name: string) => `/objects/${pluralOf(word)}/${part(name)}`))(key);

/** The page of a list: `listPath("machines")`. */
export const listPath = (plural: string): string => OWN_LISTS[plural] ?? `/objects/${plural}`;

/** The page of what an event is about (`machine:0198…`); none for `server` and what is no object. */
export function subjectPath(subject: string): string | undefined {
  const at = subject.indexOf(":");
  if (at < 0) return undefined;
  const [word, key] = [subject.slice(0, at), subject.slice(at + 1)];
  return NOUNS.some((noun) => noun.word === word) ? objectPath(word, key) : undefined;
}

/** `machine` of `machine:0198…`, in words. */
export const kindOfSubject = (subject: string): string =>
  subject.includes(":") ? subject.slice(0, subject.indexOf(":")).replaceAll("_", " ") : "";
