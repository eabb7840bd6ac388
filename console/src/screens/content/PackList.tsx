/** The packs that are loaded, and the upload of another one. */

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";

import { go, Link } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { problemOf, type ApiProblem } from "../../api/problem";
import { asProblem } from "../../api/client";
import type { StoredChannel, StoredPack } from "./contentData";
import { ContentHeader } from "./ContentHeader";
import { Button, Bytes, Empty, Loading, Problem, Time, toast } from "./kit";

export function PackList() {
  const packs = useCollection<StoredPack>("packs", {});
  const channels = useCollection<StoredChannel>("channels", {});
  const rows = [...packs.rows.value].sort((a, b) => a.pack.localeCompare(b.pack) || compareVersions(b, a));
  return (
    <>
      <ContentHeader
        part="packs"
        title="Packs"
        subtitle="Bundles of content, each in several versions. A channel says which version machines get."
        actions={may("packs:write") && <PackUpload />}
      />
      {packs.problem.value && <Problem problem={packs.problem.value} />}
      {packs.state.value === "loading" && <Loading />}
      {packs.state.value === "live" && rows.length === 0 && <Empty title="No pack is loaded" />}
      <ul class="content-cards">
        {rows.map((pack) => (
          <PackCard key={pack.name} pack={pack} channels={channels.rows.value} />
        ))}
      </ul>
    </>
  );
}

/** Numbers of versions count as numbers. */
export function compareVersions(a: { version: string }, b: { version: string }): number {
  return a.version.localeCompare(b.version, "en", { numeric: true });
}

function PackCard({ pack, channels }: { pack: StoredPack; channels: readonly StoredChannel[] }) {
  const followed = channels.filter((channel) => channel.packs[pack.pack] === pack.version);
  const requires = Object.entries(pack.requires ?? {});
  return (
    <li class="content-card">
      <h2>
        <Link to={`/content/packs/${encodeURIComponent(pack.name)}`}>
          {pack.pack} {pack.version}
        </Link>
      </h2>
      {pack.description && <p>{pack.description}</p>}
      <p class="content-muted">
        {pack.file_count} files, <Bytes value={pack.bytes} />. Loaded <Time at={pack.created_at} />.
      </p>
      <p>
        <SignatureWords pack={pack} /> {pack.licence ? `Licence ${pack.licence}.` : "No licence is named."}
        {requires.length > 0 &&
          ` Requires ${requires.map(([name, range]) => `${name} ${range}`).join(", ")}.`}
      </p>
      <p>
        {followed.length === 0 ? (
          <span class="content-muted">In no channel: no machine gets it.</span>
        ) : (
          <>
            In{" "}
            {followed.map((channel, i) => (
              <span key={channel.name}>
                {i > 0 && ", "}
                <Link to={`/content/channels/${channel.name}`}>{channel.name}</Link>
              </span>
            ))}
          </>
        )}
      </p>
    </li>
  );
}

export function SignatureWords({ pack }: { pack: StoredPack }) {
  if (pack.signed_by) return <span class="content-tag content-tag-on">signed by {pack.signed_by}</span>;
  if (pack.pack === "core") return <span class="content-tag">part of the program</span>;
  return <span class="content-tag">not signed</span>;
}

function PackUpload() {
  const file = useRef<HTMLInputElement>(null);
  const problem = useSignal<ApiProblem | null>(null);
  const sending = useSignal(false);
  const send = async (chosen: File) => {
    sending.value = true;
    problem.value = null;
    try {
      const pack = await pushPack(chosen);
      toast(`Pack ${pack.name} is loaded.`);
      go(`/content/packs/${encodeURIComponent(pack.name)}`);
    } catch (fault) {
      problem.value = asProblem(fault);
    }
    sending.value = false;
    if (file.current) file.current.value = "";
  };
  return (
    <>
      <input
        ref={file}
        type="file"
        hidden
        accept=".tar,.zst,.tar.zst"
        aria-label="Archive of a pack"
        onChange={(event) => {
          const chosen = event.currentTarget.files?.[0];
          if (chosen) void send(chosen);
        }}
      />
      <Button kind="primary" isBusy={sending.value} onClick={() => file.current?.click()}>
        Load an archive
      </Button>
      {problem.value && (
        <div class="content-refusal">
          <Problem problem={problem.value} />
          <Button onClick={() => (problem.value = null)}>Close</Button>
        </div>
      )}
    </>
  );
}

/** Has the server load a pack: a `.tar` or `.tar.zst`. */
async function pushPack(file: File): Promise<StoredPack> {
  const media = file.name.endsWith(".tar") ? "application/x-tar" : "application/zstd";
  const response = await fetch("/api/v1/packs", {
    method: "POST",
    body: file,
    credentials: "same-origin",
    headers: { "Content-Type": media, Accept: "application/json" },
  });
  if (!response.ok) throw await problemOf(response);
  return (await response.json()) as StoredPack;
}
