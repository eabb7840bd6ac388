// The console: one page over the public API. app/layout.tsx has the frame, screens/index.ts what is in it.

import { render } from "preact";
import "./style/base.css";
import "./style/theme";
import { Layout } from "./app/layout";
import { loadSession } from "./app/session";
import { startFeed } from "./live/feed";

startFeed();
void loadSession();
const root = document.getElementById("app");
if (root) render(<Layout />, root);
