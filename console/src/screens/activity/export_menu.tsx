// The menu that exports what matches the filter.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { Button } from "../../ui/button";
import { Menu } from "../../ui/dialog";
import { countText, plural } from "../../ui/format";
import { toast } from "../../ui/toast";
import { saveFile } from "../../ui/save-file";
import { EXPORT_MAX, exportEvents, type ExportFormat } from "./export";
import { apiQuery, type EventTerms } from "./filter";

const MEDIA: Record<ExportFormat, string> = { json: "application/x-ndjson", csv: "text/csv" };
const ENDINGS: Record<ExportFormat, string> = { json: "jsonl", csv: "csv" };

export function ExportMenu({ terms }: { terms: EventTerms }): JSX.Element {
  const count = useSignal<number | undefined>(undefined);
  const cancel = useRef<AbortController | undefined>(undefined);
  const run = async (format: ExportFormat) => {
    const control = new AbortController();
    cancel.current = control;
    count.value = 0;
    try {
      const done = await exportEvents(
        apiQuery(terms),
        format,
        (events) => {
          count.value = events;
        },
        control.signal,
      );
      saveFile(
        `events-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${ENDINGS[format]}`,
        new Blob([done.text], { type: MEDIA[format] }),
      );
      toast(
        done.isCut
          ? `The newest ${countText(done.count)} events were exported; more match. Narrow Since and Until.`
          : `${plural(done.count, "event")} exported`,
      );
    } catch (error) {
      if (!control.signal.aborted) toast("Nothing was exported", { problem: error });
    } finally {
      count.value = undefined;
    }
  };
  if (count.value !== undefined) {
    return (
      <Button size="small" icon="close" onClick={() => cancel.current?.abort()}>
        {countText(count.value)} read, cancel
      </Button>
    );
  }
  return (
    <Menu
      label="Export"
      icon="download"
      align="end"
      items={[
        { id: "json", label: "As JSON lines", run: () => void run("json") },
        { id: "csv", label: `As CSV (at most ${countText(EXPORT_MAX)})`, run: () => void run("csv") },
      ]}
    />
  );
}
