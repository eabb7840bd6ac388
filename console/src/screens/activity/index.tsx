// What happened: events as they arrive and back in time, and the audit of who changed what. Start at
// `useEventLog` (what is shown) and `filter.ts` (what is wanted).

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Screen } from "../../app/screen";
import { go, location, setQuery } from "../../app/router";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { ServerEvent } from "../../live/feed";
import { addCommands } from "../../app/palette";
import { may } from "../../app/session";
import { Button } from "../../ui/button";
import { PageHeader, Tabs, openTab, type Tab } from "../../ui/page";
import { Empty, Loading, Problem } from "../../ui/status";
import { Table } from "../../ui/table";
import { auditColumns, eventColumns } from "./columns";
import { EventDetail } from "./detail";
import type { EventPage } from "./export";
import { ExportMenu } from "./export_menu";
import { apiQuery, effectiveTerms, isLive, termsOf, type ActivityTab } from "./filter";
import { FilterForm } from "./filter_form";
import { isGap, rowKey, type LogRow } from "./log";
import { LiveBar } from "./live_bar";
import { useMachineNames } from "./names";
import { ViewsMenu } from "../objects/views_menu";
import { useEventLog } from "./useEventLog";
import "./activity.css";

const TABS: readonly Tab[] = [
  { id: "events", label: "Events" },
  { id: "audit", label: "Audit: who did it" },
];

function Activity(): JSX.Element {
  const tab = openTab(TABS) as ActivityTab;
  const terms = effectiveTerms(tab, termsOf(location.value.query));
  const view = useEventLog(terms);
  const { log } = view;
  const opened = useOpened(log.rows.value);
  const names = useMachineNames(log.rows, opened);
  const isAuto = useSignal(false);
  useEffect(
    () =>
      addCommands([
        {
          id: "activity-pause",
          title: "Pause or resume the events",
          run: () => (log.isPaused.peek() ? log.resume() : log.pause()),
        },
      ]),
    [log],
  );
  const columns = tab === "audit" ? auditColumns(names, view.fillGap) : eventColumns(names, view.fillGap);
  const empty =
    view.state.value === "loading" ? (
      <Loading label="Reading the events" height={300} />
    ) : (
      <NoEvents tab={tab} />
    );
  const onScroll = (event: Event) => followScroll(event, log, isAuto);
  return (
    <div class="stack">
      <PageHeader
        title="Activity"
        subtitle="What happened, and who did it"
        tabs={<Tabs tabs={TABS} label="Activity" />}
        actions={
          <>
            <ViewsMenu kind="events" query={new URLSearchParams(apiQuery(terms)).toString()} />
            <ExportMenu terms={terms} />
          </>
        }
      />
      <FilterForm key={tab} tab={tab} terms={terms} />
      {view.problem.value && <Problem problem={view.problem.value} onRetry={view.reload} />}
      <div class={opened ? "activity with-detail" : "activity"}>
        <div class="activity-list" onScrollCapture={onScroll}>
          <Table<LogRow>
            key={tab}
            name={`activity-${tab}`}
            label={tab === "audit" ? "Audit" : "Events"}
            columns={columns}
            rows={log.rows}
            rowKey={rowKey}
            byPlace
            onOpen={(row) => {
              if (!isGap(row)) setQuery({ event: String(row.seq) });
            }}
            empty={empty}
            tools={
              <LiveBar
                log={log}
                isLive={isLive(terms)}
                onPause={() => {
                  isAuto.value = false;
                }}
              />
            }
          />
          {view.hasOlder.value && (
            <div class="row">
              <Button onClick={view.loadOlder}>Show older events</Button>
            </div>
          )}
        </div>
        {opened && (
          <EventDetail event={opened} names={names} onClose={() => setQuery({ event: undefined })} />
        )}
      </div>
    </div>
  );
}

/** The event that the address names: among the rows, or read from history. */
function useOpened(rows: readonly LogRow[]): ServerEvent | undefined {
  const seq = Number(location.value.query.get("event"));
  const found = seq > 0 ? rows.find((row) => !isGap(row) && row.seq === seq) : undefined;
  const key = seq > 0 && !found ? `event-${seq}` : undefined;
  const { data } = useQuery(key, (signal) =>
    api.get<EventPage>("/events", { after: seq - 1, limit: 1 }, { signal }),
  );
  if (found && !isGap(found)) return found;
  return key === undefined ? undefined : data.value?.items.find((event) => event.seq === seq);
}

/**
 * Rows must not move under the reader: who scrolls down pauses the list, who returns to the top resumes it.
 */
function followScroll(
  event: Event,
  log: { isPaused: { peek: () => boolean }; pause: () => void; resume: () => void },
  isAuto: { value: boolean },
): void {
  const list =
    event.target instanceof HTMLElement && event.target.classList.contains("table")
      ? event.target
      : undefined;
  if (!list) return;
  if (list.scrollTop > 40 && !log.isPaused.peek()) {
    isAuto.value = true;
    log.pause();
  } else if (list.scrollTop === 0 && isAuto.value) {
    isAuto.value = false;
    log.resume();
  }
}

function NoEvents({ tab }: { tab: ActivityTab }): JSX.Element {
  const clear = () => go(tab === "audit" ? "/activity?tab=audit" : "/activity");
  return (
    <Empty title="No events match" actions={<Button onClick={clear}>Clear the filter</Button>}>
      New ones appear here as they happen. Old events are deleted after a time: the preferences{" "}
      <code>events_kept_…</code> and <code>audit_kept_…</code> say after which.
    </Empty>
  );
}

export const screens: Screen[] = [
  {
    path: "/activity",
    title: () => "Activity",
    nav: { label: "Activity", group: "Server", order: 10, icon: "activity" },
    needs: "events:read",
    key: "v",
    view: Activity,
    commands: () => [
      {
        id: "activity-audit",
        title: "Audit: what was done with tokens",
        run: () => go("/activity?tab=audit"),
        enabled: () => may("events:read"),
      },
      {
        id: "activity-failures",
        title: "Events: runs that failed",
        run: () => go("/activity?kind=run.failed"),
        enabled: () => may("events:read"),
      },
    ],
  },
];
