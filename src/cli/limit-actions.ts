import { toInterval } from "../tasks/duration.ts";
import type { Database } from "./database.ts";
import { note, print } from "./output.ts";
import { printRows } from "./rows.ts";
import { UsageError, wholeNumber } from "./usage-error.ts";

/** What a limit is about, one of the names. */
export interface Target {
  readonly queue: string | undefined;
  readonly task: string | undefined;
  readonly key: string | undefined;
  readonly eachKey: boolean;
}

/** What a limit says, as it was typed. */
export interface Rule {
  readonly concurrency: string | undefined;
  readonly rate: string | undefined;
  readonly period: string | undefined;
  readonly burst: string | undefined;
  readonly holds: boolean;
}

const MOST = 1_000_000;

export async function list({ client, schema }: Database, names: readonly string[]): Promise<number> {
  const found = await printRows(client, `select * from ${schema}.limits where $1::text[] = '{}' or name = any ($1)`, [
    names,
  ]);
  if (!found) note(names.length === 0 ? "there are no limits" : "there are no such limits");
  return found || names.length === 0 ? 0 : 1;
}

export async function set({ client, schema }: Database, target: Target, rule: Rule): Promise<number> {
  const { concurrency, rate, period, burst, holds } = rule;
  if (concurrency === undefined && rate === undefined) {
    throw new UsageError("limit set needs --concurrency or --rate");
  }
  await client.query(`select ${schema}.set_limit($1, $2, $3, $4, $5, $6, $7, $8, $9)`, [
    ...valuesOf(target),
    concurrency === undefined ? null : wholeNumber(concurrency, "--concurrency", 1, MOST),
    rate === undefined ? null : wholeNumber(rate, "--rate", 1, MOST),
    period === undefined ? null : toInterval(period, "--period"),
    burst === undefined ? null : wholeNumber(burst, "--burst", 1, MOST),
    holds,
  ]);
  print(`${describe(target)} is limited`);
  return 0;
}

export async function drop({ client, schema }: Database, target: Target): Promise<number> {
  const { rows } = await client.query(`select ${schema}.drop_limit($1, $2, $3, $4) as dropped`, valuesOf(target));
  if (rows[0].dropped) {
    print(`${describe(target)} has no limit any more`);
    return 0;
  }
  note(`${describe(target)} had no limit`);
  return 1;
}

function valuesOf({ queue, task, key, eachKey }: Target): unknown[] {
  return [queue ?? null, task ?? null, key ?? null, eachKey];
}

function describe({ queue, task, key, eachKey }: Target): string {
  const of = queue !== undefined ? `queue ${queue}` : task !== undefined ? `task ${task}` : `key ${key}`;
  return eachKey ? `each key of ${of}` : of;
}
