/** The layers: overrides, hidden objects of packs, and copies that can become overrides. */

import { useSignal } from "@preact/signals";

import { api, ref } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { describeProblem } from "../../ui/editor/problems";
import { AdoptDialog } from "./AdoptDialog";
import {
  originOf,
  pageOf,
  singular,
  useContent,
  type StoredContent,
  type StoredOverride,
} from "./contentData";
import { ContentHeader } from "./ContentHeader";
import { Button, ConfirmErase, Empty, Problem, Time, toast } from "./kit";
import { NOUNS } from "./nouns";
import type { ContentNoun } from "./references";
import { SourceBadge } from "./SourceBadge";

interface HiddenItem {
  kind: string;
  name: string;
  source: string;
  hidden_by: string;
}

export function LayersPage() {
  const adopting = useSignal(false);
  return (
    <>
      <ContentHeader
        part="layers"
        title="Layers"
        subtitle="The site's object is in force; else the pack's of the highest priority, with overrides."
        actions={<Button onClick={() => (adopting.value = true)}>Turn a copy into an override</Button>}
      />
      <Overrides />
      <Hidden />
      <OwnObjects />
      {adopting.value && <AdoptDialog onClose={() => (adopting.value = false)} />}
    </>
  );
}

function pluralOf(kind: string): string {
  return kind.endsWith("s") ? `${kind}es` : `${kind}s`;
}

function Overrides() {
  const overrides = useCollection<StoredOverride>("overrides", {});
  const rows = [...overrides.rows.value].sort(
    (a, b) => b.problems.length - a.problems.length || a.name.localeCompare(b.name),
  );
  return (
    <section class="content-section" aria-label="Overrides">
      <h2>
        Overrides <span class="content-muted">{rows.length}</span>
      </h2>
      {overrides.problem.value && <Problem problem={overrides.problem.value} />}
      {overrides.state.value === "live" && rows.length === 0 && (
        <Empty title="There are no overrides">
          An override changes one block or field of an object that a pack brings. Open a template and choose
          a block.
        </Empty>
      )}
      <ul class="content-cards">
        {rows.map((override) => (
          <OverrideCard key={override.name} override={override} />
        ))}
      </ul>
    </section>
  );
}

function OverrideCard({ override }: { override: StoredOverride }) {
  const erasing = useSignal(false);
  const { kind, name } = override.target;
  const blocks = Object.keys(override.blocks ?? {});
  const fields = Object.entries(override.fields ?? {});
  const erase = async () => {
    await api.del(`/overrides/${ref(override.name)}`, { ifMatch: override.revision });
    toast(`The override ${override.name} is deleted.`);
  };
  return (
    <li class="content-card">
      <h3>{override.name}</h3>
      <p>
        changes {kind} <Link to={pageOf(pluralOf(kind), name)}>{name}</Link>
      </p>
      {override.description && <p>{override.description}</p>}
      {blocks.length > 0 && (
        <p>
          Blocks:{" "}
          {blocks.map((block, i) => (
            <span key={block}>
              {i > 0 && ", "}
              <Link to={`${pageOf("templates", name)}?block=${block}`}>{block}</Link>
            </span>
          ))}
        </p>
      )}
      {fields.map(([field, value]) => (
        <p key={field}>
          <code>{field}</code>: <code class="content-break">{JSON.stringify(value)}</code>
        </p>
      ))}
      {override.problems.map((problem) => (
        <p key={problem.message} class="content-bad">
          {describeProblem(problem)}
        </p>
      ))}
      <p class="content-muted">
        Changed <Time at={override.updated_at} />.
      </p>
      {may("overrides:write") && (
        <Button size="small" onClick={() => (erasing.value = true)}>
          Delete
        </Button>
      )}
      {erasing.value && (
        <ConfirmErase
          title={`Delete override ${override.name}`}
          expected={override.name}
          expectedIs="the override's name"
          action="Delete"
          erases={[`What it sets of ${kind} ${name}. What the pack has is in force again.`]}
          onConfirm={erase}
          onClose={() => (erasing.value = false)}
        />
      )}
    </li>
  );
}

function Hidden() {
  const hidden = useQuery("hidden", (signal) =>
    api.get<{ items: HiddenItem[]; complete: boolean }>("/catalog/hidden", undefined, { signal }),
  );
  const items = hidden.data.value?.items ?? [];
  return (
    <section class="content-section" aria-label="Hidden objects">
      <h2>
        Hidden objects of packs <span class="content-muted">{items.length}</span>
      </h2>
      {hidden.problem.value && <Problem problem={hidden.problem.value} onRetry={hidden.reload} />}
      {hidden.data.value && items.length === 0 && (
        <p class="content-note">Nothing stands in the place of an object of a pack.</p>
      )}
      {items.length > 0 && (
        <table class="content-table">
          <thead>
            <tr>
              <th>Object</th>
              <th>Hidden</th>
              <th>By</th>
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <tr key={`${item.kind}/${item.name}/${item.source}`}>
                <td>
                  {item.kind}{" "}
                  <Link to={`${pageOf(pluralOf(item.kind), item.name)}?tab=pack`}>{item.name}</Link>
                </td>
                <td>{item.source}</td>
                <td>{item.hidden_by}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {hidden.data.value?.complete === false && <p class="content-note">There are more than are shown.</p>}
    </section>
  );
}

/** The objects of content that are the site's own. */
function OwnObjects() {
  const data = useContent();
  const own = NOUNS.flatMap((view) =>
    data.objects.value[view.noun]
      .filter((object) => originOf(object.source) === "site")
      .map((object) => ({ noun: view.noun, object })),
  );
  const packs = new Map<string, number>();
  for (const view of NOUNS) {
    for (const object of data.objects.value[view.noun])
      packs.set(object.source, (packs.get(object.source) ?? 0) + 1);
  }
  return (
    <section class="content-section" aria-label="Sources">
      <h2>Where the objects come from</h2>
      <ul class="content-names">
        {[...packs].sort().map(([source, count]) => (
          <li key={source}>
            {source}: {count}
          </li>
        ))}
      </ul>
      <h3>Objects of the site</h3>
      {own.length === 0 && <p class="content-note">All content comes from packs.</p>}
      <ul class="content-own">
        {own.map(({ noun, object }) => (
          <OwnObject key={`${noun}/${object.name}`} noun={noun} object={object} />
        ))}
      </ul>
    </section>
  );
}

function OwnObject({ noun, object }: { noun: ContentNoun; object: StoredContent }) {
  return (
    <li>
      <span class="content-muted">{singular(noun)}</span>{" "}
      <Link to={pageOf(noun, object.name)}>{object.name}</Link>{" "}
      <SourceBadge source={object.source} hides={object.hides} />
    </li>
  );
}
