// Sessions of browsers: whose they are, from where, when they were last used; each can be ended.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, type Page } from "../../api/client";
import { useQuery } from "../../api/query";
import { may, session, signOut } from "../../app/session";
import { useChanges } from "../../live/feed";
import { Button } from "../../ui/button";
import { ConfirmErase } from "../../ui/dialog";
import { Empty, Loading, Problem, StateBadge } from "../../ui/status";
import { toast } from "../../ui/toast";
import { Time, Truncated } from "../../ui/values";

interface SessionRow {
  id: string;
  token: string;
  expires_at: string;
  created_at: string;
  peer?: string | null;
  browser?: string | null;
  status?: { last_used_at?: string | null };
}

const LIMIT = 200;

export function Sessions(): JSX.Element {
  const { data, problem, reload } = useQuery("sessions", (signal) =>
    api.get<Page<SessionRow>>("/sessions", { limit: LIMIT, sort: "-created_at" }, { signal }),
  );
  const ending = useSignal<SessionRow | undefined>(undefined);
  useChanges(["session"], reload);
  if (problem.value && !data.value) return <Problem problem={problem.value} onRetry={reload} />;
  if (!data.value) return <Loading label="Reading the sessions" height={300} />;
  const { items, total } = data.value;
  return (
    <>
      <div class="row">
        <p class="muted grow">
          A session is a browser that signed in with a token. It may what the token may, and ends with it.
        </p>
        <Button icon="power" onClick={() => void signOut()}>
          Sign out here
        </Button>
      </div>
      {items.length === 0 ? (
        <Empty title="No sessions">Nobody is signed in with a browser.</Empty>
      ) : (
        <SessionTable
          items={items}
          onEnd={(row) => {
            ending.value = row;
          }}
        />
      )}
      {total > items.length && (
        <p class="muted">
          The newest {items.length} of {total}.
        </p>
      )}
      {ending.value && (
        <EndSession
          row={ending.value}
          onDone={reload}
          onClose={() => {
            ending.value = undefined;
          }}
        />
      )}
    </>
  );
}

/** The session of this browser; the server says its id. */
const isOwn = (row: SessionRow): boolean => (session.value as { id?: string } | undefined)?.id === row.id;

function SessionTable({
  items,
  onEnd,
}: {
  items: readonly SessionRow[];
  onEnd: (row: SessionRow) => void;
}): JSX.Element {
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Sessions">
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Token</th>
            <th scope="col">From</th>
            <th scope="col">Browser</th>
            <th scope="col">Began</th>
            <th scope="col">Last used</th>
            <th scope="col">Ends</th>
            <th scope="col">
              <span class="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((row) => (
            <tr key={row.id}>
              <th scope="row">
                {row.token} {isOwn(row) && <StateBadge state="this browser" tone="info" />}
              </th>
              <td>{row.peer ?? "–"}</td>
              <td class="wide-cell">
                <Truncated text={row.browser ?? "–"} copy={false} />
              </td>
              <td>
                <Time at={row.created_at} />
              </td>
              <td>
                <Time at={row.status?.last_used_at ?? null} />
              </td>
              <td>
                <Time at={row.expires_at} />
              </td>
              <td>
                {may("sessions:write") && (
                  <Button size="small" kind="danger" onClick={() => onEnd(row)}>
                    End
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function EndSession({
  row,
  onDone,
  onClose,
}: {
  row: SessionRow;
  onDone: () => void;
  onClose: () => void;
}): JSX.Element {
  const end = async () => {
    await api.del(`/sessions/${row.id}`);
    toast(`A session of ${row.token} is ended`);
    onDone();
  };
  const erases = [
    `the session of ${row.token} from ${row.peer ?? "an unknown address"}: its browser has to sign in again`,
  ];
  return (
    <ConfirmErase
      title="End a session"
      erases={erases}
      expected={row.token}
      expectedIs="the name of its token"
      action="End the session"
      onConfirm={end}
      onClose={onClose}
    />
  );
}
