/** What belongs to a template besides its text: its blocks and hooks, and what uses it and what it uses. */

import { Link } from "../../app/router";
import { templateBlocks, templateReads, type TemplateBlock } from "../../ui/editor/blocks";
import { Button } from "./kit";
import { pageOf, type ContentData, type StoredContent, type StoredOverride } from "./contentData";
import { referenceKey, type ContentNoun } from "./references";
import { loaderScript } from "./saveImpact";

export interface BlockListProps {
  template: StoredContent;
  overrides: readonly StoredOverride[];
  /** Whether the token may write overrides, and the pack's text is in force. */
  canOverride: boolean;
  onOverride: (block: string) => void;
  onLine: (line: number) => void;
}

/** The blocks of a template: each can be replaced without a copy of the rest. */
export function BlockList({ template, overrides, canOverride, onOverride, onLine }: BlockListProps) {
  const body = template.body ?? "";
  const blocks = template.verbatim ? [] : templateBlocks(body);
  const optional = templateReads(body).optional;
  return (
    <div class="content-blocks">
      {blocks.length === 0 && (
        <p class="content-note">
          This template has no blocks. An override can change its description only.
        </p>
      )}
      <ul>
        {blocks.map((block) => (
          <BlockRow
            key={`${block.name}-${block.line}`}
            block={block}
            canOverride={canOverride}
            override={overrideOf(overrides, block.name)}
            onOverride={() => onOverride(block.name)}
            onLine={() => onLine(block.line)}
          />
        ))}
      </ul>
      {optional.length > 0 && (
        <p class="content-note">
          Includes, once they exist:{" "}
          {optional.map((name, i) => (
            <span key={name}>
              {i > 0 && ", "}
              <Link to={pageOf("templates", name)}>{name}</Link>
            </span>
          ))}
        </p>
      )}
    </div>
  );
}

function overrideOf(overrides: readonly StoredOverride[], block: string): StoredOverride | undefined {
  return overrides.find((override) => override.blocks !== undefined && block in override.blocks);
}

interface BlockRowProps {
  block: TemplateBlock;
  override: StoredOverride | undefined;
  canOverride: boolean;
  onOverride: () => void;
  onLine: () => void;
}

function BlockRow({ block, override, canOverride, onOverride, onLine }: BlockRowProps) {
  const isHook = /^(before|after)_/.test(block.name);
  return (
    <li class="content-block" data-depth={Math.min(block.depth, 3)}>
      <button type="button" class="content-link" onClick={onLine}>
        {block.name}
      </button>
      <span class="content-muted">line {block.line}</span>
      {isHook && block.empty && <span class="content-tag">hook, empty</span>}
      {override && <span class="content-tag content-tag-on">override {override.name}</span>}
      {canOverride && (
        <Button size="small" onClick={onOverride}>
          {override ? "Edit the override" : "Override"}
        </Button>
      )}
    </li>
  );
}

const TITLES: Record<ContentNoun, string> = {
  templates: "template",
  bootenvs: "bootenv",
  stages: "stage",
  tasks: "task",
  workflows: "workflow",
  profiles: "profile",
  params: "param",
};

/** References of an object, both ways. */
export function ReferenceLists({
  data,
  noun,
  name,
}: {
  data: ContentData;
  noun: ContentNoun;
  name: string;
}) {
  const key = referenceKey(noun, name);
  const usedBy = data.index.value.usedBy.get(key) ?? [];
  const uses = data.index.value.uses.get(key) ?? [];
  return (
    <div class="content-references">
      <ReferenceList title="Used by" references={usedBy} none={unusedWords(noun, name)} />
      <ReferenceList title="Uses" references={uses} none="It uses nothing." data={data} />
    </div>
  );
}

function unusedWords(noun: ContentNoun, name: string): string {
  const script = noun === "templates" ? loaderScript(name) : null;
  if (script) return `The program makes the loader's script ${script} of it.`;
  return "Nothing of the content in force uses it.";
}

interface ReferenceListProps {
  title: string;
  references: readonly { noun: ContentNoun; name: string; how: string }[];
  none: string;
  /** With it, names that do not exist are marked. */
  data?: ContentData;
}

function ReferenceList({ title, references, none, data }: ReferenceListProps) {
  const exists = (noun: ContentNoun, name: string) =>
    !data || data.loading.value || data.objects.value[noun].some((object) => object.name === name);
  return (
    <section>
      <h3>
        {title} <span class="content-muted">{references.length}</span>
      </h3>
      {references.length === 0 && <p class="content-note">{none}</p>}
      <ul>
        {references.map(({ noun, name, how }) => (
          <li key={`${noun}/${name}/${how}`}>
            <span class="content-muted">{TITLES[noun]}</span> <Link to={pageOf(noun, name)}>{name}</Link>{" "}
            <span class="content-muted">{how}</span>
            {!exists(noun, name) && <span class="content-tag">does not exist</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
