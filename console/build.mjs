// Bundles the console into `dist/`: files with a hash of their content in their names, a gzip copy of each,
// and `index.html`, which refers to them. `--watch` builds again at each change (for dev.mjs).
import { build, context } from "esbuild";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "dist");
const BASE = "/console/";

const shared = {
  absWorkingDir: HERE,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  outdir: DIST,
  metafile: true,
  legalComments: "none",
  logLevel: "warning",
};

/** The options of the page's bundle; it has to know the name of the worker's file. */
function pageOptions(worker) {
  return {
    ...shared,
    entryPoints: { app: "src/main.tsx" },
    splitting: true,
    jsx: "automatic",
    jsxImportSource: "preact",
    entryNames: "assets/[name]-[hash]",
    chunkNames: "assets/[name]-[hash]",
    define: { WORKER_URL: JSON.stringify(BASE + worker) },
  };
}

/** The file that an entry became, such as `worker-ABC.js`. */
function outputOf(meta, entry, extension) {
  const found = Object.entries(meta.outputs).find(([, output]) => output.entryPoint === entry);
  if (!found) throw new Error(`${entry} has no output`);
  const [script, output] = found;
  const file = extension === ".css" ? output.cssBundle : script;
  return file ? file.replace(/^dist\//, "") : undefined;
}

/** `index.html`. The server puts a fresh nonce in the place of `__CSP_NONCE__` of each answer. */
function indexPage(script, style) {
  const template = readFileSync(join(HERE, "src/index.html"), "utf8");
  return template
    .replaceAll("{{base}}", BASE)
    .replace("{{script}}", script)
    .replace("{{style}}", style ?? "");
}

/** The files below `dist/`. */
function allFiles() {
  return readdirSync(DIST, { recursive: true }).filter((name) => statSync(join(DIST, name)).isFile());
}

function finish(meta) {
  const script = outputOf(meta, "src/main.tsx", ".js");
  writeFileSync(join(DIST, "index.html"), indexPage(script, outputOf(meta, "src/main.tsx", ".css")));
  const sizes = [];
  for (const name of allFiles().filter((name) => !name.endsWith(".gz"))) {
    const raw = readFileSync(join(DIST, name));
    const packed = gzipSync(raw, { level: 9 });
    writeFileSync(join(DIST, `${name}.gz`), packed);
    sizes.push({ name, raw: raw.length, gzip: packed.length });
  }
  report(meta, sizes);
}

/** Says how large the page is without what is loaded later. */
function report(meta, sizes) {
  const first = firstFiles(meta);
  const sum = (files) => files.reduce((total, file) => total + file.gzip, 0);
  const early = sizes.filter((file) => first.has(file.name));
  const late = sizes.filter((file) => !first.has(file.name) && file.name !== "index.html");
  const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  console.log(
    `console: ${kilobytes(sum(early))} gzip at the start, ${kilobytes(sum(late))} when it is needed`,
  );
}

/** What the page loads before it shows anything: the entry, its style and what it imports at once. */
function firstFiles(meta) {
  const seen = new Set();
  const visit = (file) => {
    const output = meta.outputs[file];
    if (!output || seen.has(file)) return;
    seen.add(file);
    if (output.cssBundle) seen.add(output.cssBundle);
    output.imports.filter((use) => use.kind === "import-statement").forEach((use) => visit(use.path));
  };
  visit(`dist/${outputOf(meta, "src/main.tsx", ".js")}`);
  return new Set([...seen].map((file) => file.replace(/^dist\//, "")));
}

async function buildWorker() {
  const entry = { worker: "src/live/worker.ts" };
  const result = await build({ ...shared, entryPoints: entry, entryNames: "assets/[name]-[hash]" });
  return { name: outputOf(result.metafile, "src/live/worker.ts", ".js"), meta: result.metafile };
}

if (existsSync(DIST)) rmSync(DIST, { recursive: true });
mkdirSync(DIST);
const started = Date.now();
const worker = await buildWorker();
if (process.argv.includes("--watch")) {
  const again = {
    name: "finish",
    setup: (b) => b.onEnd((r) => r.metafile && r.errors.length === 0 && finish(r.metafile)),
  };
  const page = await context({
    ...pageOptions(worker.name),
    minify: false,
    sourcemap: "linked",
    plugins: [again],
  });
  await page.watch();
} else {
  finish((await build(pageOptions(worker.name))).metafile);
  const bytes = allFiles().reduce((total, name) => total + statSync(join(DIST, name)).size, 0);
  console.log(
    `console: built in ${Date.now() - started} ms, ${(bytes / 1000).toFixed(0)} kB in console/dist`,
  );
}
