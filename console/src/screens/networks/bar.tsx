// The bar of a subnet: leased, in use by others, reserved, free.

import type { JSX } from "preact";
import { barParts, fillOf, STATE_WORDS } from "./pools";
import type { SubnetStatus } from "./types";

const FILL_WORDS = { none: "", plenty: "", low: "nearly full", full: "no free address" };

/** The bar with its numbers in words. */
export function FillBar({ status }: { status: SubnetStatus }): JSX.Element {
  const fill = fillOf(status);
  if (fill === "none") {
    const what = status.mode === "proxy" ? "another server gives the addresses" : "no pool";
    return <span class="muted">{what}</span>;
  }
  const parts = barParts(status);
  const words = parts
    .map((part) => `${part.count.toLocaleString("en")} ${STATE_WORDS[part.state]}`)
    .join(", ");
  return (
    <div class="fill">
      <svg class="fill-bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label={words}>
        {parts.map((part, at) => {
          const before = parts.slice(0, at).reduce((sum, one) => sum + one.share, 0);
          return (
            <rect
              key={part.state}
              class={`cell state-${part.state}`}
              x={before * 100}
              y={0}
              width={Math.max(part.share * 100, 0.5)}
              height={10}
            />
          );
        })}
      </svg>
      <span class="fill-words">
        {words}
        {FILL_WORDS[fill] && <strong class={`fill-${fill}`}> · {FILL_WORDS[fill]}</strong>}
      </span>
    </div>
  );
}
