/** The languages of the editor. Part of the editor's chunk. */

import { StreamLanguage } from "@codemirror/language";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { json } from "@codemirror/lang-json";
import { yaml } from "@codemirror/lang-yaml";
import type { Extension } from "@codemirror/state";

import { readToken, startState } from "./tera";
import type { EditorLanguage } from "./types";

export function languageExtension(language: EditorLanguage): Extension {
  switch (language) {
    case "jinja":
      return StreamLanguage.define({ name: "tera", startState, token: readToken });
    case "json":
      return json();
    case "yaml":
      return yaml();
    case "shell":
      return StreamLanguage.define(shell);
    case "text":
      return [];
  }
}
