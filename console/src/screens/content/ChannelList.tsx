/** The channels: which version of each pack each of them has, and who follows it. */

import { useSignal } from "@preact/signals";

import { api, asProblem, type ApiProblem } from "../../api/client";
import { useQuery } from "../../api/query";
import { go, Link } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import type { Page } from "../../api/client";
import type { StoredChannel, StoredPack } from "./contentData";
import { ContentHeader } from "./ContentHeader";
import { Button, Dialog, Loading, Problem, Time } from "./kit";
import { compareVersions } from "./PackList";

export function ChannelList() {
  const channels = useCollection<StoredChannel>("channels", {});
  const creating = useSignal(false);
  const rows = [...channels.rows.value].sort(
    (a, b) => channelRank(a) - channelRank(b) || a.name.localeCompare(b.name),
  );
  return (
    <>
      <ContentHeader
        part="channels"
        title="Channels"
        subtitle="Which version of each pack machines get. They follow prod unless something else is said."
        actions={
          may("channels:write") && (
            <Button kind="primary" onClick={() => (creating.value = true)}>
              Create a channel
            </Button>
          )
        }
      />
      {channels.problem.value && <Problem problem={channels.problem.value} />}
      {channels.state.value === "loading" && <Loading />}
      <ul class="content-cards">
        {rows.map((channel) => (
          <ChannelCard key={channel.name} channel={channel} />
        ))}
      </ul>
      {creating.value && <CreateChannel channels={rows} onClose={() => (creating.value = false)} />}
    </>
  );
}

function channelRank(channel: StoredChannel): number {
  return channel.name === "prod" ? 0 : 1;
}

function ChannelCard({ channel }: { channel: StoredChannel }) {
  const last = channel.status.history.at(-1);
  return (
    <li class="content-card">
      <h2>
        <Link to={`/content/channels/${channel.name}`}>{channel.name}</Link>
      </h2>
      {channel.description && <p>{channel.description}</p>}
      <ul class="content-names">
        {Object.entries(channel.packs).map(([pack, version]) => (
          <li key={pack}>
            <Link to={`/content/packs/${encodeURIComponent(`${pack}@${version}`)}`}>
              {pack} {version}
            </Link>
          </li>
        ))}
      </ul>
      <p class="content-muted">
        <Followers channel={channel.name} />
      </p>
      {last && (
        <p class="content-muted">
          Last move <Time at={last.at} /> by {last.by}.
        </p>
      )}
    </li>
  );
}

/** Who names a channel, and for `prod` who names none. */
export function Followers({ channel }: { channel: string }) {
  const isProd = channel === "prod";
  const counts = useQuery(`followers of ${channel}`, async (signal) => {
    const total = async (noun: string, query: Record<string, string>) => {
      const asked = { ...query, limit: 1, fields: "name" };
      return (await api.get<Page<unknown>>(`/${noun}`, asked, { signal, quiet: true })).total;
    };
    const [machines, profiles, others] = await Promise.all([
      total("machines", { channel }),
      total("profiles", { channel }),
      isProd ? total("machines", { "channel[exists]": "false" }) : 0,
    ]);
    return { machines, profiles, others };
  });
  const found = counts.data.value;
  if (!found) return <span>Counting who follows it …</span>;
  const query = `channel=${encodeURIComponent(channel)}`;
  return (
    <span>
      Named by <Link to={`/machines?${query}`}>{found.machines} machines</Link> and {found.profiles}{" "}
      profiles.
      {isProd && (
        <>
          {" "}
          <Link to="/machines?channel[exists]=false">{found.others} machines</Link> name no channel: they
          follow it, unless a profile names another.
        </>
      )}
    </span>
  );
}

function CreateChannel({ channels, onClose }: { channels: readonly StoredChannel[]; onClose: () => void }) {
  const packs = useCollection<StoredPack>("packs", {}).rows.value;
  const name = useSignal("");
  const description = useSignal("");
  const like = useSignal("prod");
  const problem = useSignal<ApiProblem | null>(null);
  const create = async (event: Event) => {
    event.preventDefault();
    const base = channels.find((channel) => channel.name === like.value)?.packs ?? newestOfEach(packs);
    const body = {
      name: name.value,
      packs: base,
      ...(description.value ? { description: description.value } : {}),
    };
    try {
      await api.post("/channels", body);
      go(`/content/channels/${encodeURIComponent(name.value)}`);
    } catch (fault) {
      problem.value = asProblem(fault);
    }
  };
  return (
    <Dialog title="Create a channel" onClose={onClose}>
      <form class="content-form" onSubmit={(event) => void create(event)}>
        <label>
          Name{" "}
          <input
            required
            value={name.value}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        </label>
        <label>
          Description
          <input
            value={description.value}
            onInput={(event) => (description.value = event.currentTarget.value)}
          />
        </label>
        <label>
          With the packs of
          <select value={like.value} onChange={(event) => (like.value = event.currentTarget.value)}>
            {channels.map((channel) => (
              <option key={channel.name} value={channel.name}>
                {channel.name}
              </option>
            ))}
            <option value="">the newest versions that are loaded</option>
          </select>
        </label>
        {problem.value && <Problem problem={problem.value} />}
        <div class="content-bar">
          <Button kind="primary" type="submit">
            Create
          </Button>
          <Button onClick={onClose}>Cancel</Button>
        </div>
      </form>
    </Dialog>
  );
}

function newestOfEach(packs: readonly StoredPack[]): Record<string, string> {
  const sorted = [...packs].sort(compareVersions);
  return Object.fromEntries(sorted.map((pack) => [pack.pack, pack.version]));
}
