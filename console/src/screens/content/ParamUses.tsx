/** Where a param is set, by level, and on how many machines. Values of secrets stay sealed. */

import { api, type Page } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link } from "../../app/router";
import { pageOf, type ContentData, type StoredParam } from "./contentData";
import { valueWords } from "./editorNames";
import { Loading, Problem } from "./kit";

const MACHINES_SHOWN_MAX = 50;

interface SettingMachine {
  name: string;
  params: Record<string, unknown>;
}

export function ParamUses({ name, data }: { name: string; data: ContentData }) {
  const param = (data.objects.value.params as readonly StoredParam[]).find((one) => one.name === name);
  return (
    <section class="content-section" aria-label="Where it is set">
      <h3>Set by</h3>
      <p class="content-note">
        The first level that has a value counts, from the machine down to the default.
      </p>
      <table class="content-table">
        <thead>
          <tr>
            <th>Level</th>
            <th>Value</th>
          </tr>
        </thead>
        <tbody>
          <MachineRows name={name} />
          <LevelRows noun="profiles" level="profile" name={name} data={data} />
          <LevelRows noun="stages" level="stage" name={name} data={data} />
          <tr>
            <td>default</td>
            <td>
              {param?.secret
                ? secretWords(param)
                : param?.default === undefined
                  ? "none"
                  : valueWords(param.default)}
            </td>
          </tr>
        </tbody>
      </table>
    </section>
  );
}

function secretWords(param: StoredParam): string {
  return param.generate
    ? `made by the server when a run begins (${param.generate}), sealed`
    : "secret: values are sealed";
}

interface LevelRowsProps {
  noun: "profiles" | "stages";
  level: string;
  name: string;
  data: ContentData;
}

function LevelRows({ noun, level, name, data }: LevelRowsProps) {
  const setting = data.objects.value[noun].filter(
    (object) => object.params !== undefined && name in object.params,
  );
  return (
    <>
      {setting.map((object) => (
        <tr key={object.name}>
          <td>
            {level} <Link to={pageOf(noun, object.name)}>{object.name}</Link>
          </td>
          <td class="content-break">{valueWords(object.params?.[name])}</td>
        </tr>
      ))}
    </>
  );
}

function MachineRows({ name }: { name: string }) {
  const machines = useQuery(`machines that set ${name}`, (signal) =>
    api.get<Page<SettingMachine>>(
      "/machines",
      {
        [`param.${name}[exists]`]: true,
        limit: MACHINES_SHOWN_MAX,
        fields: `name,params.${name}`,
      },
      { signal },
    ),
  );
  const page = machines.data.value;
  if (machines.problem.value)
    return (
      <tr>
        <td colSpan={2}>
          <Problem problem={machines.problem.value} />
        </td>
      </tr>
    );
  if (!page)
    return (
      <tr>
        <td colSpan={2}>
          <Loading />
        </td>
      </tr>
    );
  const filter = encodeURIComponent(`param.${name}[exists]`);
  return (
    <>
      {page.items.map((machine) => (
        <tr key={machine.name}>
          <td>
            machine{" "}
            <Link to={`/machines/${encodeURIComponent(`name:${machine.name}`)}`}>{machine.name}</Link>
          </td>
          <td class="content-break">{valueWords(valueOf(machine, name))}</td>
        </tr>
      ))}
      {page.total > page.items.length && (
        <tr>
          <td colSpan={2}>
            <Link to={`/machines?${filter}=true`}>All {page.total} machines that set it</Link>
          </td>
        </tr>
      )}
    </>
  );
}

function valueOf(machine: SettingMachine, name: string): unknown {
  return machine.params?.[name];
}
