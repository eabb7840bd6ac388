// What a refusal of the API is (RFC 9457), and what is made of answers that are none.

/** One fault: what it is, where it is, and what to do about it. */
export interface Fault {
  pointer: string;
  message: string;
  code?: string;
  template?: string | null;
  line?: number | null;
  column?: number | null;
}

export interface ProblemDocument {
  type?: string;
  code?: string;
  title?: string;
  detail?: string;
  problems?: Fault[];
  request_id?: string;
}

/** A refusal. `status` is 0 where there was no answer. */
export class ApiProblem extends Error {
  readonly type: string;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly problems: Fault[];
  readonly requestId: string | undefined;

  constructor(
    readonly status: number,
    document: ProblemDocument,
  ) {
    super(document.detail ?? document.title ?? `status ${status}`);
    this.type = document.type ?? "about:blank";
    this.code = document.code ?? "";
    this.title = document.title ?? `Status ${status}`;
    this.detail = document.detail ?? this.title;
    this.problems = document.problems ?? [];
    this.requestId = document.request_id;
  }

  /** Whether the server says so by a `type` such as `urn:metalwright:problem:read_again`. */
  is(word: string): boolean {
    return this.code === word || this.type.endsWith(`:${word}`);
  }
}

/** Any error as a problem. */
export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ApiProblem(0, { title: "Fault of the console", code: "fault", detail });
}

export function unreachable(): ApiProblem {
  return new ApiProblem(0, {
    title: "No answer",
    code: "unreachable",
    detail:
      "The server does not answer. Check that it runs and that this computer reaches it, then try again.",
  });
}

/** Reads the problem document of an answer; a proxy may have sent anything else. */
export async function problemOf(response: Response): Promise<ApiProblem> {
  const text = await response.text().catch(() => "");
  const isProblem = /\bjson\b/.test(response.headers.get("content-type") ?? "");
  if (isProblem) {
    try {
      return new ApiProblem(response.status, JSON.parse(text) as ProblemDocument);
    } catch {
      // Not JSON after all: shown as text.
    }
  }
  const detail = text.slice(0, 500) || `The server answered ${response.status} ${response.statusText}.`;
  return new ApiProblem(response.status, { title: response.statusText, detail });
}
