/** What a text that is not saved would change on which machines: rendered without and with it. */

import { api, asProblem, type Page } from "../../api/client";
import {
  addToGroups,
  differencesOf,
  type ChangeGroup,
  type MachineIdentity,
  type RenderedPair,
} from "./machineGroups";
import { renderDocument, type RenderQuestion, type UnsavedTemplate } from "./previewSource";
import {
  documentsWith,
  reachedBy,
  type ContentDocument,
  type ContentObjects,
  type ReferenceIndex,
} from "./references";

/** Machines that one look renders for; the next look goes on behind them. */
export const IMPACT_MACHINES_MAX = 25;
/** Machines that are rendered for at once. */
const AT_ONCE_MAX = 2;
/** Documents of one machine that are compared. */
const DOCUMENTS_MAX = 16;

export interface ImpactMachine {
  id: string;
  name: string;
  macs: string[];
  workflow?: string | null;
  status?: { address?: string | null };
}

export interface ImpactReport {
  total: number;
  checked: number;
  unchanged: number;
  groups: ChangeGroup[];
  next: string | null;
  done: boolean;
}

export interface ImpactQuestion {
  template: UnsavedTemplate;
  objects: ContentObjects;
  index: ReferenceIndex;
}

/** The workflows in whose documents a template stands. */
export function workflowsWith(template: string, index: ReferenceIndex): string[] {
  const reached = [...reachedBy(index, "templates", template)];
  const own = reached.filter((key) => key.startsWith("workflows/"));
  return own.map((key) => key.slice("workflows/".length)).sort();
}

export const EMPTY_IMPACT: ImpactReport = {
  total: 0,
  checked: 0,
  unchanged: 0,
  groups: [],
  next: null,
  done: false,
};

/** Looks at the next machines. `tell` is given the report after each one. */
export async function checkImpact(
  question: ImpactQuestion,
  known: ImpactReport,
  tell: (report: ImpactReport) => void,
  stop: AbortSignal,
): Promise<void> {
  const workflows = workflowsWith(question.template.name, question.index);
  if (workflows.length === 0) return tell({ ...known, done: true });
  const page = await api.get<Page<ImpactMachine>>(
    "/machines",
    {
      "workflow[in]": workflows.join(","),
      limit: IMPACT_MACHINES_MAX,
      fields: "id,name,macs,workflow,status.address",
      cursor: known.next,
    },
    { signal: stop },
  );
  let report: ImpactReport = {
    ...known,
    total: page.total,
    next: page.next,
    done: page.items.length === 0,
  };
  tell(report);
  const open = [...page.items];
  const work = async () => {
    for (let machine = open.shift(); machine; machine = open.shift()) {
      const pairs = await renderPairs(question, machine, stop);
      const documents = differencesOf(pairs);
      report = {
        ...report,
        checked: report.checked + 1,
        unchanged: report.unchanged + (documents.length === 0 ? 1 : 0),
        groups: addToGroups(report.groups, identityOf(machine), documents),
        done: open.length === 0,
      };
      tell(report);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE_MAX }, work));
}

async function renderPairs(
  question: ImpactQuestion,
  machine: ImpactMachine,
  stop: AbortSignal,
): Promise<RenderedPair[]> {
  const { template, objects, index } = question;
  const documents = documentsWith(template.name, machine.workflow ?? "", objects, index);
  const pairs: RenderedPair[] = [];
  for (const document of documents.slice(0, DOCUMENTS_MAX)) {
    const asked = { machine: machine.name, document, lines: false };
    const before = await textOf(asked, stop);
    const after = await textOf({ ...asked, unsaved: template }, stop);
    pairs.push({
      path: document.title,
      before: before.text,
      after: after.text,
      ...(after.fault === undefined ? {} : { fault: after.fault }),
    });
  }
  return pairs;
}

function identityOf(machine: ImpactMachine): MachineIdentity {
  return { ...machine, address: machine.status?.address ?? null };
}

interface RenderedText {
  text: string | null;
  fault?: string;
}

async function textOf(asked: RenderQuestion, stop: AbortSignal): Promise<RenderedText> {
  try {
    return { text: (await renderDocument(asked, stop, true)).text };
  } catch (fault) {
    if (stop.aborted) throw fault;
    return { text: null, fault: asProblem(fault).detail };
  }
}

/** The scripts that the program itself asks for, by the folder of their templates. */
const LOADER_SCRIPTS: Record<string, string> = {
  ipxe: "boot.ipxe",
  grub: "grub.cfg",
  pxelinux: "pxelinux.cfg",
};

/** The script of a loader that a template belongs to; null for other templates. */
export function loaderScript(template: string): string | null {
  return LOADER_SCRIPTS[template.split("/")[0] ?? ""] ?? null;
}

/** The documents that a preview offers for a template: itself, and those of the machine's workflow. */
export function previewDocuments(
  template: string,
  workflow: string | null | undefined,
  data: { objects: ContentObjects; index: ReferenceIndex },
): ContentDocument[] {
  const script = loaderScript(template);
  const found = workflow ? documentsWith(template, workflow, data.objects, data.index) : [];
  const scripts = script ? [{ file: script, title: script }] : [];
  return [...found, ...scripts, { template, title: "this template alone" }];
}
