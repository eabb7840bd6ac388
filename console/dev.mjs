// Serves `dist/` below /console/ and passes /api on to a server, for work on the console. `node dev.mjs`
// builds and watches. METALWRIGHT_SERVER (https://127.0.0.1:8443), METALWRIGHT_TOKEN or
// METALWRIGHT_TOKEN_FILE, PORT (9000). With a token it stands in for the login; without one the server's own
// sessions are used.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "dist");
const SERVER = new URL(process.env.METALWRIGHT_SERVER ?? "https://127.0.0.1:8443");
const PORT = Number(process.env.PORT ?? 9000);
const tokenFile = process.env.METALWRIGHT_TOKEN_FILE;
const TOKEN =
  process.env.METALWRIGHT_TOKEN ?? (tokenFile ? readFileSync(tokenFile, "utf8").trim() : undefined);
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".map": "application/json",
};
const NONCE = "development";
const POLICY =
  `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${NONCE}'; img-src 'self' data:; ` +
  "connect-src 'self'; font-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'";

/** A session as the server would show it, for the token that is put into each request. */
const STAND_IN = {
  name: "development",
  scopes: ["*"],
  created_at: new Date().toISOString(),
  expires_at: "2100-01-01T00:00:00Z",
  server: { name: SERVER.host, version: "development", time: new Date().toISOString(), zone: "UTC" },
};

function passOn(request, response) {
  if (TOKEN && request.url.startsWith("/api/v1/session")) {
    response.writeHead(200, { "Content-Type": "application/json" });
    return response.end(JSON.stringify(STAND_IN));
  }
  const headers = { ...request.headers, host: SERVER.host };
  if (TOKEN) headers.authorization = `Bearer ${TOKEN}`;
  const kind = SERVER.protocol === "https:" ? https : http;
  const options = { method: request.method, headers, rejectUnauthorized: false };
  const onward = kind.request(new URL(request.url, SERVER), options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", (error) => {
    if (!response.headersSent) response.writeHead(502, { "Content-Type": "text/plain" });
    response.end(`${SERVER.href} does not answer: ${error.message}`);
  });
  response.on("close", () => onward.destroy());
  request.pipe(onward);
}

function file(path) {
  const name = normalize(path).replace(/^\/console\/?/, "");
  try {
    if (name !== "" && !name.includes("..")) return { name, body: readFileSync(join(DIST, name)) };
  } catch {
    // A deep link: the page.
  }
  return {
    name: "index.html",
    body: readFileSync(join(DIST, "index.html"), "utf8").replace("__CSP_NONCE__", NONCE),
  };
}

const server = http.createServer((request, response) => {
  const path = new URL(request.url, "http://local").pathname;
  if (/^\/(api|openapi|metrics|healthz|readyz)/.test(path)) return passOn(request, response);
  if (!path.startsWith("/console")) return response.writeHead(302, { Location: "/console/" }).end();
  const { name, body } = file(path);
  const headers = {
    "Content-Type": TYPES[extname(name)] ?? "application/octet-stream",
    "Cache-Control": "no-store",
  };
  response.writeHead(200, { ...headers, "Content-Security-Policy": POLICY });
  response.end(body);
});
server.listen(PORT, "127.0.0.1", () =>
  console.log(`console: http://127.0.0.1:${server.address().port}/console/ -> ${SERVER.href}`),
);
if (!process.argv.includes("--no-build")) {
  const watcher = spawn(process.execPath, [join(HERE, "build.mjs"), "--watch"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  process.on("exit", () => watcher.kill());
  process.on("SIGTERM", () => process.exit(0));
  process.on("SIGINT", () => process.exit(0));
}
