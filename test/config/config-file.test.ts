import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfigFile } from "../../src/config/config-file.ts";
import { project } from "../cli/support.ts";

const typed = `import { defineConfig } from "rouse";\nexport default defineConfig({ schema: "jobs" as string });\n`;

test("rouse.config.ts and its kin are read, in ES modules and CommonJS", async () => {
  const cases: [Record<string, string>, object][] = [
    [{ "rouse.config.ts": typed }, { type: "module" }],
    [{ "rouse.config.ts": typed }, {}],
    [{ "rouse.config.mts": typed }, {}],
    [{ "rouse.config.cts": typed }, { type: "module" }],
    [{ "rouse.config.js": 'module.exports = { schema: "jobs" };' }, {}],
    [{ "rouse.config.cjs": 'module.exports = { schema: "jobs" };' }, { type: "module" }],
    [{ "rouse.config.mjs": 'export default { schema: "jobs" };' }, {}],
  ];
  for (const [files, manifest] of cases) {
    const [path] = Object.keys(files);
    const found = await readConfigFile(await project(files, manifest));
    assert.equal(found?.path, path);
    assert.deepEqual(found?.values, { schema: "jobs" }, `${path} ${JSON.stringify(manifest)}`);
  }
  assert.equal(await readConfigFile(await project({})), undefined);
});

test("a file that gives no settings, an unknown one, or an error is refused", async () => {
  const cases: [Record<string, string>, RegExp][] = [
    [
      { "rouse.config.ts": "export const schema = 1;" },
      /^rouse\.config\.ts exports no settings: export default defineConfig/,
    ],
    [{ "rouse.config.ts": "export default [];" }, /exports no settings/],
    [
      { "rouse.config.ts": "export default { concurency: 1 };" },
      /unknown setting concurency; did you mean concurrency\? \(settings are/,
    ],
    [
      { "rouse.config.ts": "export default {" },
      /^.*rouse\.config\.ts cannot be loaded: Expected identifier but found end of file at .*:1:16/,
    ],
    [{ "rouse.config.ts": typed, "rouse.config.js": typed }, /^both rouse\.config\.ts and rouse\.config\.js are in /],
  ];
  for (const [files, message] of cases) {
    await assert.rejects(readConfigFile(await project(files)), { name: "ConfigError", message });
  }
});
