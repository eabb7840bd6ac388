// Times, durations and sizes as text; pure.

const UNITS: ReadonlyArray<readonly [string, number]> = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

/** `2 min 5 s`; below a second `40 ms`. */
export function durationText(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return "–";
  const whole = Math.abs(milliseconds);
  if (whole < 1000) return `${Math.round(milliseconds)} ms`;
  if (whole < 10_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  let rest = Math.round(whole / 1000);
  const parts: string[] = [];
  for (const [name, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
    if (parts.length === 2) break;
  }
  return (milliseconds < 0 ? "-" : "") + parts.join(" ");
}

/** `5 min ago`, `in 3 h`. */
export function relativeText(time: number, now: number): string {
  const away = time - now;
  const size = Math.abs(away);
  if (size < 5000) return "now";
  const [name, seconds] = UNITS.find(([, unit]) => size >= unit * 1000) ?? ["s", 1];
  const count = `${Math.floor(size / 1000 / seconds)} ${name}`;
  return away > 0 ? `in ${count}` : `${count} ago`;
}

/** `2026-11-30 20:06:00 UTC+1`, in the zone of the browser. */
export function absoluteText(time: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${date} ${clock} ${zoneText(time)}`;
}

/** `UTC`, `UTC+1`, `UTC+5:30`. */
export function zoneText(time: Date): string {
  const minutes = -time.getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  const rest = size % 60 === 0 ? "" : `:${String(size % 60).padStart(2, "0")}`;
  return `UTC${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest}`;
}

/** `1.5 MiB`. */
export function bytesText(bytes: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, index] = [bytes, 0];
  while (Math.abs(value) >= 1024 && index < names.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${index === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${names[index]}`;
}

export const countText = (count: number): string => count.toLocaleString("en").replaceAll(",", "\u202f");

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${countText(count)} ${count === 1 ? one : many}`;
