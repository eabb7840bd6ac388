// The origin of each line of a document in words: the template and its line, and the params that stand in it.
import type { LineOrigin, ParamLevel, ParamOrigin } from "../../../api/schema";

export function levelText(level: ParamLevel | null | undefined): string {
  if (level === null || level === undefined) return "the template";
  if (typeof level === "string") return level === "default" ? "the defaults" : level;
  if ("profile" in level) return `profile ${level.profile}`;
  if ("stage" in level) return `stage ${level.stage}`;
  return `profile ${level.stage_profile} of the stage`;
}

export function paramText(param: ParamOrigin): string {
  const parts = [`${param.name} from ${levelText(param.level)}`];
  if (param.hides && param.hides.length > 0) parts.push(`hides ${param.hides.map(levelText).join(", ")}`);
  if (param.merges && param.merges.length > 0) parts.push(`with ${param.merges.map(levelText).join(", ")}`);
  return parts.join(", ");
}

export interface BlamedLine {
  number: number;
  text: string;
  /**
   * `preseed/clock.cfg:3`; empty where it is that of the line before, in the same template and next to it.
   */
  place: string;
  template: string;
  templateLine: number;
  source: string;
  notes: string[];
  isFirst: boolean;
}

export function blamedLines(
  text: string,
  origins: LineOrigin[],
  sources: Record<string, string>,
): BlamedLine[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  let template = "";
  return lines.map((line, index) => {
    const origin = origins[index];
    const isFirst = origin !== undefined && origin.template !== template;
    template = origin?.template ?? template;
    return {
      number: index + 1,
      text: line,
      place: origin ? `${origin.template}:${origin.line}` : "",
      template: origin?.template ?? "",
      templateLine: origin?.line ?? 0,
      source: origin ? (sources[origin.template] ?? "") : "",
      notes: origin ? notesOf(origin) : [],
      isFirst,
    };
  });
}

function notesOf(origin: LineOrigin): string[] {
  const notes = (origin.params ?? []).map(paramText);
  const variables = origin.variables ?? [];
  if (variables.length > 0) notes.push(variables.join(", "));
  if (origin.override) notes.push(`override ${origin.override}`);
  if (origin.also && origin.also.length > 0) {
    notes.push(`also from ${origin.also.map((place) => `${place.template}:${place.line}`).join(", ")}`);
  }
  return notes;
}
