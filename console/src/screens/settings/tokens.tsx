// Bearer tokens: who may do what, until when. A new one is shown once.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ref } from "../../api/client";
import { Link } from "../../app/router";
import { may, session } from "../../app/session";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { ConfirmErase } from "../../ui/dialog";
import { Empty, Loading, Problem, StateBadge } from "../../ui/status";
import { toast } from "../../ui/toast";
import { Time } from "../../ui/values";
import { TokenDialog } from "./token_create";

export interface TokenRow {
  name: string;
  scopes: string[];
  expires_at?: string | null;
  created_at: string;
  problems?: Array<{ pointer: string; message: string }>;
}

export function Tokens(): JSX.Element {
  const showsAgents = useSignal(false);
  const list = useCollection<TokenRow>("tokens", { sort: "name" });
  const isCreating = useSignal(false);
  const deleting = useSignal<TokenRow | undefined>(undefined);
  if (list.problem.value && list.rows.value.length === 0)
    return <Problem problem={list.problem.value} onRetry={list.reload} />;
  if (list.state.value === "loading" && list.rows.value.length === 0)
    return <Loading label="Reading the tokens" height={300} />;
  const agents = list.rows.value.filter(isOfAgent);
  const shown = showsAgents.value ? list.rows.value : list.rows.value.filter((row) => !isOfAgent(row));
  return (
    <>
      <div class="row">
        <p class="muted grow">
          A token lets a person or a program use the API. Its text is shown once, when it is made; the
          server keeps only a digest.
        </p>
        {agents.length > 0 && (
          <label class="toggle">
            <input
              type="checkbox"
              checked={showsAgents.value}
              onChange={(event) => {
                showsAgents.value = event.currentTarget.checked;
              }}
            />
            <span>Show {agents.length} of agents</span>
          </label>
        )}
        {may("tokens:write") && (
          <Button
            kind="primary"
            icon="plus"
            onClick={() => {
              isCreating.value = true;
            }}
          >
            Create a token
          </Button>
        )}
      </div>
      {shown.length === 0 ? (
        <Empty title="No tokens">
          Create one for each program and person, with the scopes that it needs and no more.
        </Empty>
      ) : (
        <TokenTable
          rows={shown.slice(0, SHOWN_MAX)}
          onDelete={(row) => {
            deleting.value = row;
          }}
        />
      )}
      {shown.length > SHOWN_MAX && (
        <p class="muted">
          {shown.length - SHOWN_MAX} more: <Link to="/objects/tokens">all tokens</Link>
        </p>
      )}
      {isCreating.value && (
        <TokenDialog
          onClose={() => {
            isCreating.value = false;
          }}
        />
      )}
      {deleting.value && (
        <DeleteToken
          row={deleting.value}
          onClose={() => {
            deleting.value = undefined;
          }}
        />
      )}
    </>
  );
}

/** Most rows that are drawn; the list of objects has them all. */
const SHOWN_MAX = 200;

const isOfAgent = (row: TokenRow): boolean =>
  row.scopes.length > 0 && row.scopes.every((scope) => scope.startsWith("agent:"));

function TokenTable({
  rows,
  onDelete,
}: {
  rows: readonly TokenRow[];
  onDelete: (row: TokenRow) => void;
}): JSX.Element {
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Tokens">
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Scopes</th>
            <th scope="col">Expires</th>
            <th scope="col">Made</th>
            <th scope="col">
              <span class="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.name}>
              <th scope="row">
                {row.name} {row.name === session.value?.name && <StateBadge state="yours" tone="info" />}
              </th>
              <td>
                {row.scopes.map((scope) => (
                  <code key={scope} class="scope">
                    {scope}
                  </code>
                ))}
                {row.problems?.map((problem) => (
                  <div key={problem.message} class="small">
                    {problem.message}
                  </div>
                ))}
              </td>
              <td>
                <Expiry at={row.expires_at} />
              </td>
              <td>
                <Time at={row.created_at} />
              </td>
              <td>
                <div class="row">
                  <Link to={`/activity?tab=audit&by=${encodeURIComponent(row.name)}`}>What it did</Link>
                  {may("tokens:write") && (
                    <Button size="small" kind="danger" icon="trash" onClick={() => onDelete(row)}>
                      Delete
                    </Button>
                  )}
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Expiry({ at }: { at: string | null | undefined }): JSX.Element {
  if (!at) return <span class="muted">never</span>;
  const isOver = new Date(at).getTime() <= Date.now();
  return isOver ? (
    <>
      <StateBadge state="expired" tone="warn" /> <Time at={at} />
    </>
  ) : (
    <Time at={at} />
  );
}

function DeleteToken({ row, onClose }: { row: TokenRow; onClose: () => void }): JSX.Element {
  const isOwn = row.name === session.value?.name;
  const erases = [
    `the token ${row.name}: whoever uses it is refused at once, and its sessions in browsers end`,
    ...(isOwn ? ["your own session: it belongs to this token"] : []),
  ];
  const remove = async () => {
    await api.del(`/tokens/${ref(row.name)}`);
    toast(`Token ${row.name} is deleted`);
  };
  return (
    <ConfirmErase
      title={`Delete the token ${row.name}`}
      erases={erases}
      expected={row.name}
      expectedIs="the token's name"
      action="Delete the token"
      onConfirm={remove}
      onClose={onClose}
    />
  );
}
