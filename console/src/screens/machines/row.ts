// A machine as the list reads it: only the fields of the chosen columns are there.

export type MachineState =
  "registered" | "waiting" | "booting" | "running" | "held" | "failed" | "complete";

export const MACHINE_STATES: readonly MachineState[] = [
  "registered",
  "waiting",
  "booting",
  "running",
  "held",
  "failed",
  "complete",
];

export interface ProblemEntry {
  pointer: string;
  message: string;
  code?: string;
}

export interface MachineRow {
  id: string;
  name: string;
  macs?: string[];
  smbios_uuid?: string | null;
  serial?: string | null;
  arch?: string;
  workflow?: string | null;
  channel?: string | null;
  profiles?: string[];
  params?: Record<string, unknown>;
  labels?: Record<string, string>;
  locked?: boolean;
  source?: string;
  revision?: number;
  commit?: number;
  created_at?: string;
  updated_at?: string;
  problems?: ProblemEntry[];
  status?: MachineRowStatus;
}

export interface MachineRowStatus {
  state?: MachineState;
  reason?: string;
  since?: string;
  stage?: string;
  bootenv?: string;
  address?: string;
  armed_until?: string;
  erases?: string;
  last_seen?: string;
  cursor?: number;
  steps_total?: number;
  fruitless_attempts?: number;
  waiting?: {
    reason?: string;
    expected?: string;
    expected_by?: string;
    overdue?: boolean;
    overdue_at?: string;
  };
  run?: {
    id?: string;
    workflow?: string;
    started_at?: string;
    ended_at?: string;
    paused?: boolean;
    pause_reason?: string;
    rehearse?: boolean;
  };
}

/** The fields that the list always reads: identity, and what decides which actions make sense. */
export const BASE_FIELDS: readonly string[] = ["id", "name", "status.state", "locked", "commit"];
