/** The objects of one noun of content, with what of them needs somebody. */

import { useSignal } from "@preact/signals";

import { go, Link, location, setQuery } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { originOf, pageOf, useContent, type ContentData, type StoredContent } from "./contentData";
import { ContentHeader } from "./ContentHeader";
import { CreateObject } from "./CreateObject";
import { Button, Empty, Loading, Problem } from "./kit";
import type { ContentNounView } from "./nouns";
import { referenceKey } from "./references";
import { SourceBadge } from "./SourceBadge";

/** Rows that are drawn at once; the search finds the others. */
const ROWS_MAX = 500;
const ORIGINS = [
  { key: "", title: "all" },
  { key: "site", title: "of the site" },
  { key: "overridden", title: "with overrides" },
  { key: "pack", title: "of packs, unchanged" },
  { key: "problems", title: "with problems" },
] as const;

export function ObjectList({ view }: { view: ContentNounView }) {
  const list = useCollection<StoredContent>(view.noun, {});
  const creating = useSignal(false);
  const data = useContent();
  const search = location.value.query.get("search") ?? "";
  const origin = location.value.query.get("origin") ?? "";
  const rows = list.rows.value
    .filter((object) => isShown(object, search, origin))
    .sort((a, b) => a.name.localeCompare(b.name));
  return (
    <>
      <ContentHeader
        part={view.noun}
        title={view.title}
        subtitle={view.about}
        actions={
          may(`${view.noun}:write`) && (
            <Button kind="primary" onClick={() => (creating.value = true)}>
              Create a {view.one}
            </Button>
          )
        }
      />
      <div class="content-bar">
        <label class="content-choice">
          <span>Search</span>
          <input
            type="search"
            value={search}
            placeholder="name, description or text"
            onInput={(event) => setQuery({ search: event.currentTarget.value }, { replace: true })}
          />
        </label>
        <label class="content-choice">
          <span>Which</span>
          <select
            value={origin}
            onChange={(event) => setQuery({ origin: event.currentTarget.value }, { replace: true })}
          >
            {ORIGINS.map((one) => (
              <option key={one.key} value={one.key}>
                {one.title}
              </option>
            ))}
          </select>
        </label>
        <span class="content-muted" role="status">
          {rows.length} of {list.total.value}
        </span>
      </div>
      {list.problem.value && <Problem problem={list.problem.value} onRetry={list.reload} />}
      {list.state.value === "loading" && rows.length === 0 && <Loading />}
      {list.state.value === "live" && rows.length === 0 && <Empty title={`No ${view.one} fits`} />}
      {rows.length > 0 && <ObjectTable view={view} rows={rows} data={data} />}
      {creating.value && (
        <CreateObject
          view={view}
          onClose={() => (creating.value = false)}
          onCreated={(name) => go(pageOf(view.noun, name))}
        />
      )}
    </>
  );
}

function isShown(object: StoredContent, search: string, origin: string): boolean {
  if (origin === "problems" && object.problems.length === 0) return false;
  if (origin !== "" && origin !== "problems" && originOf(object.source) !== origin) return false;
  if (search === "") return true;
  const words = `${object.name}\n${object.description ?? ""}\n${object.body ?? ""}`.toLowerCase();
  return words.includes(search.toLowerCase());
}

function ObjectTable({
  view,
  rows,
  data,
}: {
  view: ContentNounView;
  rows: readonly StoredContent[];
  data: ContentData;
}) {
  return (
    <div class="content-scroll" tabIndex={0} role="region" aria-label={view.title}>
      <table class="content-table">
        <thead>
          <tr>
            <th>Name</th>
            {view.columns.map((column) => (
              <th key={column.key}>{column.title}</th>
            ))}
            <th>Used by</th>
            <th>Source</th>
            <th>Description</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, ROWS_MAX).map((object) => (
            <ObjectRow key={object.name} view={view} object={object} data={data} />
          ))}
        </tbody>
      </table>
      {rows.length > ROWS_MAX && (
        <p class="content-note">The first {ROWS_MAX} are shown: search for the others.</p>
      )}
    </div>
  );
}

function ObjectRow({
  view,
  object,
  data,
}: {
  view: ContentNounView;
  object: StoredContent;
  data: ContentData;
}) {
  const users = data.index.value.usedBy.get(referenceKey(view.noun, object.name))?.length ?? 0;
  return (
    <tr>
      <th scope="row">
        <Link to={pageOf(view.noun, object.name)}>{object.name}</Link>
        {object.problems.length > 0 && (
          <span
            class="content-tag content-tag-bad"
            title={object.problems.map((one) => one.message).join("\n")}
          >
            {object.problems.length} {object.problems.length === 1 ? "problem" : "problems"}
          </span>
        )}
      </th>
      {view.columns.map((column) => (
        <td key={column.key} class="content-cell">
          {column.value(object)}
        </td>
      ))}
      <td>{users}</td>
      <td>
        <SourceBadge source={object.source} hides={object.hides} />
      </td>
      <td class="content-about">{object.description}</td>
    </tr>
  );
}
