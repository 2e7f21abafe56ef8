import type pg from "pg";
import type { Installation } from "../contenders/installations.ts";

/** What one run measured, by name. */
export type Measures = Readonly<Record<string, number>>;

/** What a run is given: an empty database with one contender installed, and a process of its own. */
export interface Run {
  readonly url: string;
  /** A connection for whatever the measurement itself needs. */
  readonly sql: pg.Client;
  /** A size from the table, cut down where the bench runs at a smaller scale. */
  size(full: number): number;
}

export interface Variant {
  /** Whose schema the database has. */
  readonly on: Installation;
  readonly measure: (run: Run) => Promise<Measures>;
}

/** A figure to reach: calculated within each round, whose runs stand beside each other, and then the median of the rounds. */
export interface Target {
  readonly what: string;
  readonly of: (round: Readonly<Record<string, Measures>>) => number;
  readonly reach: number;
  readonly beyond?: number;
  /** Lower is better: `reach` and `beyond` are limits. */
  readonly atMost?: boolean;
}

export interface Scenario {
  readonly title: string;
  /** Unit of each measure, for the table. */
  readonly units: Readonly<Record<string, string>>;
  readonly rounds?: number;
  readonly variants: Readonly<Record<string, Variant>>;
  readonly targets: readonly Target[];
  /** The measure that the chart shows of this scenario; left out: it is not in the chart. */
  readonly chart?: string;
}

/** A target that divides a measure of one variant by the same of another. */
export function ratio(
  measure: string,
  of: string,
  to: string,
  limits: { reach: number; beyond?: number; atMost?: boolean },
): Target {
  const value: Target["of"] = (round) => round[of]![measure]! / round[to]![measure]!;
  return { what: `${measure}: ${of} / ${to}`, of: value, ...limits };
}
