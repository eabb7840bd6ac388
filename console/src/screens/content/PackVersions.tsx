/** What differs between two versions of a pack, file by file. */

import { useMemo } from "preact/hooks";

import { useQuery } from "../../api/query";
import { location, setQuery } from "../../app/router";
import { useCollection } from "../../live/collection";
import type { StoredPack } from "./contentData";
import { fileChanges, type FileChange } from "./fileChanges";
import { Diff, Empty, Loading, Problem } from "./kit";
import { compareVersions } from "./PackList";
import { packFiles } from "./packText";

export function PackVersions({ pack }: { pack: StoredPack }) {
  const all = useCollection<StoredPack>("packs", {
    filter: useMemo(() => new URLSearchParams({ pack: pack.pack }), [pack.pack]),
  });
  const others = all.rows.value.filter((row) => row.name !== pack.name).sort(compareVersions);
  const older = others.filter((row) => compareVersions(row, pack) < 0).at(-1);
  const wanted = location.value.query.get("with");
  const other = others.find((row) => row.version === wanted) ?? older ?? others[0];
  if (all.state.value === "loading") return <Loading />;
  if (!other) return <Empty title="There is no other version of this pack" />;
  return (
    <section aria-label="Difference">
      <label class="content-choice">
        <span>Compare with</span>
        <select
          value={other.version}
          onChange={(event) => setQuery({ with: event.currentTarget.value }, { replace: true })}
        >
          {others.map((row) => (
            <option key={row.version} value={row.version}>
              {row.version}
            </option>
          ))}
        </select>
      </label>
      <VersionDiff before={other} after={pack} />
    </section>
  );
}

function VersionDiff({ before, after }: { before: StoredPack; after: StoredPack }) {
  const key = `difference ${before.digest} ${after.digest}`;
  const changes = useQuery(key, async (stop) => {
    const [old, now] = await Promise.all([packFiles(before.name, stop), packFiles(after.name, stop)]);
    return fileChanges(old.items, now.items);
  });
  if (changes.problem.value) return <Problem problem={changes.problem.value} onRetry={changes.reload} />;
  const list = changes.data.value;
  if (!list) return <Loading />;
  if (list.length === 0) return <Empty title="Both versions have the same files" />;
  return (
    <>
      <p class="content-note">
        From {before.version} to {after.version}: {list.length} files differ.
      </p>
      <ul class="content-groups">
        {list.map((change) => (
          <ChangedFile key={change.path} change={change} />
        ))}
      </ul>
    </>
  );
}

function ChangedFile({ change }: { change: FileChange }) {
  return (
    <li>
      <details class="content-group" open={change.kind === "changed"}>
        <summary>
          <span class="content-tag">{change.kind}</span> {change.path}
        </summary>
        <Diff unified={change.diff} />
      </details>
    </li>
  );
}
