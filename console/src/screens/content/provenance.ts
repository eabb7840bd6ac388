/** What a line of a document came from, in words. */

export type ParamLevel =
  "machine" | "global" | "default" | { profile: string } | { stage: string } | { stage_profile: string };

export interface ParamOrigin {
  name: string;
  level?: ParamLevel | null;
  hides?: ParamLevel[];
  merges?: ParamLevel[];
}

export interface TemplatePlace {
  template: string;
  line: number;
}

export interface LineOrigin extends TemplatePlace {
  block?: string | null;
  override?: string | null;
  params?: ParamOrigin[];
  variables?: string[];
  also?: TemplatePlace[];
}

/** A level of params as the command line says it. */
export function levelWords(level: ParamLevel): string {
  if (level === "default") return "the default";
  if (typeof level === "string") return level;
  if ("profile" in level) return `profile ${level.profile}`;
  if ("stage" in level) return `stage ${level.stage}`;
  return `profile ${level.stage_profile} of the stage`;
}

function paramWords(param: ParamOrigin): string {
  const from = param.level ? `from ${levelWords(param.level)}` : "from the template: no level has a value";
  const list = (levels: ParamLevel[] | undefined) => (levels ?? []).map(levelWords).join(", ");
  const hides = param.hides?.length ? `, hides ${list(param.hides)}` : "";
  const merges = param.merges?.length ? `, with ${list(param.merges)}` : "";
  return `Param ${param.name} ${from}${hides}${merges}`;
}

/** The origin of a line, a sentence each. */
export function originTexts(line: LineOrigin, sources: Record<string, string>): string[] {
  const source = sources[line.template];
  const block = line.block ? `, block ${line.block}` : "";
  const override = line.override ? `, override ${line.override}` : "";
  return [
    `${line.template}:${line.line}${block}${override}${source ? ` (${source})` : ""}`,
    ...(line.params ?? []).map(paramWords),
    ...(line.variables?.length ? [`Variables: ${line.variables.join(", ")}`] : []),
    ...(line.also?.length
      ? [`Also from ${line.also.map((place) => `${place.template}:${place.line}`).join(", ")}`]
      : []),
  ];
}

/** The lines of a document that a template wrote, from 1. */
export function linesOfTemplate(lines: readonly LineOrigin[], template: string, line?: number): number[] {
  return lines.flatMap((origin, i) => {
    const places: TemplatePlace[] = [origin, ...(origin.also ?? [])];
    const own = places.filter((place) => place.template === template);
    return own.some((place) => line === undefined || place.line === line) ? [i + 1] : [];
  });
}
