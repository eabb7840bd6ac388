// Which columns of a table are shown: chosen by the operator, and as many as the page has room for.

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { readStored, writeStored } from "../style/theme";
import { Menu, type MenuItem } from "./dialog";
import type { Column } from "./table-types";

const columnsKey = (name: string): string => `metalwright.columns.${name}`;

export function useChosenColumns<T>(
  name: string,
  columns: ReadonlyArray<Column<T>>,
): Signal<ReadonlySet<string>> {
  return useSignal<ReadonlySet<string>>(
    useMemo(() => {
      const stored = readStored(columnsKey(name))
        ?.split(",")
        .filter((key) => columns.some((one) => one.key === key));
      return new Set(
        stored && stored.length > 0 ? stored : columns.filter((one) => !one.optional).map((one) => one.key),
      );
    }, [name]),
  );
}

const pageWidth = (): number => document.documentElement.clientWidth;

export function useShownColumns<T>(
  columns: ReadonlyArray<Column<T>>,
  chosen: Signal<ReadonlySet<string>>,
  which: "chosen" | "all",
): ReadonlyArray<Column<T>> {
  const width = useSignal(pageWidth());
  useEffect(() => {
    const measure = () => {
      width.value = pageWidth();
    };
    window.addEventListener("resize", measure);
    return () => window.removeEventListener("resize", measure);
  }, []);
  const isChosen = (one: Column<T>) => which === "all" || chosen.value.has(one.key);
  return columns.filter((one) => isChosen(one) && width.value >= (one.minPage ?? 0));
}

export function ColumnMenu<T>({
  columns,
  chosen,
  name,
}: {
  columns: ReadonlyArray<Column<T>>;
  chosen: Signal<ReadonlySet<string>>;
  name: string;
}): JSX.Element {
  const toggle = (key: string) => {
    const next = new Set(chosen.value);
    if (!next.delete(key)) next.add(key);
    if (next.size === 0) return;
    chosen.value = next;
    writeStored(columnsKey(name), [...next].join(","));
  };
  const items = columns.map((column): MenuItem => ({
    id: column.key,
    label: column.title,
    checked: chosen.value.has(column.key),
    run: () => toggle(column.key),
  }));
  return <Menu label="Columns" icon="columns" compact align="end" stays items={items} />;
}
