// What the tabs read: the status of DHCP by polling, because it is not in the change feed, and machine names.

import { useComputed, useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../../api/client";
import { useQuery, type QueryResult } from "../../api/query";
import { useCollection } from "../../live/collection";
import type { DhcpStatus } from "./types";

/** How often the status is read while the page is visible. */
const STATUS_MS = 5000;
/** How often bars and states are drawn again, because leases end without an event. */
const CLOCK_MS = 5000;

/** The status of DHCP, read again every five seconds. */
export function useDhcpStatus(): QueryResult<DhcpStatus> {
  const status = useQuery("dhcp/status", (signal) =>
    api.get<DhcpStatus>("/dhcp/status", undefined, { signal }),
  );
  useEvery(STATUS_MS, status.reload);
  return status;
}

/** Runs while the page is visible. */
export function useEvery(milliseconds: number, run: () => void): void {
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && run(), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}

/** The time in milliseconds, which moves on by itself. */
export function useNow(): ReadonlySignal<number> {
  const now = useSignal(Date.now());
  useEvery(CLOCK_MS, () => void (now.value = Date.now()));
  return now;
}

interface MachineName {
  id: string;
  name: string;
}

export interface MachineNames {
  byId: ReadonlyMap<string, string>;
  byName: ReadonlyMap<string, string>;
}

/** The names of machines by id, and back. A lease has the machine's id, a reservation its name. */
export function useMachineNames(): ReadonlySignal<MachineNames> {
  const machines = useCollection<MachineName>("machines", { fields: ["id", "name"] });
  return useComputed(() => ({
    byId: new Map(machines.rows.value.map((machine) => [machine.id, machine.name])),
    byName: new Map(machines.rows.value.map((machine) => [machine.name, machine.id])),
  }));
}

export const subnetPath = (name: string): string => `/networks/subnets/${encodeURIComponent(name)}`;
export const historyPath = (address: string): string => `/networks/history/${encodeURIComponent(address)}`;
export const machinePath = (name: string): string => `/machines/${encodeURIComponent(name)}`;
export const explainPath = (mac: string): string => `/explain?who=${encodeURIComponent(`mac:${mac}`)}`;
