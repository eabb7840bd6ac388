// All stories, in the order in which they begin: the long ones first.

import type { Story } from "../stage";
import { ACCESS } from "./access";
import { ACCESSIBILITY } from "./accessibility";
import { CONNECTION } from "./connection";
import { KEYBOARD } from "./keyboard";
import { SCREENS } from "./screens";
import { WHY } from "./why";

export const STORIES: Story[] = [
  ...ACCESSIBILITY,
  ...CONNECTION,
  ...WHY,
  ...KEYBOARD,
  ...ACCESS,
  ...SCREENS,
];
