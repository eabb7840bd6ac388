// Bundles the stories and runs them: `node stories/run.mjs --program PROGRAM [--screenshots | --measures]
// [STORY…]`.
import { build } from "esbuild";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
// Below node_modules, so that the bundle finds its packages and git does not see it.
const bundle = join(HERE, "../node_modules/.stories/main.mjs");

await build({
  entryPoints: [join(HERE, "main.ts")],
  bundle: true,
  packages: "external",
  platform: "node",
  format: "esm",
  target: "node18",
  sourcemap: "inline",
  logLevel: "warning",
  outfile: bundle,
});
await import(pathToFileURL(bundle).href);
