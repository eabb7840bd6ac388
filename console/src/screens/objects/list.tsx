// The list of a noun: filters of the API, columns by its fields, and what can be done.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { go, location } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { FilterBar } from "../../ui/filter-bar";
import { plural as counted } from "../../ui/format";
import { PageHeader } from "../../ui/page";
import { Empty, Loading, Problem } from "../../ui/status";
import { Table } from "../../ui/table";
import { keyOf, objectColumns, type ObjectRow } from "./columns";
import { CreateObject } from "./create";
import { objectPath } from "./links";
import { ViewsMenu } from "./views_menu";
import { useMethods, useNoun, type KnownNoun } from "./useNoun";

/** Names of the address that are no filters. */
const OWN = ["tab", "sort", "columns", "view"];

export function ObjectList({ plural }: { plural: string }): JSX.Element {
  const known = useNoun(plural);
  if (!known) return <Loading height={300} />;
  return <KnownList known={known} />;
}

function KnownList({ known }: { known: KnownNoun }): JSX.Element {
  const { noun, fields } = known;
  const filter = new URLSearchParams(location.value.query);
  const sort = filter.get("sort") ?? undefined;
  OWN.forEach((name) => filter.delete(name));
  const list = useCollection<ObjectRow>(noun.plural, sort ? { filter, sort } : { filter });
  const methods = useMethods(`/${noun.plural}`);
  const isCreating = useSignal(false);
  const writable = may(`${noun.plural}:write`) && methods.value.has("POST");
  const isLoading = list.state.value === "loading" && list.rows.value.length === 0;
  const empty = isLoading ? (
    <Loading height={200} />
  ) : (
    <NoObjects known={known} isFiltered={filter.size > 0} />
  );
  const rowKey = (row: ObjectRow) => keyOf(noun, row);
  return (
    <div class="stack">
      <PageHeader
        title={noun.title}
        subtitle={
          <>
            {noun.about}
            {noun.about && ". "}
            {counted(list.total.value, "object")}
            {filter.size > 0 && " match"}
          </>
        }
        actions={
          <>
            <ViewsMenu kind={noun.plural} query={viewQuery(filter, sort)} />
            {writable && (
              <Button
                kind="primary"
                icon="plus"
                onClick={() => {
                  isCreating.value = true;
                }}
              >
                Create
              </Button>
            )}
          </>
        }
      />
      <div>
        <FilterBar list={noun.plural} reserved={OWN} wordField={noun.nameField} />
      </div>
      {list.problem.value && <Problem problem={list.problem.value} onRetry={list.reload} />}
      <Table<ObjectRow>
        name={`objects-${noun.plural}`}
        label={noun.title}
        columns={objectColumns(noun, fields)}
        rows={list.rows}
        rowKey={rowKey}
        onOpen={(row) => go(objectPath(noun.word, rowKey(row)))}
        empty={empty}
      />
      {isCreating.value && (
        <CreateObject
          known={known}
          onClose={() => {
            isCreating.value = false;
          }}
        />
      )}
    </div>
  );
}

/** What a saved view of the list asks. */
function viewQuery(filter: URLSearchParams, sort: string | undefined): string {
  const query = new URLSearchParams(filter);
  if (sort) query.set("sort", sort);
  return query.toString();
}

function NoObjects({ known, isFiltered }: { known: KnownNoun; isFiltered: boolean }): JSX.Element {
  const { noun } = known;
  if (isFiltered) {
    return (
      <Empty
        title="Nothing matches the filter"
        actions={<Button onClick={() => go(`/objects/${noun.plural}`)}>Clear the filter</Button>}
      />
    );
  }
  return (
    <Empty title={`There are no ${noun.title.toLowerCase()}`}>
      {noun.blank ? "Create one here, or by metalwright apply." : "The server makes them."}
    </Empty>
  );
}
