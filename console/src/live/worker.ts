// The shared worker: one hub for all tabs of the console.

import { Hub, type HubPort, type TabMessage } from "./hub";

interface SharedScope {
  onconnect: ((event: MessageEvent) => void) | null;
}

const hub = new Hub();

(globalThis as unknown as SharedScope).onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  const hubPort: HubPort = { send: (message) => port.postMessage(message) };
  port.onmessage = (told: MessageEvent<TabMessage>) => hub.hear(hubPort, told.data);
  hub.join(hubPort);
};
