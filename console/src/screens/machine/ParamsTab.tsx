// The params of a machine: each value with the level that it comes from, and the levels that it hides.
import type { JSX } from "preact";
import { Link, location, setQuery } from "../../app/router";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Machine, MachineParams } from "../../api/schema";
import { Card, Empty, Json, Loading, Problem, Select, TextField } from "./kit";
import type { ParamFilter, ParamLine } from "./params";
import { isSealed } from "../../api/sealed";
import { paramLines, valueText } from "./params";

const FILTERS = [
  { value: "set", label: "Set somewhere" },
  { value: "hiding", label: "Hiding another value" },
  { value: "all", label: "All, with defaults" },
];

function readFilter(text: string | null): ParamFilter {
  return text === "all" || text === "hiding" ? text : "set";
}

export function ParamsTab({ machine }: { machine: Machine }): JSX.Element {
  const query = location.value.query;
  const [search, filter] = [query.get("param") ?? "", readFilter(query.get("params"))];
  const params = useQuery(`params ${machine.id} ${machine.revision}`, (signal) =>
    api.get<MachineParams>(`/machines/${machine.id}/params`, { explain: true }, { signal }),
  );
  if (params.problem.value) return <Problem problem={params.problem.value} />;
  const read = params.data.value?.params;
  if (!read) return <Loading />;
  const lines = paramLines(read, search, filter);
  return (
    <Card title={`Params: ${lines.length} of ${Object.keys(read).length}`}>
      <div class="tl-tools">
        <TextField
          label="Search"
          type="search"
          value={search}
          onInput={(value) => setQuery({ param: value || undefined }, { replace: true })}
        />
        <Select
          label="Show"
          value={filter}
          options={FILTERS}
          onChange={(value) => setQuery({ params: value === "set" ? undefined : value }, { replace: true })}
        />
      </div>
      {lines.length === 0 && <Empty title="No param matches">Show all to see the defaults too.</Empty>}
      <ul class="params">
        {lines.map((line) => (
          <ParamItem key={line.name} line={line} />
        ))}
      </ul>
    </Card>
  );
}

function ParamItem({ line }: { line: ParamLine }): JSX.Element {
  const { name, row, hidden } = line;
  return (
    <li class="param">
      <div class="param-name">
        <Link to={`/content/params/${encodeURIComponent(name)}`}>{name}</Link>
      </div>
      <div class="param-value">
        <ParamValue value={row.value} isSecret={row.secret} />
        <span class="level-chip">from {row.level}</span>
        {hidden.length > 0 && (
          <details>
            <summary>{`hides ${hidden.length} ${hidden.length === 1 ? "level" : "levels"}`}</summary>
            <ul class="hidden-levels">
              {hidden.map((level) => (
                <li key={level.level}>
                  <span class="level-chip">
                    {level.level}
                    {level.source ? `, ${level.source}` : ""}
                  </span>{" "}
                  <ParamValue value={level.value} isSecret={row.secret} />
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </li>
  );
}

const INLINE_MAX = 120;

function ParamValue({ value, isSecret }: { value: unknown; isSecret: boolean }): JSX.Element {
  if (isSecret || isSealed(value))
    return (
      <span class="secret" title="The server never shows it">
        ••••• secret
      </span>
    );
  const text = valueText(value);
  if (typeof value === "object" && value !== null && text.length > INLINE_MAX)
    return <Json value={value} />;
  return <code class="wrap">{text === "" ? "(empty)" : text}</code>;
}
