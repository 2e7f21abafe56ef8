import assert from "node:assert/strict";
import { relative } from "node:path";
import { test } from "node:test";
import { Declarations } from "../../src/cli/tasks/collect.ts";
import { globBase, globToRegExp } from "../../src/cli/tasks/glob.ts";
import { loadTasks } from "../../src/cli/tasks/load-tasks.ts";
import { findTaskFiles } from "../../src/cli/tasks/task-pattern.ts";
import { defineTask } from "../../src/tasks/define-task.ts";
import { project } from "./support.ts";

const task = (name: string) =>
  `import { defineTask } from "rouse";\nexport const ${name} = defineTask("${name}", { run() {} });\n`;

test("globs match as shells do", () => {
  const cases: [string, string[], string[]][] = [
    ["/p/*.ts", ["/p/a.ts", "/p/.ts"], ["/p/a/b.ts", "/p/a.tsx"]],
    ["/p/**/*.ts", ["/p/a.ts", "/p/a/b/c.ts"], ["/q/a.ts"]],
    ["/p/**", ["/p/a", "/p/a/b"], ["/p"]],
    ["/p/?.{m,c}ts", ["/p/a.mts", "/p/b.cts"], ["/p/ab.mts", "/p/a.ts"]],
    ["/p/[ab].ts", ["/p/a.ts"], ["/p/c.ts"]],
    ["/p/[!ab].ts", ["/p/c.ts"], ["/p/a.ts"]],
    ["/p/a,b+(c).*", ["/p/a,b+(c).ts"], ["/p/a", "/p/abc.ts"]],
  ];
  for (const [glob, yes, no] of cases) {
    for (const path of yes) assert.match(path, globToRegExp(glob), `${glob} takes ${path}`);
    for (const path of no) assert.doesNotMatch(path, globToRegExp(glob), `${glob} leaves ${path}`);
  }
  assert.equal(globBase("/p/q/*.ts"), "/p/q");
  assert.equal(globBase("/*/a.ts"), "/");
});

test("A17: files, folders and globs are found, without declarations, tests, hidden files and packages", async () => {
  const folder = await project({
    "tasks/b.ts": "",
    "tasks/a.mts": "",
    "tasks/deep/er/c.js": "",
    "tasks/types.d.ts": "",
    "tasks/b.test.ts": "",
    "tasks/readme.md": "",
    "tasks/.hidden/d.ts": "",
    "tasks/node_modules/e.ts": "",
    "tasks.ts": "",
    "odd [name].ts": "",
  });
  const find = async (patterns?: string[]) =>
    (await findTaskFiles(patterns, folder)).flatMap(({ files }) => files.map((path) => relative(folder, path)));
  const inFolder = ["tasks/a.mts", "tasks/b.ts", "tasks/deep/er/c.js"];
  assert.deepEqual(await find(), ["tasks.ts", ...inFolder]);
  assert.deepEqual(await find(["tasks"]), inFolder);
  assert.deepEqual(await find(["tasks/**/*.{js,mts}"]), ["tasks/a.mts", "tasks/deep/er/c.js"]);
  assert.deepEqual(await find(["tasks/*.ts", "odd [name].ts"]), ["tasks/b.ts", "odd [name].ts"]);
});

test("A17: tasks are taken from whatever a module exports", () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => defineTask(name, { run() {} }));
  const declarations = new Declarations();
  const circular: Record<string, unknown> = { d };
  circular.self = circular;
  const count = declarations.addModule({ a, again: a, default: [b, "text", null], more: { c }, circular }, "tasks.ts");
  assert.deepEqual(declarations.tasks, [a, b, c, d]);
  assert.equal(count, 4);
  assert.equal(declarations.addModule({ a }, "index.ts"), 1, "the same one once more is no other");
  assert.equal(declarations.addModule({ value: new Map([[1, a]]), fn() {} }, "other.ts"), 0);
});

test("A17: TypeScript is loaded with no build, in ES modules and CommonJS, and each module once", async () => {
  for (const manifest of [{ type: "module" }, {}]) {
    const folder = await project(
      {
        "tasks/a.ts": task("a"),
        "tasks/b.ts": `${task("b")}enum Colour { Red }\nexport default [Colour.Red];\n`,
        "tasks/index.ts": 'export * from "./a";\nexport { b as renamed } from "./b.js";\n',
        "tasks/old.cjs":
          'const { defineTask } = require("rouse");\nmodule.exports = { old: defineTask("old", { run() {} }) };\n',
      },
      manifest,
    );
    const { tasks } = await loadTasks(["tasks"], folder);
    assert.deepEqual(
      tasks.map(({ name }) => name),
      ["a", "b", "old"],
      JSON.stringify(manifest),
    );
  }
});

test("A17: a CommonJS module that exports no task is told what it exports", async () => {
  const folder = await project({ "tasks.ts": "export const helper = 1;\nexport default {};\n" }, {});
  await assert.rejects(
    loadTasks(undefined, folder),
    /^ConfigError: tasks\.ts exports no task \(it exports (helper|default), (helper|default)\)/,
  );
});
