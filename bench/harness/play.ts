import { fork } from "node:child_process";
import { join } from "node:path";
import type { Limits, Measures, Scenario, Target } from "./scenario.ts";
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
  /** Machine, server and Node. */
  readonly machine: string;
  readonly scale: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly units: Scenario["units"];
  /** Of each variant, each measure. */
  readonly figures: Readonly<Record<string, Readonly<Record<string, Figure>>>>;
  readonly targets: ReadonlyArray<Figure & Limits & Pick<Target, "what" | "unit" | "sides">>;
}

export interface PlayOptions {
  readonly scale: number;
  readonly rounds: number | undefined;
  /** Gets each run's measures as a line. */
  readonly log: (line: string) => void;
}

/** A run that takes so many times as long as the whole scenario should hangs. */
const PATIENCE = 5;

/**
 * Plays a scenario: in each round every variant once, each in a new process on a new database, and the other way round
 * in every second round, so that whatever drifts (a neighbour's load, a warming disk) falls on all alike. Yields what it
 * has after each round, so that a bench that is cut off has measured something.
 */
export async function* play(
  name: string,
  scenario: Scenario,
  server: BenchServer,
  options: PlayOptions,
): AsyncGenerator<Outcome> {
  const started = performance.now();
  const rounds: Record<string, Measures>[] = [];
  const count = options.rounds ?? scenario.rounds;
  const run = async ([variant, { on }]: (typeof variants)[number]) => {
    const measures = await server.withDatabase(on, (url) =>
      runChild([name, variant, url, String(options.scale)], scenario.seconds * PATIENCE + 60),
    );
    options.log(JSON.stringify({ scenario: name, variant, round: rounds.length + 1, ...measures }));
    return [variant, measures] as const;
  };
  const variants = Object.entries(scenario.variants);
  while (rounds.length < count) {
    const results: (readonly [string, Measures])[] = [];
    if (scenario.together) results.push(...(await Promise.all(variants.map(run))));
    else for (const variant of variants) results.push(await run(variant));
    rounds.push(Object.fromEntries(results));
    variants.reverse();
    yield outcome(name, scenario, rounds, {
      machine: server.machine,
      scale: options.scale,
      seconds: Math.round((performance.now() - started) / 1_000),
    });
  }
}

function outcome(
  name: string,
  { title, units, variants, targets }: Scenario,
  rounds: readonly Record<string, Measures>[],
  about: Pick<Outcome, "machine" | "scale" | "seconds">,
): Outcome {
  return {
    scenario: name,
    title,
    measured: new Date().toISOString(),
    ...about,
    units,
    rounds: rounds.length,
    figures: mapValues(variants, (_, variant) => {
      const runs = rounds.map((round) => round[variant]!);
      return mapValues(runs[0]!, (_, measure) => figure(runs.map((run) => run[measure]!)));
    }),
    targets: targets.map(({ of, ...target }) => ({ ...target, ...figure(rounds.map(of)) })),
  };
}

function runChild(args: readonly [scenario: string, variant: string, ...string[]], seconds: number): Promise<Measures> {
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, "child.ts"), args, {
      timeout: seconds * 1_000,
      killSignal: "SIGKILL",
    });
    let measures: Measures | undefined;
    child.on("message", (message) => {
      measures = message as Measures;
    });
    child.on("exit", (code, signal) => {
      const why = signal === "SIGKILL" ? `was ended after ${seconds} s` : `ended with ${signal ?? `exit code ${code}`}`;
      if (code === 0 && measures !== undefined) resolve(measures);
      else reject(new Error(`${args[0]}, ${args[1]}: the run ${why}`));
    });
  });
}

function figure(values: readonly number[]): Figure {
  const wrong = values.find((value) => !Number.isFinite(value));
  if (wrong !== undefined) throw new Error(`a run measured ${wrong}: nothing of what it counts happened`);
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

function mapValues<V, R>(values: Readonly<Record<string, V>>, map: (value: V, key: string) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value, key)]));
}
