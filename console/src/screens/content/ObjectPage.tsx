/** One object of content that is no template: its fields, what uses it, its overrides, and its JSON. */

import { useMemo } from "preact/hooks";

import { location, type Params } from "../../app/router";
import { useCollection, useObject } from "../../live/collection";
import { describeProblem } from "../../ui/editor/problems";
import { singular, useContent, type StoredContent, type StoredOverride } from "./contentData";
import { ContentHeader } from "./ContentHeader";
import { Json, KeyValue, Loading, openTab, Problem, Tabs } from "./kit";
import { nounView, type ContentNounView } from "./nouns";
import { ObjectActions } from "./ObjectActions";
import { ObjectJson } from "./ObjectJson";
import { OverrideEditor } from "./OverrideEditor";
import { ParamUses } from "./ParamUses";
import { SourceBadge } from "./SourceBadge";
import { ReferenceLists } from "./TemplateSide";

/** Fields that the head or other tabs show. */
const META = new Set([
  "name",
  "description",
  "source",
  "hides",
  "problems",
  "labels",
  "revision",
  "commit",
  "created_at",
  "updated_at",
]);

export function ObjectPage({ params }: { params: Params }) {
  const view = nounView(params["noun"] ?? "");
  const name = params["name"] ?? "";
  if (!view) return <ContentHeader part="" title="There is no such kind of content" />;
  return <KnownObject key={`${view.noun}/${name}`} view={view} name={name} />;
}

function KnownObject({ view, name }: { view: ContentNounView; name: string }) {
  const object = useObject<StoredContent>(view.noun, name);
  const found = object.value.value;
  if (object.problem.value && !found) {
    return (
      <>
        <ContentHeader part={view.noun} title={name} />
        <Problem problem={object.problem.value} />
      </>
    );
  }
  if (!found) return <Loading />;
  const tabs = tabsOf(view);
  const tab = openTab(tabs);
  return (
    <>
      <ContentHeader
        part={view.noun}
        title={found.name}
        subtitle={
          <>
            <SourceBadge source={found.source} hides={found.hides} /> {found.description}
          </>
        }
        actions={<ObjectActions view={view} object={found} />}
      />
      {object.isGone.value && (
        <p class="content-bad" role="alert">
          It was deleted. Below is its last state.
        </p>
      )}
      {found.problems.map((problem) => (
        <p key={problem.message} class="content-bad">
          {describeProblem(problem)}
        </p>
      ))}
      <Tabs tabs={tabs} label={`About the ${view.one}`} />
      {tab === "fields" && <Fields object={found} />}
      {tab === "uses" && <Uses view={view} name={found.name} />}
      {tab === "layers" && <ObjectOverrides view={view} object={found} />}
      {tab === "json" && <ObjectJson view={view} object={found} />}
    </>
  );
}

function tabsOf(view: ContentNounView) {
  return [
    { id: "fields", label: "Fields" },
    { id: "uses", label: view.noun === "params" ? "Where it is set and read" : "Used by" },
    ...(view.noun === "profiles" ? [] : [{ id: "layers", label: "Overrides" }]),
    { id: "json", label: "JSON" },
  ];
}

function Fields({ object }: { object: StoredContent }) {
  const fields = Object.entries(object).filter(([field]) => !META.has(field));
  return (
    <KeyValue
      pairs={fields.map(
        ([field, value]) =>
          [
            field.replaceAll("_", " "),
            typeof value === "object" && value !== null ? <Json value={value} /> : fieldText(value),
          ] as const,
      )}
    />
  );
}

function fieldText(value: unknown) {
  const text = String(value);
  return text.includes("\n") ? <pre class="content-text">{text}</pre> : text;
}

function Uses({ view, name }: { view: ContentNounView; name: string }) {
  const data = useContent();
  return (
    <>
      {view.noun === "params" && <ParamUses name={name} data={data} />}
      <ReferenceLists data={data} noun={view.noun} name={name} />
    </>
  );
}

function ObjectOverrides({ view, object }: { view: ContentNounView; object: StoredContent }) {
  const kind = singular(view.noun);
  const filter = useMemo(
    () => new URLSearchParams({ "target.kind": kind, "target.name": object.name }),
    [kind, object.name],
  );
  const overrides = useCollection<StoredOverride>("overrides", { filter }).rows.value;
  const chosen = overrides.find((one) => one.name === location.value.query.get("override")) ?? overrides[0];
  return <OverrideEditor kind={kind} object={object} overrides={overrides} chosen={chosen} />;
}
