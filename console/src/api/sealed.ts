// What the server shows in place of a secret value: `{"sealed": true}`.

export function isSealed(value: unknown): boolean {
  return typeof value === "object" && value !== null && (value as { sealed?: unknown }).sealed === true;
}
