/** What another version of a pack would change on which machines, and then its promotion. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { go, location, setQuery } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { ChangeGroups } from "./ChangeGroups";
import { MoveDialog } from "./ChannelPage";
import type { StoredChannel, StoredPack } from "./contentData";
import { ContentHeader } from "./ContentHeader";
import { Button, Problem } from "./kit";
import { compareVersions } from "./PackList";
import { failingMachines, joinReports, reportSentence, type UpgradeReport } from "./upgradeReport";
import { toast } from "./kit";

interface Choice {
  pack: string;
  to: string;
  channel: string;
  sample: string;
}

export function UpgradePage() {
  const packs = useCollection<StoredPack>("packs", {}).rows.value;
  const channels = useCollection<StoredChannel>("channels", {}).rows.value;
  const query = location.value.query;
  const pack = query.get("pack") ?? "core";
  const versions = packs
    .filter((row) => row.pack === pack)
    .sort(compareVersions)
    .map((row) => row.version);
  const choice: Choice = {
    pack,
    channel: query.get("channel") ?? "prod",
    sample: query.get("sample") ?? "",
    to: query.get("to") ?? versions.at(-1) ?? "",
  };
  const present = channels.find((channel) => channel.name === choice.channel)?.packs[pack];
  return (
    <>
      <ContentHeader
        part="channels"
        title={`Upgrade ${pack} on ${choice.channel}`}
        subtitle="All texts of each machine are rendered with both versions. Nothing is changed."
      />
      <UpgradeChoice choice={choice} packs={packs} channels={channels} versions={versions} />
      <p class="content-note">
        {choice.channel} has {present ? `${pack} ${present}` : `no ${pack}`}.
      </p>
      <UpgradeCheck key={JSON.stringify(choice)} choice={choice} present={present} />
    </>
  );
}

interface UpgradeChoiceProps {
  choice: Choice;
  packs: readonly StoredPack[];
  channels: readonly StoredChannel[];
  versions: readonly string[];
}

function UpgradeChoice({ choice, packs, channels, versions }: UpgradeChoiceProps) {
  const names = [...new Set(packs.map((pack) => pack.pack))].sort();
  const set = (name: string) => (value: string) => setQuery({ [name]: value }, { replace: true });
  return (
    <div class="content-bar">
      <Choose
        label="Pack"
        value={choice.pack}
        values={names}
        onChoose={(pack) => setQuery({ pack, to: undefined })}
      />
      <Choose label="Version" value={choice.to} values={versions} onChoose={set("to")} />
      <Choose
        label="Channel"
        value={choice.channel}
        values={channels.map((one) => one.name)}
        onChoose={set("channel")}
      />
      <label class="content-choice">
        <span>Machines</span>
        <input
          type="number"
          min={1}
          placeholder="all"
          value={choice.sample}
          onChange={(event) => set("sample")(event.currentTarget.value)}
        />
      </label>
    </div>
  );
}

interface ChooseProps {
  label: string;
  value: string;
  values: readonly string[];
  onChoose: (value: string) => void;
}

function Choose({ label, value, values, onChoose }: ChooseProps) {
  return (
    <label class="content-choice">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        {values.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Asks page by page. */
async function check(
  choice: Choice,
  tell: (report: UpgradeReport) => void,
  stop: AbortSignal,
): Promise<void> {
  let report: UpgradeReport | null = null;
  do {
    const body: Record<string, unknown> = { to: choice.to, channel: choice.channel };
    if (choice.sample !== "") body["sample"] = Number(choice.sample);
    if (report?.next) body["after"] = report.next;
    const page = await api.post<UpgradeReport>(`/packs/${ref(choice.pack)}/actions/check`, body, {
      signal: stop,
    });
    report = joinReports(report, page);
    tell(report);
  } while (report.next !== null && !stop.aborted);
}

function UpgradeCheck({ choice, present }: { choice: Choice; present: string | undefined }) {
  const report = useSignal<UpgradeReport | null>(null);
  const problem = useSignal<ApiProblem | null>(null);
  const running = useSignal(false);
  const promoting = useSignal(false);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const begin = async () => {
    const own = new AbortController();
    stop.current = own;
    running.value = true;
    problem.value = null;
    try {
      await check(choice, (next) => (report.value = next), own.signal);
    } catch (fault) {
      if (!own.signal.aborted) problem.value = asProblem(fault);
    }
    running.value = false;
  };
  const known = report.value;
  const checked = known !== null && known.next === null && !running.value;
  return (
    <>
      <div class="content-bar">
        {!running.value && (
          <Button
            kind={known ? "plain" : "primary"}
            disabled={choice.to === ""}
            onClick={() => void begin()}
          >
            {known ? "Check again" : "Check"}
          </Button>
        )}
        {running.value && <Button onClick={() => stop.current?.abort()}>Stop</Button>}
        {may("channels:write") && (
          <Button
            kind={checked ? "primary" : "plain"}
            disabled={!known || running.value || choice.to === present}
            title={promoteHint(known !== null, choice.to === present)}
            onClick={() => (promoting.value = true)}
          >
            Promote {choice.pack} {choice.to}
          </Button>
        )}
      </div>
      {problem.value && <Problem problem={problem.value} />}
      {known && (
        <>
          <progress
            class="content-progress"
            value={known.checked}
            max={Math.max(1, known.total)}
            aria-label="Machines checked"
          />
          <p role="status" class={failingMachines(known) > 0 ? "content-bad" : ""}>
            {reportSentence(known)}
          </p>
          <ChangeGroups groups={known.groups} />
        </>
      )}
      {promoting.value && known && (
        <MoveDialog
          title={`Promote ${choice.pack} ${choice.to} on ${choice.channel}`}
          action="Promote"
          text={promoteWords(known)}
          onMove={() => promote(choice)}
          onClose={() => (promoting.value = false)}
        />
      )}
    </>
  );
}

function promoteHint(known: boolean, same: boolean): string | undefined {
  if (same) return "The channel has this version.";
  return known ? undefined : "Check first what it would change.";
}

function promoteWords(report: UpgradeReport): string {
  const whole = report.next === null ? "" : " The check was stopped: not all machines were looked at.";
  return (
    `${reportSentence(report)}${whole} Runs that begin from now on get it; others keep theirs. ` +
    "A rollback undoes it."
  );
}

async function promote(choice: Choice): Promise<ApiProblem | null> {
  try {
    await api.post(`/channels/${ref(choice.channel)}/actions/promote`, {
      pack: choice.pack,
      version: choice.to,
    });
    toast(`${choice.channel} has ${choice.pack} ${choice.to} now.`);
    go(`/content/channels/${encodeURIComponent(choice.channel)}`);
    return null;
  } catch (fault) {
    return asProblem(fault);
  }
}
