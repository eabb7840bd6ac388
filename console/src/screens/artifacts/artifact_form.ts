// The form for a new artifact and the object that it makes; pure.

export type SourceKind = "path" | "url" | "file" | "files" | "iso" | "mirror";

export const SOURCES: readonly { kind: SourceKind; label: string; about: string }[] = [
  {
    kind: "path",
    label: "Files in place",
    about: "A folder of the server's host. Its files stay there and are served as they are.",
  },
  {
    kind: "url",
    label: "Image or tarball from a URL",
    about: "The server fetches, checks and unpacks it.",
  },
  {
    kind: "file",
    label: "One file from a URL",
    about: "The server fetches and checks it, and does not unpack it.",
  },
  {
    kind: "files",
    label: "Single files below a URL",
    about: "A distribution's netboot files, each with its checksum.",
  },
  {
    kind: "iso",
    label: "Image on the server's disk",
    about: "An ISO image or tarball on the server's host; the server unpacks it.",
  },
  {
    kind: "mirror",
    label: "Mirror of a remote tree",
    about: "The server passes files on as machines ask for them, and keeps them.",
  },
];

export interface ArtifactForm {
  name: string;
  kind: SourceKind;
  place: string;
  checksum: string;
  isUnverified: boolean;
  /** One file a line: `PATH CHECKSUM`. */
  files: string;
  /** GiB that a mirror keeps. */
  keep: string;
  /** Suites (apt) or folders (yum), one a line. */
  repositories: string;
}

export const EMPTY_FORM: ArtifactForm = {
  name: "",
  kind: "path",
  place: "",
  checksum: "",
  isUnverified: false,
  files: "",
  keep: "20",
  repositories: "",
};

export const hasChecksum = (kind: SourceKind): boolean => kind === "url" || kind === "file";

const linesOf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

/** A suite of apt has no slash; `SUITE` or `FOLDER/…` for yum. */
function repositoryOf(line: string): Record<string, string> {
  return line.includes("/") ? { path: line } : { distribution: line };
}

function fileOf(line: string): Record<string, string> {
  const [path = "", checksum] = line.split(/\s+/u);
  return checksum === undefined ? { path } : { path, checksum };
}

/** The body of `POST /artifacts`. */
export function artifactOf(form: ArtifactForm): Record<string, unknown> {
  const name = form.name.trim();
  const place = form.place.trim();
  const verified = form.isUnverified ? { unverified: true } : { checksum: form.checksum.trim() };
  switch (form.kind) {
    case "path":
      return { name, path: place };
    case "url":
      return { name, fetch: { url: place, ...verified } };
    case "file":
      return { name, kind: "file", fetch: { url: place, ...verified } };
    case "files": {
      const unverified = form.isUnverified ? { unverified: true } : {};
      return { name, fetch: { url: place, files: linesOf(form.files).map(fileOf), ...unverified } };
    }
    case "iso":
      return { name, fetch: { path: place } };
    default: {
      const repositories = linesOf(form.repositories).map(repositoryOf);
      const gib = Number(form.keep);
      const bytes = Number.isFinite(gib) && gib > 0 ? { bytes_max: Math.round(gib * 2 ** 30) } : {};
      return {
        name,
        fetch: { url: place, mirror: { ...bytes, ...(repositories.length > 0 ? { repositories } : {}) } },
      };
    }
  }
}
