import { ConfigError } from "../errors.ts";
import { type Duration, toInterval, toMilliseconds } from "./duration.ts";
import { checkOptions } from "./options.ts";

/** How many jobs run at a time, and how many start in a time, on all workers together. */
export interface Limit {
  /** Jobs that run at a time; left out: any number. */
  readonly concurrency?: number;
  /** Jobs that start in each `period`; left out: any number. */
  readonly rate?: number;
  /** Time in which `rate` jobs start; default one second. */
  readonly period?: Duration;
  /** Jobs that may start at once after a pause, so that in any time at most burst + rate × time start; default 1. */
  readonly burst?: number;
}

/** A limit of the jobs of each key. */
export interface KeyLimit extends Limit {
  /** Whether a job that failed keeps its slot until its next attempt, so that no other one passes it; default false. */
  readonly holds?: boolean;
}

/** A limit as the database reads it. */
export function limitColumns(
  what: string,
  limit: KeyLimit | undefined,
  keys: boolean,
): Record<string, unknown> | undefined {
  if (limit === undefined) return undefined;
  checkOptions(what, limit, ["concurrency", "rate", "period", "burst", ...(keys ? ["holds"] : [])]);
  const { concurrency, rate, period, burst, holds } = limit;
  for (const [name, value] of Object.entries({ concurrency, rate, burst })) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= 1_000_000)) {
      throw new ConfigError(`${what}: ${name} ${String(value)} is not a whole number from 1 to 1000000`);
    }
  }
  if (period !== undefined && toMilliseconds(period, `${what}: period`) === 0) {
    throw new ConfigError(`${what}: period is 0: give the time in which that many jobs may start`);
  }
  if (concurrency === undefined && rate === undefined) {
    throw new ConfigError(
      `${what} needs concurrency or rate: such as { concurrency: 5 } or { rate: 100, period: "1m" }`,
    );
  }
  if (rate === undefined && (period !== undefined || burst !== undefined)) {
    throw new ConfigError(`${what}: period and burst need a rate`);
  }
  return { concurrency, rate, period: period === undefined ? undefined : toInterval(period), burst, holds };
}
