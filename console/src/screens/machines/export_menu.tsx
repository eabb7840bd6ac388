// The list as a file: all machines that pass the filter, with the chosen columns, read from the server anew.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Menu } from "../../ui/dialog";
import { saveFile } from "../../ui/save-file";
import { toast } from "../../ui/toast";
import { asProblem } from "../../api/client";
import { readAll } from "./bulk/target";
import { fieldsOf, type MachineColumn } from "./columns";
import { fileName, toCsv, toJson } from "./export";
import { countMachines, filterQuery, type FilterTerm } from "./filters";

export interface ListShown {
  columns: readonly MachineColumn[];
  terms: readonly FilterTerm[];
  sort: string;
}

const MEDIA = { csv: "text/csv;charset=utf-8", json: "application/json" } as const;

export async function exportList(
  { columns, terms, sort }: ListShown,
  extension: "csv" | "json",
): Promise<void> {
  const query = filterQuery(terms);
  const fields =
    extension === "csv"
      ? fieldsOf(columns)
      : ["id", ...new Set(columns.flatMap((column) => column.fields))];
  query.set("fields", fields.join(","));
  query.set("sort", sort);
  try {
    const rows = await readAll(query);
    const name = fileName(extension, new Date());
    const text = extension === "csv" ? toCsv(columns, rows) : toJson(rows);
    saveFile(name, new Blob([text], { type: MEDIA[extension] }));
    toast(`${countMachines(rows.length)} written to ${name}`);
  } catch (error) {
    toast("The list was not exported", { problem: asProblem(error) });
  }
}

export function ExportMenu(props: ListShown): JSX.Element {
  const isBusy = useSignal(false);
  const run = (extension: "csv" | "json"): void => {
    isBusy.value = true;
    void exportList(props, extension).finally(() => {
      isBusy.value = false;
    });
  };
  const disabled = isBusy.value ? "the list is being read" : undefined;
  return (
    <Menu
      label="Export"
      icon="download"
      align="end"
      items={[
        { id: "csv", label: "CSV: the chosen columns of all that match", run: () => run("csv"), disabled },
        {
          id: "json",
          label: "JSON: the same fields, as the API has them",
          run: () => run("json"),
          disabled,
        },
      ]}
    />
  );
}
