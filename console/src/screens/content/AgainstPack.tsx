/**
 * The site's text of a template against what a pack brings, and the merge with another version of the pack.
 */

import { useMemo } from "preact/hooks";

import { location, setQuery } from "../../app/router";
import { useCollection } from "../../live/collection";
import { MergePane } from "../../ui/editor/EditorPane";
import { packOf, type StoredContent, type StoredPack } from "./contentData";
import { Button, Diff, toast } from "./kit";
import { unifiedDiff } from "./lineDiff";
import { conflictCount, mergedText, mergeTexts } from "./merge3";
import { compareVersions } from "./PackList";
import { usePackText } from "./packText";

interface AgainstPackProps {
  template: StoredContent;
  /** Puts a text into the editor; nothing is saved. */
  onTake: (text: string) => void;
}

/** The versions that the address names: the one that the site's text was made of, and the one to go to. */
export function AgainstPack({ template, onTake }: AgainstPackProps) {
  const hidden = (template.hides ?? []).map(packOf).find((pack) => pack !== null) ?? "";
  const [pack = ""] = hidden.split("@");
  const filter = useMemo(() => new URLSearchParams({ pack }), [pack]);
  const versions = useCollection<StoredPack>("packs", { filter }).rows.value;
  const names = [...versions].sort(compareVersions).map((row) => row.name);
  const query = location.value.query;
  const to = query.get("to") ?? hidden;
  const from = query.get("from") ?? to;
  const before = usePackText(from, template.name).body;
  const after = usePackText(to, template.name).body;
  return (
    <>
      <div class="content-bar">
        <VersionChoice label="Made of" name="from" value={from} names={names} />
        <VersionChoice label="Compared with" name="to" value={to} names={names} />
      </div>
      {before === undefined || after === undefined ? (
        <p class="content-note">
          The pack's text is being read. A version without this template has nothing to compare.
        </p>
      ) : (
        <Comparison template={template} before={before} after={after} to={to} onTake={onTake} />
      )}
    </>
  );
}

interface VersionChoiceProps {
  label: string;
  name: "from" | "to";
  value: string;
  names: readonly string[];
}

function VersionChoice({ label, name, value, names }: VersionChoiceProps) {
  const choose = (chosen: string) => setQuery({ [name]: chosen }, { replace: true });
  return (
    <label class="content-choice">
      <span>{label}</span>
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {names.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

interface ComparisonProps extends AgainstPackProps {
  before: string;
  after: string;
  to: string;
}

function Comparison({ template, before, after, to, onTake }: ComparisonProps) {
  const own = template.body ?? "";
  if (before === after) {
    const diff = unifiedDiff(template.name, after, own);
    if (diff === "") return <p>The texts are the same: delete the site's.</p>;
    return (
      <>
        <p class="content-note">Lines with a minus are the pack's, lines with a plus the site's.</p>
        <Diff unified={diff} />
      </>
    );
  }
  const parts = mergeTexts(before, own, after);
  const merged = mergedText(parts);
  const conflicts = conflictCount(parts);
  const take = () => {
    onTake(merged);
    toast("The merged text is in the editor. It is not saved.");
  };
  return (
    <>
      <p class="content-note">
        On the right is the site's text with what {to} changed.{" "}
        {conflicts > 0 && `${conflicts} places were changed by both: they stand between marks.`}
      </p>
      <MergePane
        language="jinja"
        left={{ text: own, label: "The site's text" }}
        right={{ text: merged, label: "The merged text" }}
      />
      <div class="content-bar">
        <Button onClick={take}>Take the merged text into the editor</Button>
      </div>
    </>
  );
}
