import { ConfigError } from "../errors.ts";
import { type KeyLimit, limitColumns } from "../tasks/limit.ts";
import { checkOptions } from "../tasks/options.ts";
import type { Queryable } from "./queryable.ts";

/** What a limit is about: one of `queue`, `task` and `key`. */
export interface LimitTarget {
  readonly queue?: string;
  readonly task?: string;
  readonly key?: string;
  /** Not the jobs of the queue or task together, but those of each of their concurrency keys. */
  readonly eachKey?: boolean;
}

export async function setLimit(client: Queryable, schema: string, target: LimitTarget, limit: KeyLimit): Promise<void> {
  const rule = limitColumns("setLimit", limit, true)!;
  await client.query(`select ${schema}.set_limit($1, $2, $3, $4, $5, $6, $7, $8, $9)`, [
    ...targetOf("setLimit", target),
    rule.concurrency ?? null,
    rule.rate ?? null,
    rule.period ?? null,
    rule.burst ?? 1,
    rule.holds ?? false,
  ]);
}

/** Whether there was one. */
export async function dropLimit(client: Queryable, schema: string, target: LimitTarget): Promise<boolean> {
  const { rows } = await client.query(
    `select ${schema}.drop_limit($1, $2, $3, $4) as dropped`,
    targetOf("dropLimit", target),
  );
  return rows[0]!.dropped as boolean;
}

function targetOf(what: string, target: LimitTarget): unknown[] {
  checkOptions(what, target, ["queue", "task", "key", "eachKey"]);
  const { queue, task, key, eachKey } = target;
  if ([queue, task, key].filter((name) => name !== undefined).length !== 1) {
    throw new ConfigError(`${what} needs one of queue, task and key`);
  }
  return [queue ?? null, task ?? null, key ?? null, eachKey ?? false];
}
