// All lists of the API, with how many objects each has.

import type { JSX } from "preact";
import { api, type Page } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link } from "../../app/router";
import { may } from "../../app/session";
import { countText } from "../../ui/format";
import { Card, PageHeader } from "../../ui/page";
import { Loading } from "../../ui/status";
import { allLists, type NounView } from "./nouns";
import { useAllFields } from "./useNoun";

const GROUPS: ReadonlyArray<NounView["group"]> = ["Fleet", "Content", "Network", "Server"];

export function AllLists(): JSX.Element {
  const fields = useAllFields().value;
  return (
    <div class="stack">
      <PageHeader title="All objects" subtitle="Every list of the API: read, create, change, delete" />
      {!fields && <Loading height={300} />}
      {fields && (
        <div class="grid-cards">
          {GROUPS.map((group) => {
            const lists = allLists(fields).filter(
              (noun) => noun.group === group && may(`${noun.plural}:read`),
            );
            return lists.length > 0 && <Group key={group} group={group} lists={lists} />;
          })}
        </div>
      )}
    </div>
  );
}

function Group({ group, lists }: { group: string; lists: readonly NounView[] }): JSX.Element {
  return (
    <Card title={group}>
      <ul class="list-of-lists">
        {lists.map((noun) => (
          <li key={noun.plural}>
            <Link to={`/objects/${noun.plural}`}>{noun.title}</Link> <ListCount plural={noun.plural} />
            <div class="muted small">{noun.about}</div>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function ListCount({ plural }: { plural: string }): JSX.Element {
  const { data } = useQuery(plural, (signal) =>
    api.get<Page<unknown>>(`/${plural}`, { limit: 1 }, { signal, quiet: true }),
  );
  return <span class="muted">{data.value ? countText(data.value.total) : ""}</span>;
}
