// The form for a new machine and the object that it makes; pure.

export interface MachineForm {
  name: string;
  macs: string;
  arch: string;
  workflow: string;
  profiles: string;
  labels: string;
  serial: string;
}

export const EMPTY_MACHINE: MachineForm = {
  name: "",
  macs: "",
  arch: "amd64",
  workflow: "",
  profiles: "",
  labels: "",
  serial: "",
};

export const ARCHES: readonly string[] = [
  "amd64",
  "i386",
  "arm64",
  "arm",
  "riscv64",
  "ppc64el",
  "s390x",
  "loong64",
];

const wordsOf = (text: string): string[] => text.split(/[\s,;]+/u).filter((word) => word !== "");

/** `rack=r1 role=db` as labels; a word without a value is a label with an empty one. */
export function parseLabels(text: string): Record<string, string> {
  return Object.fromEntries(
    wordsOf(text).map((word) => {
      const equals = word.indexOf("=");
      return equals < 0 ? [word, ""] : [word.slice(0, equals), word.slice(equals + 1)];
    }),
  );
}

/** The body of `POST /machines`; what is empty is left out. */
export function machineOf(form: MachineForm): Record<string, unknown> {
  const body: Record<string, unknown> = {
    name: form.name.trim(),
    macs: wordsOf(form.macs),
    arch: form.arch,
  };
  const [profiles, labels] = [wordsOf(form.profiles), parseLabels(form.labels)];
  if (profiles.length > 0) body.profiles = profiles;
  if (Object.keys(labels).length > 0) body.labels = labels;
  if (form.workflow !== "") body.workflow = form.workflow;
  if (form.serial.trim() !== "") body.serial = form.serial.trim();
  return body;
}
