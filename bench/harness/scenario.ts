import type pg from "pg";
import type { Installation } from "../contenders/installations.ts";

/** What one run measured, by name. */
export type Measures = Readonly<Record<string, number>>;

/** What a run is given: an empty database with one contender installed, and a process of its own. */
export interface Run {
  readonly url: string;
  /** A connection for whatever the measurement itself needs. */
  readonly sql: pg.Client;
  /** A size from the table, cut down where the bench runs at a smaller scale, but not below `least`. */
  size(full: number, least?: number): number;
}

export interface Variant {
  /** Whose schema the database has. */
  readonly on: Installation;
  readonly measure: (run: Run) => Promise<Measures>;
}

export interface Limits {
  readonly reach: number;
  readonly beyond?: number;
  /** Lower is better: `reach` and `beyond` are limits. */
  readonly atMost?: boolean;
}

/** A figure to reach: calculated within each round, whose runs stand beside each other, and then the median of the rounds. */
export interface Target extends Limits {
  readonly what: string;
  readonly of: (round: Readonly<Record<string, Measures>>) => number;
  /** Of `of`; left out: it is a ratio. */
  readonly unit?: string;
  /** The two sides of a ratio. */
  readonly sides?: { readonly measure: string; readonly of: string; readonly to: string };
}

export interface Scenario {
  readonly title: string;
  /** Too long for a run of all: played only when named. */
  readonly onlyNamed?: boolean;
  /** How long all of it takes at full scale on two quiet cores. */
  readonly seconds: number;
  readonly rounds: number;
  /** The variants of a round run at the same time: they count, and are idle. */
  readonly together?: boolean;
  /** Unit of each measure, for the table. */
  readonly units: Readonly<Record<string, string>>;
  readonly variants: Readonly<Record<string, Variant>>;
  readonly targets: readonly Target[];
}

/** A target that divides a measure of one variant by the same of another. */
export function ratio(measure: string, of: string, to: string, limits: Limits): Target {
  const value: Target["of"] = (round) => round[of]![measure]! / round[to]![measure]!;
  return { what: `${measure}: ${of} / ${to}`, of: value, sides: { measure, of, to }, ...limits };
}

/** A target for a measure itself. */
export function absolute(measure: string, of: string, unit: string, limits: Limits): Target {
  return { what: `${measure}: ${of}`, of: (round) => round[of]![measure]!, unit, ...limits };
}
