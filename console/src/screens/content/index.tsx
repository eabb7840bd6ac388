/** The screen of content: packs, channels and layers, and the objects that they give. */

import { go } from "../../app/router";
import type { Command, Screen } from "../../app/screen";
import { ChannelList } from "./ChannelList";
import { ChannelPage } from "./ChannelPage";
import "./content.css";
import { ObjectList } from "./ObjectList";
import { LayersPage } from "./LayersPage";
import { NOUNS } from "./nouns";
import { ObjectPage } from "./ObjectPage";
import { PackList } from "./PackList";
import { PackPage } from "./PackPage";
import { TemplatePage } from "./TemplatePage";
import { UpgradePage } from "./UpgradePage";

const name = (params: Record<string, string>): string => params["name"] ?? "";

/** The parts of the screen, as commands of the palette. */
const PARTS: readonly Command[] = ["packs", "channels", "layers", ...NOUNS.map((view) => view.noun)].map(
  (part) => ({
    id: `content-${part}`,
    title: `Content: ${part}`,
    run: () => go(`/content/${part}`),
  }),
);

const pages: Screen[] = [
  {
    path: "/content",
    title: () => "Content",
    needs: "packs:read",
    key: "c",
    view: PackList,
    nav: { label: "Content", group: "Content", order: 1, icon: "content" },
  },
  { path: "/content/packs", title: () => "Packs", needs: "packs:read", view: PackList },
  { path: "/content/packs/:name", title: name, needs: "packs:read", view: PackPage },
  { path: "/content/channels", title: () => "Channels", needs: "channels:read", view: ChannelList },
  { path: "/content/channels/:name", title: name, needs: "channels:read", view: ChannelPage },
  { path: "/content/upgrade", title: () => "Upgrade", needs: "packs:read", view: UpgradePage },
  { path: "/content/layers", title: () => "Layers", needs: "overrides:read", view: LayersPage },
  { path: "/content/templates/:name*", title: name, needs: "templates:read", view: TemplatePage },
  ...NOUNS.map((view): Screen => ({
    path: `/content/${view.noun}`,
    title: () => view.title,
    needs: `${view.noun}:read`,
    view: () => <ObjectList view={view} />,
  })),
  { path: "/content/:noun/:name*", title: name, view: ObjectPage },
];

export const screens: Screen[] = pages.map((page) => ({ ...page, commands: () => [...PARTS] }));
