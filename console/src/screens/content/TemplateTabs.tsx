/** Below the editor: what would change, the blocks and hooks, the uses, and the layers of the template. */

import { setQuery } from "../../app/router";
import { may } from "../../app/session";
import { openTab, Tabs } from "./kit";
import { originOf, type ContentData, type StoredContent, type StoredOverride } from "./contentData";
import { AgainstPack } from "./AgainstPack";
import { ImpactPanel } from "./ImpactPanel";
import type { ImpactQuestion } from "./saveImpact";
import type { TemplateDraft } from "./templateDraft";
import { BlockList, ReferenceLists } from "./TemplateSide";

export interface TemplateTabsProps {
  template: StoredContent;
  data: ContentData;
  overrides: readonly StoredOverride[];
  draft: TemplateDraft;
  impact: ImpactQuestion;
  onLine: (line: number) => void;
}

export function TemplateTabs(props: TemplateTabsProps) {
  const { template, data, overrides, draft } = props;
  const hides = (template.hides ?? []).length > 0;
  const tabs = [
    { id: "blocks", label: "Blocks and hooks" },
    { id: "changes", label: draft.dirty.value ? "What would change" : "Who gets it" },
    { id: "uses", label: "Used by" },
    ...(hides ? [{ id: "pack", label: "Against the pack" }] : []),
  ];
  const tab = openTab(tabs);
  return (
    <div class="content-below">
      <Tabs tabs={tabs} label="About the template" />
      {tab === "blocks" && (
        <BlockList
          template={template}
          overrides={overrides}
          canOverride={originOf(template.source) !== "site" && may("overrides:write")}
          onOverride={(block) => setQuery({ block, replace: undefined })}
          onLine={props.onLine}
        />
      )}
      {tab === "changes" && <ImpactPanel question={props.impact} />}
      {tab === "uses" && <ReferenceLists data={data} noun="templates" name={template.name} />}
      {tab === "pack" && <AgainstPack template={template} onTake={(text) => (draft.text.value = text)} />}
    </div>
  );
}
