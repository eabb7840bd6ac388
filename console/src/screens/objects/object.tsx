// One object of any noun: its fields, what is wrong with it, an editor of its JSON, what happened to it, and
// its deletion.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api } from "../../api/client";
import { Link, go } from "../../app/router";
import { may } from "../../app/session";
import { useObject } from "../../live/collection";
import { Button } from "../../ui/button";
import { ConfirmErase } from "../../ui/dialog";
import { Json } from "../../ui/json";
import { ObjectEditor } from "../../ui/object-editor";
import { Card, PageHeader, Tabs, openTab, type Tab } from "../../ui/page";
import { Empty, Loading, Problem, StateBadge } from "../../ui/status";
import { toast } from "../../ui/toast";
import { KeyValue, Time } from "../../ui/values";
import { keyOf, type ObjectRow } from "./columns";
import { FieldHelp } from "./field_help";
import { ObjectEvents } from "./events";
import { listPath } from "./links";
import { objectApiPath, useMethods, useNoun, type KnownNoun } from "./useNoun";

export function ObjectPage({ plural, reference }: { plural: string; reference: string }): JSX.Element {
  const known = useNoun(plural);
  if (!known) return <Loading height={300} />;
  return <KnownObject known={known} reference={reference} />;
}

function KnownObject({ known, reference }: { known: KnownNoun; reference: string }): JSX.Element {
  const { noun } = known;
  const object = useObject<ObjectRow>(noun.plural, reference);
  const methods = useMethods(objectApiPath(noun.plural, reference));
  const isDeleting = useSignal(false);
  const value = object.value.value;
  if (object.isGone.value) {
    return (
      <Empty title={`${reference} is gone`} actions={<Link to={listPath(noun.plural)}>{noun.title}</Link>}>
        It was deleted. Its events remain:{" "}
        <Link to={eventsPath(noun.word, reference)}>what happened to it</Link>.
      </Empty>
    );
  }
  if (object.problem.value && !value)
    return <Problem problem={object.problem.value} onRetry={object.reload} />;
  if (!value) return <Loading height={300} />;
  const key = keyOf(noun, value);
  const writable = may(`${noun.plural}:write`);
  const tabs: Tab[] = [
    { id: "fields", label: "Fields" },
    ...(writable && (methods.value.has("PUT") || methods.value.has("PATCH"))
      ? [{ id: "edit", label: "Edit" }]
      : []),
    ...(may("events:read") ? [{ id: "events", label: "Events" }] : []),
  ];
  const open = openTab(tabs);
  return (
    <div class="stack">
      <PageHeader
        title={key}
        subtitle={
          <>
            <Link to={`/objects/${noun.plural}`}>{noun.title}</Link>
            {noun.about && ` · ${noun.about}`}
          </>
        }
        tabs={<Tabs tabs={tabs} label="Parts of the object" />}
        actions={
          writable &&
          methods.value.has("DELETE") && (
            <Button
              kind="danger"
              icon="trash"
              onClick={() => {
                isDeleting.value = true;
              }}
            >
              Delete
            </Button>
          )
        }
      />
      <ObjectProblems value={value} />
      {open === "fields" && <Fields value={value} />}
      {open === "edit" && (
        <Card title="What people write of it">
          <ObjectEditor
            collection={noun.plural}
            objectKey={reference}
            object={value}
            readOnly={lockOf(value)}
          />
          <FieldHelp fields={known.fields} />
        </Card>
      )}
      {open === "events" && <ObjectEvents word={noun.word} objectKey={key} />}
      {isDeleting.value && (
        <DeleteObject
          known={known}
          name={key}
          reference={reference}
          onClose={() => {
            isDeleting.value = false;
          }}
        />
      )}
    </div>
  );
}

/** Why the object cannot be changed. */
function lockOf(value: ObjectRow): string | undefined {
  const source = value["source"];
  if (typeof source !== "string" || source === "site") return undefined;
  return `It comes from ${source}: an override, or an object of the site with this name, changes it.`;
}

const eventsPath = (word: string, key: string): string =>
  `/activity?subject=${encodeURIComponent(`${word}:${key}`)}`;

function ObjectProblems({ value }: { value: ObjectRow }): JSX.Element | null {
  const problems = Array.isArray(value["problems"])
    ? (value["problems"] as Array<{ pointer?: string; message?: string }>)
    : [];
  if (problems.length === 0) return null;
  return (
    <Card title="Problems">
      <ul class="object-problems">
        {problems.map((problem, index) => (
          <li key={index}>
            <StateBadge state="problem" tone="warn" /> <code>{problem.pointer || "/"}</code>{" "}
            {problem.message}
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Fields({ value }: { value: ObjectRow }): JSX.Element {
  const source = typeof value["source"] === "string" ? value["source"] : undefined;
  const text = (name: string) => (typeof value[name] === "string" ? (value[name] as string) : undefined);
  return (
    <>
      <Card title="Object">
        <KeyValue
          pairs={[
            [
              "Source",
              source &&
                (source === "site" ? (
                  "the site"
                ) : (
                  <>
                    {source} <span class="muted small">read-only: an override changes it</span>
                  </>
                )),
            ],
            ["Revision", value["revision"] === undefined ? undefined : String(value["revision"])],
            ["Made", text("created_at") && <Time at={text("created_at")} />],
            ["Changed", text("updated_at") && <Time at={text("updated_at")} />],
          ]}
        />
      </Card>
      <Card title="Fields">
        <Json value={value} open={2} />
      </Card>
    </>
  );
}

function DeleteObject({
  known,
  name,
  reference,
  onClose,
}: {
  known: KnownNoun;
  name: string;
  reference: string;
  onClose: () => void;
}): JSX.Element {
  const { noun } = known;
  const force = useSignal(false);
  const word = noun.word.replaceAll("_", " ");
  const remove = async () => {
    await api.del(objectApiPath(noun.plural, reference), force.value ? { query: { force: true } } : {});
    toast(`${word} ${name} is deleted`);
    go(listPath(noun.plural));
  };
  return (
    <ConfirmErase
      title={`Delete ${word} ${name}`}
      erases={[`the ${word} ${name}`]}
      expected={name}
      expectedIs={`the name of the ${word}`}
      action="Delete"
      onConfirm={remove}
      onClose={onClose}
    >
      <p>
        If other objects need it, the server refuses and says which. Present work, such as an open run, can
        be overridden:
      </p>
      <label class="toggle">
        <input
          type="checkbox"
          checked={force.value}
          onChange={(event) => {
            force.value = event.currentTarget.checked;
          }}
        />
        <span>
          Delete it although present work uses it (<code>force</code>)
        </span>
      </label>
    </ConfirmErase>
  );
}
