/** What the lints find in a pack, errors first. */

import { api, ref } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link } from "../../app/router";
import { pageOf, type StoredPack } from "./contentData";
import { Empty, Loading, Problem } from "./kit";

interface Finding {
  severity: "error" | "warning" | "note";
  rule: string;
  path: string;
  line?: number | null;
  message: string;
  remedy: string;
}

interface Findings {
  items: Finding[];
  complete: boolean;
  base: string[];
}

const SEVERITIES = ["error", "warning", "note"] as const;

export function PackFindings({ pack }: { pack: StoredPack }) {
  const found = useQuery(`findings of ${pack.name} ${pack.digest}`, (signal) =>
    api.get<Findings>(`/packs/${ref(pack.name)}/findings`, undefined, { signal }),
  );
  if (found.problem.value) return <Problem problem={found.problem.value} onRetry={found.reload} />;
  const answer = found.data.value;
  if (!answer) return <Loading />;
  const items = SEVERITIES.flatMap((severity) => answer.items.filter((item) => item.severity === severity));
  const counts = SEVERITIES.map(
    (severity) => `${items.filter((item) => item.severity === severity).length} ${severity}s`,
  );
  return (
    <section aria-label="Findings">
      <p class="content-note">
        {counts.join(", ")}
        {answer.base.length > 0 && `, on ${answer.base.join(", ")}`}.
        {!answer.complete && " There are more findings than are shown."} Tests with golden texts and
        ShellCheck run where the pack is made: <code>metalwright packs test DIR</code>.
      </p>
      {items.length === 0 && <Empty title="The lints find nothing" />}
      <ul class="content-findings">
        {items.map((item, i) => (
          <li key={i} class={`content-finding content-finding-${item.severity}`}>
            <span class="content-tag">{item.severity}</span>{" "}
            <Link to={`${pageOf("packs", pack.name)}?file=${encodeURIComponent(item.path)}`}>
              {item.path}
              {item.line ? `:${item.line}` : ""}
            </Link>
            <p>{item.message}</p>
            <p class="content-muted">
              {item.remedy} <code>{item.rule}</code>
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
