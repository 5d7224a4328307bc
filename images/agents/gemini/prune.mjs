// prune.mjs FOLDER: removes from the Gemini CLI's bundle what its program never loads. The package carries the chunks of several builds,
// and only those of one are reached from gemini.js; names of chunks stand in the code as they are.
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

process.chdir(process.argv[2]);

const reached = new Set();
const todo = ["gemini.js"];
while (todo.length > 0) {
  const file = todo.pop();
  if (reached.has(file) || !existsSync(file) || !statSync(file).isFile()) continue;
  reached.add(file);
  for (const [, name] of readFileSync(file, "latin1").matchAll(/["'`]([\w./-]+\.(?:c?js|mjs|wasm|json))["'`]/g)) {
    todo.push(normalize(name), join(dirname(file), name));
  }
}

for (const entry of readdirSync(".", { withFileTypes: true })) {
  if (entry.isFile() && /\.(c?js|mjs)$/.test(entry.name) && !reached.has(entry.name)) rmSync(entry.name);
}

// Pictures of the manual, whose text the agent can look things up in; examples; and a server that drives a browser, which is not there.
for (const folder of ["docs/assets", "examples", "bundled"]) rmSync(folder, { recursive: true, force: true });
