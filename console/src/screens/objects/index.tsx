// Generic pages for every noun of the API, so that whatever it has can be seen and changed: all lists, the
// list of a noun, and an object. Screens of their own show the same objects better.

import type { Screen } from "../../app/screen";
import { go } from "../../app/router";
import { may } from "../../app/session";
import { AllLists } from "./all";
import { ObjectList } from "./list";
import { ObjectPage } from "./object";
import { NOUNS } from "./nouns";
import "./objects.css";

const titleOf = (plural: string | undefined): string =>
  NOUNS.find((noun) => noun.plural === plural)?.title ?? plural ?? "Objects";

export const screens: Screen[] = [
  {
    path: "/objects",
    title: () => "All objects",
    nav: { label: "All objects", group: "Server", order: 15, icon: "code" },
    view: () => <AllLists />,
    commands: () =>
      NOUNS.filter((noun) => may(`${noun.plural}:read`)).map((noun) => ({
        id: `objects-${noun.plural}`,
        title: `Objects: ${noun.title}`,
        run: () => go(`/objects/${noun.plural}`),
      })),
  },
  {
    path: "/objects/:kind",
    title: (params) => titleOf(params["kind"]),
    view: ({ params }) => <ObjectList key={params["kind"]} plural={params["kind"] ?? ""} />,
  },
  {
    path: "/objects/:kind/:ref*",
    title: (params) => `${params["ref"] ?? ""} · ${titleOf(params["kind"])}`,
    view: ({ params }) => (
      <ObjectPage
        key={`${params["kind"]}/${params["ref"]}`}
        plural={params["kind"] ?? ""}
        reference={params["ref"] ?? ""}
      />
    ),
  },
];
