import { fork } from "node:child_process";
import { join } from "node:path";
import type { Measures, Scenario } from "./scenario.ts";
import type { BenchServer } from "./server.ts";
import { median } from "./stats.ts";

export interface Figure {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface Outcome {
  readonly scenario: string;
  readonly title: string;
  readonly measured: string;
  readonly scale: number;
  readonly rounds: number;
  /** Of each variant, each measure. */
  readonly figures: Readonly<Record<string, Readonly<Record<string, Figure>>>>;
  readonly targets: ReadonlyArray<
    Figure & { what: string; reach: number; beyond?: number | undefined; atMost?: boolean | undefined }
  >;
}

export interface PlayOptions {
  readonly scale: number;
  readonly rounds: number | undefined;
  /** Gets each run's measures as a line. */
  readonly log: (line: string) => void;
}

/**
 * Plays a scenario: in each round every variant once, each in a new process on a new database, and the other way round
 * in every second round, so that whatever drifts (a neighbour's load, a warming disk) falls on all alike.
 */
export async function play(
  name: string,
  scenario: Scenario,
  server: BenchServer,
  options: PlayOptions,
): Promise<Outcome> {
  const rounds: Record<string, Measures>[] = [];
  const count = options.rounds ?? scenario.rounds ?? 5;
  for (let round = 0; round < count; round += 1) {
    const order = Object.entries(scenario.variants);
    if (round % 2 === 1) order.reverse();
    const results: Record<string, Measures> = {};
    for (const [variant, { on }] of order) {
      const measures = await server.withDatabase(on, (url) => runChild(name, variant, url, options.scale));
      options.log(JSON.stringify({ scenario: name, variant, round, ...measures }));
      results[variant] = measures;
    }
    rounds.push(results);
  }
  const { title, variants, targets } = scenario;
  return {
    scenario: name,
    title,
    measured: new Date().toISOString(),
    scale: options.scale,
    rounds: count,
    figures: mapValues(variants, (_, variant) => {
      const runs = rounds.map((round) => round[variant]!);
      return mapValues(runs[0]!, (_, measure) => figure(runs.map((run) => run[measure]!)));
    }),
    targets: targets.map(({ of, ...target }) => ({ ...target, ...figure(rounds.map(of)) })),
  };
}

function runChild(scenario: string, variant: string, url: string, scale: number): Promise<Measures> {
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, "child.ts"), [scenario, variant, url, String(scale)]);
    let measures: Measures | undefined;
    child.on("message", (message) => {
      measures = message as Measures;
    });
    child.on("exit", (code, signal) => {
      if (code === 0 && measures !== undefined) resolve(measures);
      else reject(new Error(`${scenario}, ${variant}: the run ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

function figure(values: readonly number[]): Figure {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

function mapValues<V, R>(values: Readonly<Record<string, V>>, map: (value: V, key: string) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value, key)]));
}
