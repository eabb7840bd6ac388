// Scopes: what tokens may do. Pure.

export interface ScopeArea {
  name: string;
  read: string;
  /** Empty where no operation needs it. */
  write: string;
  /** Whether who writes it writes templates or scripts, which are programs. */
  is_programs: boolean;
}

export type AccessLevel = "none" | "read" | "write";

/** The scopes of chosen levels; writing includes reading. */
export const scopesOf = (levels: Record<string, AccessLevel>): string[] =>
  Object.entries(levels).flatMap(([area, level]) => {
    if (level === "none") return [];
    return level === "write" ? [`${area}:read`, `${area}:write`] : [`${area}:read`];
  });

/** The time that is so many days ahead; none for the empty text. */
export function endOf(days: string, now: number): string | undefined {
  const count = Number(days);
  return days === "" || !Number.isFinite(count)
    ? undefined
    : new Date(now + count * 86_400_000).toISOString();
}
