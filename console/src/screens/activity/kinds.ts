// Kinds of events that the filter offers. Any other that the server knows can be typed; `metalwright events
// kinds` lists them with their meaning.

const NOUNS = [
  "artifact",
  "bootenv",
  "channel",
  "client_class",
  "machine",
  "override",
  "pack",
  "param",
  "profile",
  "reservation",
  "setting",
  "stage",
  "subnet",
  "task",
  "template",
  "token",
  "view",
  "workflow",
];
const AREAS: Record<string, string> = {
  artifact: "asked state_changed progress pruned",
  boot:
    "attempt_started attempt_ended decided script_fetched kernel_fetched answer_fetched file_served " +
    "rendered render_failed denied file_absent screen log installer_asks installer_log done failed " +
    "stopped loop_stopped no_loader stranger_ignored",
  channel: "promoted rolled_back",
  dhcp:
    "offered leased renewed refused released declined informed boot_served ignored no_subnet " +
    "pool_empty malformed expired address_in_use rival_server clock_set",
  job: "created started finished failed incomplete cancelled lost",
  lease: "imported deleted",
  machine:
    "address_changed armed disarmed similar_mac told_to_reboot agent_token_reissued " + "params_generated",
  pack: "installed",
  run:
    "started step_done installation_confirmed paused resumed retried failed overdue held " +
    "step_skipped step_marked_done pause_planned live_system_lost cancelled completed ended " +
    "refreshed faults_accepted",
  server: "pruned backed_up restored rows_set_aside key_rotated store_recovered",
  session: "began ended",
  token: "recovered",
};

const named = Object.entries(AREAS).flatMap(([area, words]) =>
  words.split(" ").map((word) => `${area}.${word}`),
);
const written = NOUNS.flatMap((noun) => ["created", "updated", "deleted"].map((verb) => `${noun}.${verb}`));
const areas = [...new Set([...Object.keys(AREAS), ...NOUNS])].map((area) => `${area}.*`);

export const EVENT_KINDS: readonly string[] = [...new Set([...areas, ...named, ...written])].sort();
