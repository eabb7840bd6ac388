// What needs which artifact, read from the content: bootenvs name artifacts, stages name bootenvs, workflows
// have stages.

import { api, type Page } from "../../api/client";
import { useQuery } from "../../api/query";
import { needsByArtifact, type BootenvRow, type Need, type StageRow, type WorkflowRow } from "./artifact";

async function readContent(signal: AbortSignal): Promise<Map<string, Need>> {
  const read = async <T>(noun: string, fields: string): Promise<T[]> =>
    (await api.get<Page<T>>(`/${noun}`, { fields, limit: 1000 }, { signal, quiet: true })).items;
  const [bootenvs, stages, workflows] = await Promise.all([
    read<BootenvRow>("bootenvs", "name,arches"),
    read<StageRow>("stages", "name,bootenv"),
    read<WorkflowRow>("workflows", "name,stages"),
  ]);
  return needsByArtifact({ bootenvs, stages, workflows });
}

const NONE: ReadonlyMap<string, Need> = new Map();

/** Who needs each artifact; empty until it is read, and for a session that may not read content. */
export function useNeeds(): ReadonlyMap<string, Need> {
  return useQuery("needs of artifacts", readContent).data.value ?? NONE;
}
