import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { readCrontab } from "../schedules/crontab.ts";
import { secondOpinion } from "../schedules/second-opinion.ts";
import type { Database } from "./database.ts";
import { note, print } from "./output.ts";
import { printRows } from "./rows.ts";
import { UsageError } from "./usage-error.ts";

export async function list(database: Database, names: readonly string[]): Promise<number> {
  const found = await printRows(
    database.client,
    `select schedule, spec, timezone, runs, next, next_local, last, last_state, count, source, last_error
    from ${database.schema}.schedules
    where $1::text[] = '{}' or schedule = any ($1)`,
    [names],
  );
  if (!found) note(names.length === 0 ? "there are no schedules" : "there are no such schedules");
  return found || names.length === 0 ? 0 : 1;
}

export async function preview(
  database: Database,
  spec: string,
  { count, timezone }: { readonly count: number; readonly timezone: string },
): Promise<number> {
  const { client, schema } = database;
  const after = new Date();
  const upcoming = `${schema}.cron_upcoming($1, $2, $3, $4)`;
  const values = [spec, count, after, timezone];
  if (!(await printRows(client, `select n, local, utc, note from ${upcoming}`, values))) {
    note("it never runs again");
    return 0;
  }
  const { rows } = await client.query(`select at from ${upcoming}`, values);
  const opinion = secondOpinion(
    spec,
    timezone,
    after,
    rows.map(({ at }) => at as Date),
  );
  if (opinion !== undefined) note(`note: ${opinion}`);
  return 0;
}

export async function run({ client, schema }: Database, names: readonly string[]): Promise<number> {
  for (const name of names) {
    const { rows } = await client.query(`select ${schema}.run_now($1) as id`, [name]);
    print(`schedule ${name}: job ${rows[0].id} is enqueued`);
  }
  return 0;
}

export async function setPaused(
  { client, schema }: Database,
  names: readonly string[],
  paused: boolean,
): Promise<number> {
  for (const name of names) {
    await client.query(`select ${schema}.${paused ? "pause" : "resume"}(schedule => $1)`, [name]);
    const { rows } = await client.query(`select next from ${schema}.schedules where schedule = $1`, [name]);
    print(`schedule ${name} is ${paused ? "paused" : `resumed, next ${rows[0].next}`}`);
  }
  return 0;
}

/** Makes the schedules of a crontab file exactly those it names; with `dryRun` only tells what would change. */
export async function apply(
  { client, schema }: Database,
  file: string,
  { dryRun }: { readonly dryRun: boolean },
): Promise<number> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `${file} cannot be read: ${error.code === "ENOENT" ? "there is no such file" : error.message}`,
    );
  });
  const entries = readCrontab(text, file);
  await client.query("begin");
  const { rows } = await client.query(`select name, change from ${schema}.declare_schedules_v1($1, $2::jsonb)`, [
    `crontab:${basename(file)}`,
    JSON.stringify(entries),
  ]);
  await client.query(dryRun ? "rollback" : "commit");
  for (const { name, change } of rows) print(`${dryRun && change !== "same" ? "would be " : ""}${change}: ${name}`);
  if (dryRun) note("nothing was changed");
  return 0;
}
