/** The head of each page of content, with the parts of the screen as tabs. */

import type { ComponentChildren } from "preact";

import { Link } from "../../app/router";
import { PageHeader } from "./kit";
import { NOUNS } from "./nouns";

const PARTS: readonly { key: string; title: string }[] = [
  { key: "packs", title: "Packs" },
  { key: "channels", title: "Channels" },
  { key: "layers", title: "Layers" },
  ...NOUNS.map((view) => ({ key: view.noun, title: view.title })),
];

export interface ContentHeaderProps {
  part: string;
  title: string;
  subtitle?: ComponentChildren;
  actions?: ComponentChildren;
}

export function ContentHeader({ part, title, subtitle, actions }: ContentHeaderProps) {
  return (
    <PageHeader title={title} subtitle={subtitle} actions={actions} tabs={<PartLinks part={part} />} />
  );
}

function PartLinks({ part }: { part: string }) {
  return (
    <nav class="content-parts" aria-label="Content">
      {PARTS.map(({ key, title }) => (
        <Link key={key} to={`/content/${key}`} aria-current={key === part ? "page" : undefined}>
          {title}
        </Link>
      ))}
    </nav>
  );
}
