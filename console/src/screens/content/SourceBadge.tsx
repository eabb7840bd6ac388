/** Where an object comes from, in words and with a mark. */

import { Link } from "../../app/router";
import { originOf, packOf } from "./contentData";

const WORDS = { site: "site", pack: "pack", overridden: "pack + override" } as const;

export function SourceBadge({ source, hides }: { source: string; hides?: readonly string[] | undefined }) {
  const origin = originOf(source);
  const pack = packOf(source);
  return (
    <span class={`source source-${origin}`}>
      <span class="source-word">{WORDS[origin]}</span>
      {pack && <Link to={`/content/packs/${encodeURIComponent(pack)}`}>{pack}</Link>}
      {hides && hides.length > 0 && <span class="source-hides">hides {hides.join(", ")}</span>}
    </span>
  );
}
