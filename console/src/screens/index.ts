// All screens, one line a folder.

import type { Screen } from "../app/screen";
import { screens as activity } from "./activity";
import { screens as artifacts } from "./artifacts";
import { screens as content } from "./content";
import { screens as explain } from "./explain";
import { screens as machine } from "./machine";
import { screens as machines } from "./machines";
import { screens as networks } from "./networks";
import { screens as overview } from "./overview";
import { screens as run } from "./run";
import { screens as settings } from "./settings";

export const SCREENS: readonly Screen[] = [
  ...overview,
  ...machines,
  ...machine,
  ...run,
  ...explain,
  ...networks,
  ...content,
  ...artifacts,
  ...activity,
  ...settings,
];
