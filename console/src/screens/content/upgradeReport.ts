/** The check of an upgrade, put together of the pages that the server answers. */

import { sortGroups } from "./machineGroups";

export interface UpgradeDocument {
  path: string;
  diff?: string;
  fault?: string | null;
}

export interface UpgradeGroup {
  digest: string;
  fails: boolean;
  machines: string[];
  documents: UpgradeDocument[];
  document_count: number;
}

export interface UpgradeReport {
  pack: string;
  channel: string;
  from: string | null;
  to: string;
  total: number;
  checked: number;
  unchanged: number;
  without_workflow: number;
  groups: UpgradeGroup[];
  next: string | null;
}

/** The report with a further page. */
export function joinReports(known: UpgradeReport | null, page: UpgradeReport): UpgradeReport {
  if (known === null) return { ...page, groups: sortGroups(page.groups) };
  return {
    ...page,
    checked: known.checked + page.checked,
    unchanged: known.unchanged + page.unchanged,
    without_workflow: known.without_workflow + page.without_workflow,
    groups: joinGroups(known.groups, page.groups),
  };
}

function joinGroups(known: UpgradeGroup[], more: UpgradeGroup[]): UpgradeGroup[] {
  const byDigest = new Map(known.map((group) => [group.digest, group]));
  for (const group of more) {
    const before = byDigest.get(group.digest);
    const machines = [...(before?.machines ?? []), ...group.machines];
    byDigest.set(group.digest, before ? { ...before, machines } : group);
  }
  return sortGroups([...byDigest.values()]);
}

/** How many machines do not get a document any more. */
export function failingMachines(report: UpgradeReport): number {
  return report.groups
    .filter((group) => group.fails)
    .reduce((sum, group) => sum + group.machines.length, 0);
}

export function changedMachines(report: UpgradeReport): number {
  return report.groups.reduce((sum, group) => sum + group.machines.length, 0);
}

/** The result in one sentence. */
export function reportSentence(report: UpgradeReport): string {
  const failing = failingMachines(report);
  const parts = [
    `${report.checked} of ${report.total} machines checked`,
    `${failing} would not get a document any more`,
    `${changedMachines(report) - failing} get other texts`,
    `${report.unchanged} unchanged`,
  ];
  if (report.without_workflow > 0) parts.push(`${report.without_workflow} have no workflow`);
  return `${parts.join(", ")}.`;
}
