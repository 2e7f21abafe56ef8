/**
 * npm run bench [-- scenario …] [--scale 0.1] [--rounds 3] [--keep] [--report] [--list]
 *
 * Plays the scenarios named, or all in order of importance. Results are kept in results/ after each round, at full scale or
 * with --keep. Ends with one table, and renews the chart, docs/performance.md and the README from the kept results;
 * --report does so and plays nothing.
 */
import { parseArgs } from "node:util";
import { type Outcome, play } from "./harness/play.ts";
import { keep, keptOutcomes } from "./harness/results.ts";
import type { Scenario } from "./harness/scenario.ts";
import { startServer } from "./harness/server.ts";
import { table } from "./report/table.ts";
import { writeReport } from "./report/write.ts";

/** In the order in which they are played and shown. */
const SCENARIOS = [
  "drain",
  "limit",
  "drain-archive",
  "drain-defaults",
  "keyed",
  "latency",
  "commits",
  "held-snapshot",
  "bulk",
  "backlog",
  "crowded",
  "mixed",
  "memory",
  "idle",
  "delayed",
  "sleepers",
  "backlog-5m",
  "watch",
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: "string", default: "1" },
    rounds: { type: "string" },
    keep: { type: "boolean", default: false },
    report: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const scale = positive("scale", values.scale);
const rounds = values.rounds === undefined ? undefined : positive("rounds", values.rounds);

const scenarios = await readScenarios();
const names = positionals.length > 0 ? positionals : SCENARIOS.filter((name) => !scenarios[name]!.onlyNamed);
const unknown = names.filter((name) => scenarios[name] === undefined);
if (unknown.length > 0) {
  console.error(`No scenario ${unknown.join(", ")}. There are: ${Object.keys(scenarios).join(", ")}.`);
  process.exit(2);
}

if (values.list) {
  for (const name of names)
    console.log(`${name.padEnd(16)}${estimate(scenarios[name]!).padEnd(22)}${scenarios[name]!.title}`);
} else {
  const played = values.report ? await keptOutcomes(Object.keys(scenarios)) : await playAll();
  if (played.length > 0) console.log(table(played));
  await writeReport(scenarios, await keptOutcomes(Object.keys(scenarios)));
}

async function playAll(): Promise<Outcome[]> {
  const server = await startServer();
  const outcomes = new Map<string, Outcome>();
  const log = (line: string) => console.error(line);
  try {
    for (const name of names) {
      const scenario = scenarios[name]!;
      log(`${name}: ${scale === 1 && rounds === undefined ? estimate(scenario) : `at scale ${scale}`}`);
      try {
        for await (const outcome of play(name, scenario, server, { scale, rounds, log })) {
          outcomes.set(name, outcome);
          if (scale === 1 || values.keep) await keep(outcome);
        }
      } catch (error) {
        // The others are still worth having.
        log(String(error));
        process.exitCode = 1;
      }
    }
  } finally {
    await server.stop();
  }
  return [...outcomes.values()];
}

function estimate({ rounds, seconds }: Scenario): string {
  return `${rounds} ${rounds === 1 ? "round" : "rounds"}, about ${seconds} s`;
}

function positive(option: string, value: string): number {
  const number = Number(value);
  if (number > 0) return number;
  console.error(`--${option} ${value}: give a number above 0.`);
  process.exit(2);
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
