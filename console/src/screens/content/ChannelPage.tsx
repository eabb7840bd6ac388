/** One channel: its packs, the check and the promotion of other versions, and its moves with the way back. */

import { useSignal } from "@preact/signals";

import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { go, Link, type Params } from "../../app/router";
import { may } from "../../app/session";
import { useCollection, useObject } from "../../live/collection";
import { Followers } from "./ChannelList";
import type { ChannelMove, StoredChannel, StoredPack } from "./contentData";
import { ContentHeader } from "./ContentHeader";
import { Button, ConfirmErase, Dialog, Loading, Problem, Time, toast } from "./kit";
import { compareVersions } from "./PackList";

export function ChannelPage({ params }: { params: Params }) {
  const name = params["name"] ?? "";
  const channel = useObject<StoredChannel>("channels", name);
  const packs = useCollection<StoredPack>("packs", {});
  const found = channel.value.value;
  if (channel.problem.value && !found) {
    return (
      <>
        <ContentHeader part="channels" title={name} />
        <Problem problem={channel.problem.value} />
      </>
    );
  }
  if (!found) return <Loading />;
  return (
    <>
      <ContentHeader
        part="channels"
        title={found.name}
        subtitle={
          <>
            {found.description && `${found.description}. `}
            <Followers channel={found.name} />
          </>
        }
        actions={<ChannelActions channel={found} />}
      />
      {found.problems.map((problem) => (
        <p key={problem.message} class="content-bad">
          {problem.message}
        </p>
      ))}
      <ChannelPacks channel={found} packs={packs.rows.value} />
      <ChannelHistory channel={found} />
    </>
  );
}

const RUNS_KEEP = "Runs that have begun keep their content.";
const WITHDRAWN = `Runs that begin from now on get nothing of it. ${RUNS_KEEP} A rollback brings it back.`;

/** Carries out a move, and says what came of it. */
async function move(
  channel: string,
  verb: string,
  body: Record<string, unknown>,
  done: string,
): Promise<ApiProblem | null> {
  try {
    await api.post(`/channels/${ref(channel)}/actions/${verb}`, body);
    toast(done);
    return null;
  } catch (fault) {
    return asProblem(fault);
  }
}

function ChannelPacks({ channel, packs }: { channel: StoredChannel; packs: readonly StoredPack[] }) {
  const writes = may("channels:write");
  const names = [...new Set([...Object.keys(channel.packs), ...packs.map((pack) => pack.pack)])].sort(
    coreFirst,
  );
  const withdrawing = useSignal<string | null>(null);
  return (
    <section class="content-section" aria-label="Packs of the channel">
      <table class="content-table">
        <thead>
          <tr>
            <th>Pack</th>
            <th>Version</th>
            <th>Other versions that are loaded</th>
            <th>
              <span class="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {names.map((pack) => (
            <tr key={pack}>
              <th scope="row">{pack}</th>
              <td>
                {channel.packs[pack] ? (
                  <Link to={`/content/packs/${encodeURIComponent(`${pack}@${channel.packs[pack]}`)}`}>
                    {channel.packs[pack]}
                  </Link>
                ) : (
                  <span class="content-muted">not in it</span>
                )}
              </td>
              <td>
                <OtherVersions channel={channel} pack={pack} packs={packs} />
              </td>
              <td>
                {writes && channel.packs[pack] && pack !== "core" && (
                  <Button size="small" onClick={() => (withdrawing.value = pack)}>
                    Withdraw
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {withdrawing.value && (
        <MoveDialog
          title={`Withdraw ${withdrawing.value} from ${channel.name}`}
          action="Withdraw"
          text={WITHDRAWN}
          onMove={() =>
            move(
              channel.name,
              "withdraw",
              { pack: withdrawing.value },
              `${withdrawing.value} is withdrawn.`,
            )
          }
          onClose={() => (withdrawing.value = null)}
        />
      )}
    </section>
  );
}

function coreFirst(a: string, b: string): number {
  return Number(b === "core") - Number(a === "core") || a.localeCompare(b);
}

/** The versions that the channel does not have: each leads to the check, which comes before the promotion. */
function OtherVersions({
  channel,
  pack,
  packs,
}: {
  channel: StoredChannel;
  pack: string;
  packs: readonly StoredPack[];
}) {
  const others = packs
    .filter((row) => row.pack === pack && row.version !== channel.packs[pack])
    .sort(compareVersions)
    .reverse();
  if (others.length === 0) return <span class="content-muted">none</span>;
  const query = (version: string) =>
    new URLSearchParams({ pack, to: version, channel: channel.name }).toString();
  return (
    <ul class="content-names">
      {others.map((row) => (
        <li key={row.version}>
          <Link to={`/content/upgrade?${query(row.version)}`}>{row.version}: check and promote</Link>
        </li>
      ))}
    </ul>
  );
}

interface MoveDialogProps {
  title: string;
  text: string;
  action: string;
  onMove: () => Promise<ApiProblem | null>;
  onClose: () => void;
}

export function MoveDialog({ title, text, action, onMove, onClose }: MoveDialogProps) {
  const problem = useSignal<ApiProblem | null>(null);
  const moving = useSignal(false);
  const go = async () => {
    moving.value = true;
    problem.value = await onMove();
    moving.value = false;
    if (problem.value === null) onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      {problem.value && <Problem problem={problem.value} />}
      <div class="content-bar">
        <Button kind="primary" isBusy={moving.value} onClick={() => void go()}>
          {action}
        </Button>
        <Button onClick={onClose}>Cancel</Button>
      </div>
    </Dialog>
  );
}

function ChannelActions({ channel }: { channel: StoredChannel }) {
  const erasing = useSignal(false);
  const back = useSignal(false);
  const last = [...channel.status.history]
    .reverse()
    .find((one) => one.kind !== "rolled_back" && !one.undone);
  if (!may("channels:write")) return null;
  const erase = async () => {
    await api.del(`/channels/${ref(channel.name)}`);
    go("/content/channels");
  };
  return (
    <>
      <Button
        disabled={!last}
        title={last ? undefined : "There is no move to undo."}
        onClick={() => (back.value = true)}
      >
        Roll back
      </Button>
      {channel.name !== "prod" && (
        <Button kind="danger" onClick={() => (erasing.value = true)}>
          Delete
        </Button>
      )}
      {back.value && last && (
        <MoveDialog
          title={`Roll back ${channel.name}`}
          action="Roll back"
          text={`${moveWords(last)} This move is undone: ${undoWords(last)} ${RUNS_KEEP}`}
          onMove={() => move(channel.name, "rollback", {}, `${channel.name} is rolled back.`)}
          onClose={() => (back.value = false)}
        />
      )}
      {erasing.value && (
        <ConfirmErase
          title={`Delete channel ${channel.name}`}
          expected={channel.name}
          expectedIs="the channel's name"
          action="Delete"
          erases={[`Channel ${channel.name} with its history.`]}
          onConfirm={erase}
          onClose={() => (erasing.value = false)}
        />
      )}
    </>
  );
}

/** A move as a sentence. */
function moveWords(one: ChannelMove): string {
  const from = one.from ?? "nothing";
  if (one.kind === "promoted" && !one.from) return `${one.pack} ${one.to ?? ""} was added.`;
  if (one.kind === "withdrawn") return `${one.pack} ${from} was withdrawn.`;
  const verb = one.kind === "promoted" ? "was promoted" : "was rolled back";
  return `${one.pack} ${verb} from ${from} to ${one.to ?? "nothing"}.`;
}

function undoWords(one: ChannelMove): string {
  return one.from
    ? `the channel gets ${one.pack} ${one.from}.`
    : `the channel has no ${one.pack} any more.`;
}

function ChannelHistory({ channel }: { channel: StoredChannel }) {
  const moves = [...channel.status.history].reverse();
  const undoing = useSignal<string | null>(null);
  const latest = new Map<string, ChannelMove>();
  for (const one of moves) {
    if (!latest.has(one.pack) && one.kind !== "rolled_back" && !one.undone) latest.set(one.pack, one);
  }
  const chosen = undoing.value === null ? undefined : latest.get(undoing.value);
  return (
    <section class="content-section" aria-label="History">
      <h2>History</h2>
      {moves.length === 0 && <p class="content-note">The channel has not been moved.</p>}
      <ol class="content-history">
        {moves.map((one, i) => (
          <li key={i} class={one.undone ? "content-undone" : ""}>
            <Time at={one.at} /> {moveWords(one)}{" "}
            <span class="content-muted">
              by {one.by}
              {one.undone ? ", undone since" : ""}
            </span>
            {may("channels:write") && latest.get(one.pack) === one && (
              <Button size="small" onClick={() => (undoing.value = one.pack)}>
                Undo
              </Button>
            )}
          </li>
        ))}
      </ol>
      {chosen && (
        <MoveDialog
          title={`Roll back ${chosen.pack} on ${channel.name}`}
          action="Roll back"
          text={`${moveWords(chosen)} This move is undone: ${undoWords(chosen)}`}
          onMove={() =>
            move(channel.name, "rollback", { pack: chosen.pack }, `${chosen.pack} is rolled back.`)
          }
          onClose={() => (undoing.value = null)}
        />
      )}
    </section>
  );
}
