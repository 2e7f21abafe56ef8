/**
 * npm run bench [-- scenario …] [--scale 0.1] [--rounds 3] [--report]
 *
 * Plays the scenarios named, or all; at full scale their results are kept in results/. Ends with one table of what was
 * played; --report plays nothing and shows all kept results instead. Draws the chart from the kept ones.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chart } from "./harness/chart.ts";
import { type Outcome, play } from "./harness/play.ts";
import type { Scenario } from "./harness/scenario.ts";
import { startServer } from "./harness/server.ts";
import { table } from "./harness/table.ts";

/** In the order in which they are played and shown. */
const SCENARIOS = [
  "drain",
  "drain-defaults",
  "drain-archive",
  "limit",
  "latency",
  "commits",
  "bulk",
  "held-snapshot",
  "backlog",
  "crowded",
  "sleepers",
  "delayed",
  "idle",
  "mixed",
  "memory",
];

const here = import.meta.dirname;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: "string", default: "1" },
    rounds: { type: "string" },
    report: { type: "boolean", default: false },
  },
});

const scenarios = await readScenarios();
const names = positionals.length > 0 ? positionals : Object.keys(scenarios);
const unknown = names.filter((name) => scenarios[name] === undefined);
if (unknown.length > 0) {
  console.error(`No scenario ${unknown.join(", ")}. There are: ${Object.keys(scenarios).join(", ")}.`);
  process.exit(2);
}

const played = values.report ? await keptOutcomes() : await playAll();
console.log(table(played, scenarios));
const kept = await keptOutcomes();
if (kept.length > 0) await writeFile(join(here, "../docs/performance.svg"), chart(kept, scenarios));

async function playAll(): Promise<Outcome[]> {
  const scale = Number(values.scale);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  const server = await startServer();
  const outcomes: Outcome[] = [];
  try {
    for (const name of names) {
      const outcome = await play(name, scenarios[name]!, server, { scale, rounds, log: (line) => console.error(line) });
      outcomes.push(outcome);
      if (scale === 1) await keep(outcome);
    }
  } finally {
    await server.stop();
  }
  return outcomes;
}

async function keep(outcome: Outcome): Promise<void> {
  await mkdir(join(here, "results"), { recursive: true });
  await writeFile(join(here, "results", `${outcome.scenario}.json`), `${JSON.stringify(outcome, undefined, 2)}\n`);
}

async function keptOutcomes(): Promise<Outcome[]> {
  const kept = await Promise.all(
    Object.keys(scenarios).map((name) =>
      readFile(join(here, "results", `${name}.json`), "utf8").catch(() => undefined),
    ),
  );
  return kept.filter((text) => text !== undefined).map((text) => JSON.parse(text) as Outcome);
}

async function readScenarios(): Promise<Record<string, Scenario>> {
  const entries = await Promise.all(
    SCENARIOS.map(async (name) => {
      const { scenario } = (await import(`./scenarios/${name}.ts`)) as { scenario: Scenario };
      return [name, scenario] as const;
    }),
  );
  return Object.fromEntries(entries);
}
