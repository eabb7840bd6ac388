// The drawing of a pool: a square for each address where there are few, a column for each part where there
// are many. Hover, focus and the arrow keys say what an address is.

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { ADDRESS_STATES, STATE_WORDS, type AddressCell, type Bucket, type PoolView } from "./pools";

const CELL = 14;
const GAP = 2;
const COLUMNS = 32;
const HEIGHT = 44;

interface StripProps {
  pool: PoolView;
  onOpen: (address: string) => void;
}

/** A pool with its legend and the line about the address under the pointer. */
export function PoolStrip({ pool, onOpen }: StripProps): JSX.Element {
  const about = useSignal("");
  return (
    <figure class="pool">
      <figcaption>
        <span class="mono">
          {pool.start} – {pool.end}
        </span>
        , {pool.size.toLocaleString("en")} addresses
      </figcaption>
      {pool.cells ? (
        <CellStrip cells={pool.cells} about={about} onOpen={onOpen} />
      ) : (
        <BucketStrip pool={pool} buckets={pool.buckets ?? []} about={about} />
      )}
      <AboutLine about={about} />
      <Legend pool={pool} />
    </figure>
  );
}

function AboutLine({ about }: { about: Signal<string> }): JSX.Element {
  return (
    <p class="pool-about" aria-live="polite">
      {about.value || "Point at an address to see who has it."}
    </p>
  );
}

export function cellText(cell: AddressCell): string {
  const who = cell.lease?.hostname ?? cell.lease?.mac ?? cell.lease?.client;
  const kept = cell.reservation?.mac ?? cell.reservation?.machine ?? cell.reservation?.client_id;
  const until =
    cell.lease && (cell.state === "leased" || cell.state === "declined")
      ? ` until ${new Date(cell.lease.expires_at).toLocaleString("en")}`
      : "";
  const named = cell.state === "leased" && who ? ` to ${who}` : "";
  const last = cell.state === "free" && who ? `, last of ${who}` : "";
  const reserved = kept ? `, reserved for ${kept}` : "";
  return `${cell.address}: ${STATE_WORDS[cell.state]}${named}${until}${last}${reserved}`;
}

const STEPS: Record<string, number> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  ArrowUp: -COLUMNS,
  ArrowDown: COLUMNS,
};

function CellStrip({
  cells,
  about,
  onOpen,
}: {
  cells: AddressCell[];
  about: Signal<string>;
  onOpen: StripProps["onOpen"];
}) {
  const at = useSignal(0);
  const rows = Math.ceil(cells.length / COLUMNS);
  const show = (index: number) => {
    const cell = cells[index];
    if (!cell) return;
    at.value = index;
    about.value = cellText(cell);
  };
  const press = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    const cell = cells[at.value];
    if (step !== undefined) show(Math.min(cells.length - 1, Math.max(0, at.value + step)));
    else if (event.key === "Enter" && cell) onOpen(cell.address);
    else return;
    event.preventDefault();
  };
  const indexOf = (event: Event) => Number((event.target as Element).getAttribute("data-index") ?? -1);
  const size = CELL + GAP;
  return (
    <svg
      class="pool-cells"
      viewBox={`0 0 ${COLUMNS * size} ${rows * size}`}
      style={{ maxWidth: `${COLUMNS * size}px` }}
      role="application"
      tabIndex={0}
      aria-label={`Addresses of the pool; arrow keys move, Enter shows the history`}
      onPointerOver={(event) => show(indexOf(event))}
      onClick={(event) => {
        const cell = cells[indexOf(event)];
        if (cell) onOpen(cell.address);
      }}
      onFocus={() => show(at.value)}
      onKeyDown={press}
    >
      {cells.map((cell, index) => (
        <rect
          key={cell.number}
          data-index={index}
          class={`cell state-${cell.state}`}
          rx={2}
          x={(index % COLUMNS) * size + 1}
          y={Math.floor(index / COLUMNS) * size + 1}
          width={CELL}
          height={CELL}
        />
      ))}
      <Cursor at={at} size={size} />
    </svg>
  );
}

function Cursor({ at, size }: { at: Signal<number>; size: number }) {
  const [x, y] = [(at.value % COLUMNS) * size, Math.floor(at.value / COLUMNS) * size];
  return <rect class="cell-cursor" x={x} y={y} width={size} height={size} rx={3} />;
}

function bucketText(bucket: Bucket): string {
  const counts = ADDRESS_STATES.filter((state) => bucket.counts[state] > 0);
  const words = counts.map((state) => `${bucket.counts[state].toLocaleString("en")} ${STATE_WORDS[state]}`);
  return `${bucket.first} – ${bucket.last}: ${words.join(", ")}`;
}

function BucketStrip({
  pool,
  buckets,
  about,
}: {
  pool: PoolView;
  buckets: Bucket[];
  about: Signal<string>;
}) {
  const at = useSignal(0);
  const show = (index: number) => {
    const bucket = buckets[index];
    if (!bucket) return;
    at.value = index;
    about.value = bucketText(bucket);
  };
  const press = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    show(Math.min(buckets.length - 1, Math.max(0, at.value + Math.sign(step))));
    event.preventDefault();
  };
  return (
    <svg
      class="pool-buckets"
      viewBox={`0 0 ${buckets.length} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="application"
      tabIndex={0}
      aria-label={`Parts of the pool ${pool.start} to ${pool.end}; arrow keys move`}
      onFocus={() => show(at.value)}
      onKeyDown={press}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        show(Math.floor(((event.clientX - box.left) / box.width) * buckets.length));
      }}
    >
      {buckets.map((bucket, index) => (
        <BucketColumn key={bucket.first} bucket={bucket} x={index} />
      ))}
    </svg>
  );
}

/** From the bottom: leased, then what is else taken; the rest is free. A single address is always seen. */
function BucketColumn({ bucket, x }: { bucket: Bucket; x: number }) {
  let top = HEIGHT;
  const parts = ADDRESS_STATES.filter((state) => state !== "free" && bucket.counts[state] > 0).map(
    (state) => {
      const height = Math.max(3, (bucket.counts[state] / bucket.size) * HEIGHT);
      top -= height;
      return (
        <rect
          key={state}
          class={`cell state-${state}`}
          x={x}
          y={Math.max(0, top)}
          width={1}
          height={height}
        />
      );
    },
  );
  return (
    <g>
      <rect class="cell state-free" x={x} y={0} width={1} height={HEIGHT} />
      {parts}
    </g>
  );
}

function Legend({ pool }: { pool: PoolView }) {
  return (
    <ul class="pool-legend">
      {ADDRESS_STATES.filter((state) => pool.counts[state] > 0).map((state) => (
        <li key={state}>
          <span class={`swatch state-${state}`} aria-hidden="true" />
          {pool.counts[state].toLocaleString("en")} {STATE_WORDS[state]}
        </li>
      ))}
    </ul>
  );
}
