import type pg from "pg";
import type { Measures, Run, Scenario } from "../harness/scenario.ts";
import { median } from "../harness/stats.ts";

const ROWS = 100_000;
const UPDATES = 3_000;
const TURNS = 5;

const insert = (table: string) =>
  `insert into bench.${table} select n, 's', repeat('x', 50), 0 from generate_series(1, ${ROWS}) as n`;
const UPDATE = "update bench.plain set n = n + 1";
const BARE_JOBS = `
  insert into rouse.job (task, payload)
  select 't', jsonb_build_object('id', n) from generate_series(1, ${ROWS}) as n`;

const STATEMENTS: readonly (readonly [title: string, table: string, options: string, statement: string])[] = [
  ["insert, payload key", "plain", "payload => 'key'", insert("plain")],
  ["insert, payload change", "plain", "payload => 'change'", insert("plain")],
  ["insert, one job for all", "plain", "payload => 'key', batch => 1000000", insert("plain")],
  ["insert, coalescing", "plain", "payload => 'key', coalesce_key => 'key'", insert("plain")],
  ["update, payload change", "plain", "payload => 'change'", UPDATE],
  ["update, columns unchanged", "plain", "columns => '{status}'", UPDATE],
  ["delete, payload key", "plain", "payload => 'key'", "delete from bench.plain"],
  ["insert, partitioned: row level", "parted", "payload => 'key'", insert("parted")],
];

const SINGLE: readonly (readonly [title: string, options: string | undefined])[] = [
  ["unwatched", undefined],
  ["columns unchanged", "columns => '{status}'"],
  ["condition not met", "condition => 'new.status = ''x'''"],
  ["a job each", "payload => 'key'"],
  ["coalescing", "payload => 'key', coalesce_key => 'key'"],
];

async function prepare(sql: pg.Client): Promise<void> {
  await sql.query(`
    set client_min_messages = warning;
    create schema bench;
    create table bench.plain (id integer primary key, status text, note text, n integer) with (fillfactor = 50);
    create table bench.parted (like bench.plain including all) partition by range (id);
    create table bench.parted_all partition of bench.parted default with (fillfactor = 50);
    create function bench.updates(n integer) returns void language plpgsql as $$
    begin
      for i in 1..n loop
        update bench.plain set n = plain.n + 1 where id = 1 + i % 1000;
      end loop;
    end $$`);
}

async function time(sql: pg.Client, statement: string): Promise<number> {
  const started = performance.now();
  await sql.query(statement);
  return performance.now() - started;
}

/** Each statement unwatched, as many bare jobs, and the statement watched, in turns on one session. */
async function statements({ sql, size }: Run): Promise<Measures> {
  await prepare(sql);
  const measures: Record<string, number> = {};
  for (const [title, table, options, statement] of STATEMENTS) {
    // A trigger for each row takes longer than all the others together.
    const turns = table === "parted" ? 1 : size(TURNS);
    const times = { unwatched: [] as number[], jobs: [] as number[], watched: [] as number[] };
    for (let turn = 0; turn < turns; turn += 1) {
      for (const watched of [false, true]) {
        await sql.query("truncate bench.plain, bench.parted, rouse.job");
        if (!statement.startsWith("insert")) await sql.query(insert(table));
        if (watched) await sql.query(`select rouse.watch('bench.${table}', 't', name => 'bench', ${options})`);
        times[watched ? "watched" : "unwatched"].push(await time(sql, statement));
        if (watched) await sql.query("select rouse.unwatch('bench')");
        else times.jobs.push(await time(sql, BARE_JOBS));
      }
    }
    for (const [what, taken] of Object.entries(times)) measures[`${title}: ${what}`] = median(taken);
  }
  return measures;
}

async function singleRows({ sql, size }: Run): Promise<Measures> {
  await prepare(sql);
  await sql.query("insert into bench.plain select n, 's', repeat('x', 50), 0 from generate_series(1, 1000) as n");
  const times = new Map<string, number[]>(SINGLE.map(([title]) => [title, []]));
  for (let turn = 0; turn < size(TURNS); turn += 1) {
    for (const [title, options] of SINGLE) {
      if (options) {
        await sql.query(`select rouse.watch('bench.plain', 't', name => 'bench', events => '{update}', ${options})`);
      }
      await sql.query(`select bench.updates(${UPDATES / 10})`);
      times.get(title)!.push((await time(sql, `select bench.updates(${UPDATES})`)) * (1_000 / UPDATES));
      await sql.query("select rouse.unwatch('bench')");
      await sql.query("truncate rouse.job");
      await sql.query("vacuum bench.plain");
    }
  }
  return Object.fromEntries([...times].map(([title, taken]) => [title, median(taken)]));
}

const MANY = "100,000 rows in one statement";
const ONE = "update of one row";

export const scenario: Scenario = {
  title: "what watching a table costs its writers",
  onlyNamed: true,
  seconds: 120,
  rounds: 1,
  units: {
    ...Object.fromEntries(
      STATEMENTS.flatMap(([title]) => ["unwatched", "jobs", "watched"].map((what) => [`${title}: ${what}`, "ms"])),
    ),
    ...Object.fromEntries(SINGLE.map(([title]) => [title, "µs"])),
  },
  variants: { [MANY]: { on: "rouse", measure: statements }, [ONE]: { on: "rouse", measure: singleRows } },
  targets: [
    {
      what: "insert, payload key: watched / (unwatched + as many bare jobs)",
      of: ({ [MANY]: many }) =>
        many!["insert, payload key: watched"]! /
        (many!["insert, payload key: unwatched"]! + many!["insert, payload key: jobs"]!),
      reach: 2.5,
      atMost: true,
    },
    {
      what: "one row whose columns are unchanged: more than unwatched",
      of: ({ [ONE]: one }) => one!["columns unchanged"]! - one!.unwatched!,
      unit: "µs",
      reach: 20,
      atMost: true,
    },
  ],
};
