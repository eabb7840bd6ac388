/** Problems of the API at their places in a text. */

import { placeOfOffset, type TextPlace } from "./columns";
import { locatePointer } from "./pointers";
import type { EditorLanguage, EditorProblem } from "./types";

/** A problem as the API has it. */
export interface NamedProblem {
  pointer: string;
  message: string;
  code?: string;
  template?: string | null;
  line?: number | null;
  column?: number | null;
}

/** Places the problems of an object in its JSON or YAML. */
export function placeProblems(
  text: string,
  problems: readonly NamedProblem[],
  language: EditorLanguage,
): EditorProblem[] {
  return problems.map((problem) => {
    const known = language === "json" || language === "yaml";
    const place = known ? locatePointer(text, problem.pointer, language) : null;
    return { ...(place ?? { line: 1 }), message: describeProblem(problem), severity: "error" as const };
  });
}

/** Problems of a template. Those of other templates stand at the first line, with their place. */
export function placeTemplateProblems(
  template: string,
  problems: readonly NamedProblem[],
): EditorProblem[] {
  return problems.map((problem) => {
    const own = !problem.template || problem.template === template;
    if (!own || !problem.line) {
      return { line: 1, message: describeProblem(problem), severity: "error" as const };
    }
    const column = problem.column ? { column: problem.column } : {};
    return { line: problem.line, ...column, message: problem.message, severity: "error" as const };
  });
}

/** The message, with the place in another template where it has one. */
export function describeProblem(problem: NamedProblem): string {
  const numbers = [problem.line, problem.column].filter(
    (number) => number !== null && number !== undefined,
  );
  const place = problem.template ? `${[problem.template, ...numbers].join(":")}: ` : "";
  const pointer = problem.pointer && !place ? `${problem.pointer}: ` : "";
  return `${place}${pointer}${problem.message}`;
}

/** Where a text stops being JSON; null if it is JSON. */
export function jsonFault(text: string): (TextPlace & { message: string }) | null {
  try {
    JSON.parse(text);
    return null;
  } catch (fault) {
    const message = fault instanceof Error ? fault.message : String(fault);
    const offset = /position (\d+)/.exec(message)?.[1];
    const place = placeOfOffset(text, offset === undefined ? text.length : Number(offset));
    return { ...place, message: `The text is not JSON: ${message}` };
  }
}
