// Patterns of paths, such as `/machines/:ref` and `/content/:kind/:name*`; pure.

export type Params = Record<string, string>;

export interface PathPattern {
  names: string[];
  shape: RegExp;
}

const compiled = new Map<string, PathPattern>();

export function compilePath(pattern: string): PathPattern {
  const known = compiled.get(pattern);
  if (known) return known;
  const names: string[] = [];
  const parts = pattern
    .split("/")
    .filter((part) => part !== "")
    .map((part) => {
      if (!part.startsWith(":")) return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const takesRest = part.endsWith("*");
      names.push(part.slice(1, takesRest ? -1 : undefined));
      return takesRest ? "(.+)" : "([^/]+)";
    });
  const made = { names, shape: new RegExp(`^/${parts.join("/")}/?$`) };
  compiled.set(pattern, made);
  return made;
}

/** The values of a path's parts, decoded; `undefined` if it is another path. */
export function matchPath(pattern: PathPattern, path: string): Params | undefined {
  const found = pattern.shape.exec(path);
  if (!found) return undefined;
  const params: Params = {};
  pattern.names.forEach((name, index) => {
    params[name] = decodePart(found[index + 1] ?? "");
  });
  return params;
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
