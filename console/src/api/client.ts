// The API as functions: one call each, refusals as `ApiProblem`, every call noted for "the call behind it".
// Start at `api`. Components use `useQuery` (api/query.ts) and the lists of live/.

import { signal } from "@preact/signals";
import { noteCall } from "./calls";
import { ApiProblem, problemOf, unreachable } from "./problem";

export { ApiProblem, asProblem, type Fault } from "./problem";

export const ROOT = "/api/v1";

export type QueryValue = string | number | boolean | undefined | null;
export type Query = URLSearchParams | Record<string, QueryValue>;

export interface CallOptions {
  query?: Query;
  /** The media type of the body; JSON where it is not given, JSON Merge Patch for `patch`. */
  media?: string;
  /** The revision that a write is meant to change. */
  ifMatch?: number | string;
  signal?: AbortSignal;
  /** Calls in the background (refreshes of lists) are not shown as the view's. */
  quiet?: boolean;
}

/** True from the answer 401 until somebody signs in again. */
export const signedOut = signal(false);
/** Grows when everything has to be read anew: after a login, and when the server's state went back. */
export const generation = signal(0);

export function readEverythingAnew(): void {
  generation.value += 1;
}

export function queryText(query: Query | undefined): string {
  if (!query) return "";
  if (query instanceof URLSearchParams) return query.toString();
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") parts.append(name, String(value));
  }
  return parts.toString();
}

/** The part of a path that names an object: `/machines/${ref(name)}`. */
export const ref = (name: string): string => encodeURIComponent(name).replace(/%3A/g, ":");

interface Request extends CallOptions {
  method: string;
  path: string;
  body?: unknown;
}

function requestInit(request: Request): { init: RequestInit; body: string | undefined } {
  const headers: Record<string, string> = { Accept: "application/json" };
  const media =
    request.media ?? (request.method === "PATCH" ? "application/merge-patch+json" : "application/json");
  const given = request.body;
  const body = given === undefined ? undefined : typeof given === "string" ? given : JSON.stringify(given);
  if (body !== undefined) headers["Content-Type"] = media;
  if (request.ifMatch !== undefined) headers["If-Match"] = `"${request.ifMatch}"`;
  const init: RequestInit = {
    method: request.method,
    headers,
    credentials: "same-origin",
    cache: "no-store",
  };
  if (body !== undefined) init.body = body;
  if (request.signal) init.signal = request.signal;
  return { init, body };
}

/** Sends a call and answers with the response, if it is no refusal. */
export async function call(request: Request): Promise<Response> {
  const query = queryText(request.query);
  const { init, body } = requestInit(request);
  const started = performance.now();
  const url = ROOT + request.path + (query ? `?${query}` : "");
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (request.signal?.aborted) throw error;
    throw unreachable();
  }
  if (!request.quiet) {
    const { method, path, media } = request;
    const milliseconds = Math.round(performance.now() - started);
    noteCall({ method, path, query, body, media, status: response.status, milliseconds });
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401 && request.path !== "/session") signedOut.value = true;
  throw problem;
}

async function json<T>(request: Request): Promise<T> {
  const response = await call(request);
  const text = await response.text();
  if (text === "") return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    const detail = `The answer to ${request.method} ${request.path} is no JSON. Is a proxy in between?`;
    throw new ApiProblem(response.status, { title: "Answer not understood", code: "not_json", detail });
  }
}

type Options = Omit<CallOptions, "query">;

/** Paths are without `/api/v1`. */
export const api = {
  get: <T>(path: string, query?: Query, options: Options = {}): Promise<T> =>
    json<T>({ ...options, method: "GET", path, query }),
  /** An answer as text: a log, a served document. */
  text: async (path: string, query?: Query, options: Options = {}): Promise<string> =>
    (await call({ ...options, method: "GET", path, query })).text(),
  post: <T>(path: string, body?: unknown, options: CallOptions = {}): Promise<T> =>
    json<T>({ ...options, method: "POST", path, body }),
  put: <T>(path: string, body?: unknown, options: CallOptions = {}): Promise<T> =>
    json<T>({ ...options, method: "PUT", path, body }),
  patch: <T>(path: string, body?: unknown, options: CallOptions = {}): Promise<T> =>
    json<T>({ ...options, method: "PATCH", path, body }),
  del: <T>(path: string, options: CallOptions = {}): Promise<T> =>
    json<T>({ ...options, method: "DELETE", path }),
};

/** A page of a list. */
export interface Page<T> {
  items: T[];
  next: string | null;
  total: number;
  commit: number;
  epoch: string;
}
