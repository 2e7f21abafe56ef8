import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import type pg from "pg";
import { copyFrom } from "./copy.ts";
import { testRoles, type Who } from "./support.ts";

const shadows = await readFile(new URL("shadows.sql", import.meta.url), "utf8");
const roles = testRoles();
const { database } = roles;

let filled: Promise<void> | undefined;

/** A session of that role in which every name that is not written in full means the attacker's. */
async function besieged(who: Who): Promise<pg.Client> {
  filled ??= fill();
  await filled;
  const client = await roles.connect(who);
  await client.query(`
    create temp table inserted (evil integer);
    create temp table job (evil integer);
    create temp table pg_class (evil integer);
    create temp table pg_locks (evil integer);
    create domain pg_temp.interval as pg_catalog.int4 check (false);
    create domain pg_temp.jsonb as pg_catalog.int4 check (false);
    set search_path = pg_temp, evil, pg_catalog`);
  return client;
}

async function fill(): Promise<void> {
  const results = (await database.pool.query(shadows)) as unknown as pg.QueryResult[];
  const { functions, operators, types, tables } = results.at(-1)!.rows[0];
  assert.ok(functions > 50 && operators > 500 && types > 10 && tables > 20, JSON.stringify(results.at(-1)!.rows));
}

/** Runs a statement; the values' types follow from the function called, so that the statement itself names nothing. */
async function value<T>(client: pg.Client, sql: string, values: unknown[] = []): Promise<T> {
  const { rows } = await client.query({ text: sql, values, rowMode: "array" });
  return rows[0]?.[0] as T;
}

test("search_path: the shadows catch whatever is not written in full", async () => {
  const client = await besieged("enqueue");
  for (const sql of ["select now()", "select clock_timestamp()", "select 1 = 1", "select length('x')"]) {
    await assert.rejects(client.query(sql), { code: "SHADW" }, sql);
  }
  await assert.rejects(client.query("select '1'::jsonb"), { code: "23514" });
});

test("search_path: every definer's function and every trigger has a fixed one", async () => {
  const loose = await database.query(`
    select p.oid::regprocedure::text as function
    from pg_proc as p
    where p.pronamespace = 'rouse'::regnamespace
      and (p.prosecdef or p.prorettype = 'trigger'::regtype)
      and coalesce(p.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp'] is false`);
  assert.deepEqual(loose, []);
});

test("search_path: an enqueuer's shadows are not called", async () => {
  const client = await besieged("enqueue");
  const all = `select rouse.enqueue($1, $2, queue => $3, priority => $4, delay => $5, max_attempts => $6, unique_key => $7,
    timeout => $8, tags => $9, headers => $10)`;
  const values = ["x", "{}", "q", 1, "1 hour", 3, "k", "1 minute", ["t"], "{}"];
  const first = await value(client, all, values);
  assert.equal(await value(client, all, values), first);
  await value(client, "select rouse.enqueue($1, run_at => $2)", ["x", new Date()]);
  await value(client, "select rouse.enqueue_many($1)", [
    JSON.stringify([{ task: "x" }, { task: "x", delay: "1h", unique_key: "k", tags: ["t"] }]),
  ]);
  await client.query("insert into rouse.job (task, run_at) values ('y', $1), ('y', '2000-01-01')", [
    new Date(Date.now() + 3_600_000),
  ]);
  await copyFrom(client, "copy rouse.job (task) from stdin", "y\n");
  await assert.rejects(value(client, "select rouse.enqueue($1)", ["rouse.command"]), { code: "22023" });
});

test("search_path: a worker's shadows are not called", async () => {
  const enqueuer = await besieged("enqueue");
  await enqueuer.query("insert into rouse.job (task) select 'w' from (values (1), (2), (3), (4), (5), (6)) as v");
  const client = await besieged("work");
  const tasks = [{ name: "w", backoff_base: "1 s" }];
  await value(client, "select rouse.declare_tasks_v1($1)", [JSON.stringify(tasks)]);
  const schedules = [{ name: "s", spec: "every 1 hour", task: "w" }];
  await value(client, "select rouse.declare_schedules_v1($1, $2)", ["code:x", JSON.stringify(schedules)]);
  const worker = await value<number>(client, "select rouse.register_v1($1)", ["w"]);
  assert.equal(await value(client, "select rouse.hold_v1($1)", [worker]), true);
  await client.query("select * from rouse.beat_v1($1)", [worker]);
  await client.query("select * from rouse.cancels_v1($1)", [worker]);
  const { rows } = await client.query("select id, lease from rouse.claim_v1($1, tasks => $2, most => $3)", [
    worker,
    ["w"],
    5,
  ]);
  assert.equal(rows.length, 5);
  const [a, b, c, d, e] = rows;
  const note = { id: a.id, lease: a.lease, progress: 0.5, log: [{ at: new Date(), level: "info", message: "m" }] };
  assert.equal(await value(client, "select noted from rouse.note_v1($1)", [JSON.stringify([note])]), 1);
  assert.equal(await value(client, "select rouse.complete_v1($1, $2)", [a.id, a.lease]), "succeeded");
  await value(client, "select rouse.complete_many_v1($1, $2)", [[b.id], [b.lease]]);
  assert.equal(
    await value(client, "select rouse.fail_v1($1, $2, $3)", [c.id, c.lease, '{"message": "m"}']),
    "scheduled",
  );
  assert.equal(await value(client, "select rouse.release_v1($1, $2)", [d.id, d.lease]), "ready");
  await client.query("select * from rouse.exchange_v1($1, null, $2, $3, $4, $5)", [
    ...[worker, ["w"], 1, [e.id], [e.lease]],
  ]);
  await value(client, "select rouse.command_v1($1)", [1]);
  await value(client, "select rouse.reconcile_v1($1, $2)", [worker, []]);
  await value(client, "select rouse.tick()");
  await value(client, "select rouse.maintain()");
  assert.match(await value(client, "select rouse.channel()"), /^rouse_/);
  await value(client, "select rouse.deregister_v1($1)", [worker]);
});

test("search_path: a viewer's shadows are not called", async () => {
  const client = await besieged("view");
  const views = await database.query<{ name: string }>(
    "select relname::text as name from pg_class where relnamespace = 'rouse'::regnamespace and relkind in ('v', 'p', 'r')",
  );
  for (const { name } of views) {
    if (!/_(default|\d{8})$/.test(name)) await client.query(`select * from rouse.${name}`);
  }
  await value(client, "select rouse.cron_next($1, $2)", ["0 0 * * *", new Date()]);
  await value(client, "select rouse.cron_upcoming($1)", ["0 0 * * *"]);
  await client.query("select * from rouse.doctor()");
  await client.query("select * from rouse.await_v1($1)", [[1]]);
  await client.query("select * from rouse.result($1)", [1]);
});

test("search_path: an admin's shadows are not called", async () => {
  const client = await besieged("admin");
  const id = await value<string>(client, "select rouse.enqueue($1, delay => $2)", ["a", "1h"]);
  await value(client, "select rouse.retry($1)", [id]);
  await value(client, "select rouse.purge($1)", [id]);
  await value(client, "select rouse.pause($1)", ["q"]);
  await value(client, "select rouse.resume($1)", ["q"]);
  await value(client, "select rouse.schedule($1, $2, command => $3)", ["c", "every 1 hour", "select 1"]);
  await client.query("update rouse.schedule set spec = 'every 2 hours' where name like 'c'").catch(() => {});
  await value(client, "select rouse.run_now($1)", ["c"]);
  await value(client, "select rouse.pause(schedule => $1)", ["c"]);
  await value(client, "select rouse.resume(schedule => $1)", ["c"]);
  await value(client, "select rouse.unschedule($1)", ["c"]);
  await value(client, "select rouse.grant_access($1, $2)", [roles.name("stranger"), "view"]);
  await value(client, "select rouse.revoke_access($1)", [roles.name("stranger")]);
  await value(client, "select rouse.apply_access()");
  await value(client, "select rouse.confirm_copy()");
  await client.query("select * from rouse.doctor()");
});
