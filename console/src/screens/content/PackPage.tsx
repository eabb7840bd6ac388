/** One version of a pack: what it is, its files, what the lints find, and other versions. */

import { useSignal } from "@preact/signals";

import { api, ref } from "../../api/client";
import { useQuery } from "../../api/query";
import { go, href, Link, location, setQuery, type Params } from "../../app/router";
import { may } from "../../app/session";
import { useCollection, useObject } from "../../live/collection";
import { EditorPane } from "../../ui/editor/EditorPane";
import type { EditorLanguage } from "../../ui/editor/types";
import type { StoredChannel, StoredPack } from "./contentData";
import { ContentHeader } from "./ContentHeader";
import {
  Button,
  Bytes,
  ConfirmErase,
  Copy,
  KeyValue,
  Loading,
  openTab,
  Problem,
  Tabs,
  Time,
  toast,
} from "./kit";
import { PackFindings } from "./PackFindings";
import { SignatureWords } from "./PackList";
import { packFiles, type PackFileRow } from "./packText";
import { PackVersions } from "./PackVersions";

const TABS = [
  { id: "files", label: "Files" },
  { id: "findings", label: "Findings" },
  { id: "diff", label: "Other versions" },
];

export function PackPage({ params }: { params: Params }) {
  const name = params["name"] ?? "";
  const pack = useObject<StoredPack>("packs", name);
  const found = pack.value.value;
  const tab = openTab(TABS);
  if (pack.problem.value && !found) {
    return (
      <>
        <ContentHeader part="packs" title={name} />
        <Problem problem={pack.problem.value} />
      </>
    );
  }
  if (!found) return <Loading />;
  return (
    <>
      <ContentHeader
        part="packs"
        title={`${found.pack} ${found.version}`}
        subtitle={found.description}
        actions={<PackActions pack={found} />}
      />
      <PackFacts pack={found} />
      <Tabs tabs={TABS} label="About the pack" />
      {tab === "files" && <PackFiles pack={found} />}
      {tab === "findings" && <PackFindings pack={found} />}
      {tab === "diff" && <PackVersions pack={found} />}
    </>
  );
}

function PackFacts({ pack }: { pack: StoredPack }) {
  const channels = useCollection<StoredChannel>("channels", {}).rows.value;
  const followed = channels.filter((channel) => channel.packs[pack.pack] === pack.version);
  const requires = Object.entries(pack.requires ?? {})
    .map(([name, range]) => `${name} ${range}`)
    .join(", ");
  return (
    <KeyValue
      pairs={[
        ["Signature", <SignatureWords pack={pack} />],
        ["Licence", pack.licence || "none is named"],
        ["Requires", requires || "nothing"],
        ["Priority", `${pack.priority}: the pack with the higher number wins`],
        [
          "Files",
          <>
            {pack.file_count}, <Bytes value={pack.bytes} />
          </>,
        ],
        [
          "Digest",
          <>
            <code class="content-break">{pack.digest}</code> <Copy text={pack.digest} />
          </>,
        ],
        ["Loaded", <Time at={pack.created_at} />],
        [
          "Channels",
          followed.length === 0 ? (
            "none: no machine gets it"
          ) : (
            <>
              {followed.map((channel) => (
                <Link key={channel.name} to={`/content/channels/${channel.name}`}>
                  {channel.name}{" "}
                </Link>
              ))}
            </>
          ),
        ],
      ]}
    />
  );
}

function PackActions({ pack }: { pack: StoredPack }) {
  const erasing = useSignal(false);
  const erase = async () => {
    await api.del(`/packs/${ref(pack.name)}`);
    toast(`Pack ${pack.name} is deleted.`);
    go("/content/packs");
  };
  return (
    <>
      <a class="button plain normal" href={`/api/v1/packs/${ref(pack.name)}/archive`} download>
        Export
      </a>
      <Link class="button plain normal" to={`/content/upgrade?pack=${pack.pack}&to=${pack.version}`}>
        Check the upgrade
      </Link>
      {may("packs:write") && (
        <Button kind="danger" onClick={() => (erasing.value = true)}>
          Delete
        </Button>
      )}
      {erasing.value && (
        <ConfirmErase
          title={`Delete pack ${pack.name}`}
          expected={pack.name}
          expectedIs="the pack's name"
          action="Delete"
          erases={[`The ${pack.file_count} files of ${pack.name}. A channel cannot go back to it.`]}
          onConfirm={erase}
          onClose={() => (erasing.value = false)}
        />
      )}
    </>
  );
}

function languageOfFile(path: string): EditorLanguage {
  if (path.startsWith("templates/")) return "jinja";
  if (/\.ya?ml$/.test(path)) return "yaml";
  return path.startsWith("verbatim/") ? "shell" : "text";
}

function PackFiles({ pack }: { pack: StoredPack }) {
  const files = useQuery(`files of ${pack.name} ${pack.digest}`, (stop) => packFiles(pack.name, stop));
  const wanted = location.value.query.get("file");
  if (files.problem.value) return <Problem problem={files.problem.value} onRetry={files.reload} />;
  const items = files.data.value?.items;
  if (!items) return <Loading />;
  const shown = items.find((file) => file.path === wanted) ?? items[0];
  return (
    <div class="content-files">
      <nav aria-label="Files of the pack" class="content-file-list">
        <ul>
          {items.map((file) => (
            <FileLink key={file.path} file={file} chosen={file === shown} />
          ))}
        </ul>
      </nav>
      {shown && (
        <section aria-label={shown.path}>
          <p class="content-note">
            <strong>{shown.path}</strong> <Bytes value={shown.bytes} />{" "}
            <Copy text={shown.text} label="Copy the file" />
          </p>
          <EditorPane
            class="content-editor"
            value={shown.text}
            language={languageOfFile(shown.path)}
            readOnly
            label={shown.path}
            key={shown.path}
          />
        </section>
      )}
    </div>
  );
}

function FileLink({ file, chosen }: { file: PackFileRow; chosen: boolean }) {
  const query = new URLSearchParams(location.value.query);
  query.set("file", file.path);
  return (
    <li>
      <a
        href={`${href(location.value.path)}?${query.toString()}`}
        aria-current={chosen ? "true" : undefined}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          setQuery({ file: file.path }, { replace: true });
        }}
      >
        {file.path}
      </a>
    </li>
  );
}
