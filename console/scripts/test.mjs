// Bundles the tests of pure code (`tests/*.test.ts`) and runs them with Node's own test runner.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const TESTS = join(HERE, "../tests");
const folder = mkdtempSync(join(tmpdir(), "console-tests-"));
try {
  await build({
    entryPoints: readdirSync(TESTS)
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => join(TESTS, name)),
    bundle: true,
    platform: "node",
    format: "esm",
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    external: ["node:*"],
    logLevel: "warning",
    sourcemap: "inline",
  });
  const files = readdirSync(folder).map((name) => join(folder, name));
  const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], {
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
