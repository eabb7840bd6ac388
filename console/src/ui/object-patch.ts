// The JSON Merge Patch (RFC 7396) that makes one object of another; pure.

type Tree = Record<string, unknown>;

const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `undefined` where the two are the same. */
export function mergePatch(before: unknown, after: unknown): unknown {
  if (!isTree(before) || !isTree(after)) return isSame(before, after) ? undefined : after;
  const patch: Tree = {};
  for (const key of Object.keys(before)) {
    if (!(key in after)) patch[key] = null;
  }
  for (const [key, value] of Object.entries(after)) {
    const part = key in before ? mergePatch(before[key], value) : value;
    if (part !== undefined) patch[key] = part;
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}

export function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((value, index) => isSame(value, b[index]));
  if (!isTree(a) || !isTree(b)) return Object.is(a, b);
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && isSame(a[key], b[key]));
}

/** What the server sets by itself. */
const OWN_FIELDS = [
  "id",
  "status",
  "problems",
  "hides",
  "source",
  "revision",
  "commit",
  "created_at",
  "updated_at",
  "status_revision",
  "status_updated_at",
];

/** The fields of an object that clients may set. */
export function editableFields(object: Tree): Tree {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !OWN_FIELDS.includes(name)));
}
