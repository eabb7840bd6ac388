// The screens, with the address of one of each for the scene that the server has.

import type { Server } from "./server";
import { ASKING, INSTALLED } from "./scene";

export interface Place {
  name: string;
  path: string;
}

/** One place of each screen. */
export async function placesOf(server: Server): Promise<Place[]> {
  const runs = await server.ask<{ items: { id: string }[] }>("GET", `/runs?limit=1&sort=-created_at`);
  const run = runs.items[0]?.id ?? "none";
  return [
    { name: "overview", path: "/" },
    { name: "machines", path: "/machines" },
    { name: "machine", path: `/machines/name:${ASKING.name}` },
    { name: "run", path: `/runs/${run}` },
    { name: "explain", path: `/explain?who=${INSTALLED[0]}` },
    { name: "networks", path: "/networks" },
    { name: "content", path: "/content" },
    { name: "artifacts", path: "/artifacts" },
    { name: "activity", path: "/activity" },
    { name: "audit", path: "/activity?tab=audit" },
    { name: "settings", path: "/settings" },
    { name: "settings-tokens", path: "/settings?tab=tokens" },
    { name: "settings-sessions", path: "/settings?tab=sessions" },
    { name: "settings-views", path: "/settings?tab=views" },
    { name: "settings-server", path: "/settings?tab=server" },
    { name: "objects", path: "/objects" },
    { name: "objects-list", path: "/objects/tasks" },
    { name: "object", path: "/objects/settings/unknown_machine" },
  ];
}
