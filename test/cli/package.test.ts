import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { testDatabase } from "../support/database.ts";
import { project, write } from "./support.ts";

const run = promisify(execFile);
/** The repository itself, in which tests are run. */
const root = process.cwd();
const database = testDatabase({ template: "empty" });

let folder: string;

const TASKS = `
import { defineTask } from "rouse";
import { z } from "zod";
export const hello = defineTask("hello", {
  payload: z.object({ name: z.string() }),
  run: ({ name }) => \`Hello, \${name}!\`,
});
`;

/** The package as npm would install it, but for its dependencies, which are ours. Not a type: what npm init makes. */
before(async () => {
  folder = await project({ "tasks.ts": TASKS }, { name: "app" });
  const modules = join(folder, "node_modules");
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: root });
  const tarball = stdout.trim().split("\n").at(-1)!;
  await rm(join(modules, "rouse"), { recursive: true });
  await mkdir(join(modules, "rouse"));
  await run("tar", ["-xzf", join(folder, tarball), "--strip-components=1", "-C", join(modules, "rouse")]);
  const { dependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    if (name !== "pg") await symlink(join(root, "node_modules", name), join(modules, name));
  }
});

async function rouse(...args: string[]): Promise<string> {
  const main = join(folder, "node_modules/rouse/dist/cli/main.js");
  const { stdout, stderr } = await run(process.execPath, [main, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, DATABASE_URL: database.url, ROUSE_LOG_FORMAT: "text" },
  });
  return stdout + stderr;
}

test("A14: the packed package migrates, enqueues and runs a TypeScript task of a CommonJS project", async () => {
  const manifest = JSON.parse(await readFile(join(folder, "node_modules/rouse/package.json"), "utf8"));
  const bin = await readFile(join(folder, "node_modules/rouse", manifest.bin.rouse), "utf8");
  assert.match(bin, /^#!\/usr\/bin\/env node\n/);
  assert.match(await rouse("migrate"), /^schema rouse is at \d{6}\n/);
  assert.match(await rouse("enqueue", "hello", '{"name": "Ada"}'), /^1\n/);
  const worked = await rouse("worker", "--once");
  assert.match(worked, /nothing is left to do/);
  assert.doesNotMatch(worked, /WARN|ERROR/);
  const [job] = await database.query("select state, result from rouse.jobs");
  assert.deepEqual(job, { state: "succeeded", result: "Hello, Ada!" });
});

test("the package's types are those of its documentation", async () => {
  const source = `${TASKS}
import { createRouse, defineConfig } from "rouse";
import { runTask, testRouse } from "rouse/testing";
void runTask(hello, { name: "Ada" }).then((greeting) => greeting.length);
void testRouse({ client: { query: async () => ({ rows: [] }) }, tasks: [hello] }).drain();
export default defineConfig({ concurrency: 3 });
const rouse = createRouse({ tasks: [hello] });
void rouse.enqueue(hello, { name: "Ada" });
// @ts-expect-error a number is no name
void rouse.enqueue(hello, { name: 1 });
`;
  await write(folder, { "check.ts": source });
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2023"];
  await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), ...options, "check.ts"], { cwd: folder });
});
