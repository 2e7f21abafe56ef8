#!/usr/bin/env node
import { flushed, surviveBrokenPipes } from "./output.ts";
import { run } from "./run.ts";

surviveBrokenPipes();
const code = await run(process.argv.slice(2));
await flushed();
// Whatever a task file or a settings file has left open would keep the process.
process.exit(code);
