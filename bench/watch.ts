/**
 * What watching a table costs its writers. Compares each statement with the same one unwatched, in turns, on one session.
 *
 *     npx tsx bench/watch.ts              on an embedded PostgreSQL 18, fsync on
 *     DATABASE_URL=… npx tsx bench/watch.ts
 *
 * Targets: a watched insert of 100,000 rows at most 2.5 times the unwatched one plus a bare insert of as many jobs; a
 * single-row update that the columns filter turns down at most 20 µs more than unwatched.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startEmbedded } from "../src/dev/index.ts";
import { migrate } from "../src/migrate/index.ts";

const rounds = Number(process.env.ROUNDS ?? 7);
const rows = 100_000;
const loops = 3000;

async function main(client: pg.Client): Promise<void> {
  const { rows: version } = await client.query("show server_version");
  console.log(`PostgreSQL ${version[0].server_version}, ${rounds} rounds, medians\n`);
  await client.query(`
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
  await statements(client);
  await singleRows(client);
}

async function statements(client: pg.Client): Promise<void> {
  const fill = (table: string) =>
    `insert into bench.${table} select n, 's', repeat('x', 50), 0 from generate_series(1, ${rows}) as n`;
  const job = `insert into rouse.job (task, payload)
    select 't', jsonb_build_object('id', n) from generate_series(1, ${rows}) as n`;
  const cases: [title: string, table: string, options: string, statement: string][] = [
    ["insert, payload key", "plain", "payload => 'key'", fill("plain")],
    ["insert, payload change", "plain", "payload => 'change'", fill("plain")],
    ["insert, one job for all", "plain", "payload => 'key', batch => 1000000", fill("plain")],
    ["insert, coalescing", "plain", "payload => 'key', coalesce_key => 'key'", fill("plain")],
    ["update, payload change", "plain", "payload => 'change'", "update bench.plain set n = n + 1"],
    ["update, columns unchanged", "plain", "columns => '{status}'", "update bench.plain set n = n + 1"],
    ["delete, payload key", "plain", "payload => 'key'", "delete from bench.plain"],
    ["insert, partitioned: row level", "parted", "payload => 'key'", fill("parted")],
  ];
  console.log(
    `${rows} rows in one statement, ms`.padEnd(40),
    "unwatched   jobs  watched  watched / (unwatched + jobs)",
  );
  for (const [title, table, options, statement] of cases) {
    const unwatched: number[] = [];
    const jobs: number[] = [];
    const watched: number[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const isWatched of [false, true]) {
        await client.query("truncate bench.plain, bench.parted, rouse.job");
        if (!statement.startsWith("insert")) await client.query(fill(table));
        if (isWatched) await client.query(`select rouse.watch('bench.${table}', 't', name => 'bench', ${options})`);
        (isWatched ? watched : unwatched).push(await time(client, statement));
        if (isWatched) await client.query("select rouse.unwatch('bench')");
        else jobs.push(await time(client, job));
      }
    }
    const [u, j, w] = [median(unwatched), median(jobs), median(watched)];
    console.log(
      title.padEnd(40),
      ...[u, j, w].map((ms) => ms.toFixed(0).padStart(8)),
      (w / (u + j)).toFixed(2).padStart(8),
    );
  }
}

async function singleRows(client: pg.Client): Promise<void> {
  await client.query(`truncate bench.plain, rouse.job;
    insert into bench.plain select n, 's', repeat('x', 50), 0 from generate_series(1, 1000) as n`);
  const cases: [title: string, options: string | null][] = [
    ["unwatched", null],
    ["columns unchanged", "columns => '{status}'"],
    ["condition not met", "condition => 'new.status = ''x'''"],
    ["both", "columns => '{status}', condition => 'new.status = ''x'''"],
    ["a job each", "payload => 'key'"],
    ["coalescing", "payload => 'key', coalesce_key => 'key'"],
  ];
  const measured = cases.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, [, options]] of cases.entries()) {
      if (options) {
        await client.query(`select rouse.watch('bench.plain', 't', name => 'bench', events => '{update}', ${options})`);
      }
      await client.query(`select bench.updates(${loops / 10})`);
      measured[index]?.push((await time(client, `select bench.updates(${loops})`)) * (1000 / loops));
      await client.query("select rouse.unwatch('bench')");
      await client.query("truncate rouse.job");
      await client.query("vacuum bench.plain");
    }
  }
  const base = median(measured[0] ?? []);
  console.log(`\n${"single-row update, µs".padEnd(40)}    each     more`);
  for (const [index, [title]] of cases.entries()) {
    const each = median(measured[index] ?? []);
    console.log(title.padEnd(40), each.toFixed(1).padStart(8), (each - base).toFixed(1).padStart(8));
  }
}

async function time(client: pg.Client, statement: string): Promise<number> {
  const start = performance.now();
  await client.query(statement);
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function withDatabase(url: string): Promise<void> {
  const server = new pg.Client({ connectionString: url });
  await server.connect();
  const name = `rouse_bench_${process.pid}`;
  const own = new URL(url);
  own.pathname = `/${name}`;
  await server.query(`create database ${name} template template0 encoding 'UTF8'`);
  try {
    await migrate({ connectionString: own.href });
    const client = new pg.Client({ connectionString: own.href });
    await client.connect();
    await main(client).finally(() => client.end());
  } finally {
    await server.query(`drop database if exists ${name} with (force)`);
    await server.end();
  }
}

if (process.env.DATABASE_URL) {
  await withDatabase(process.env.DATABASE_URL);
} else {
  const dataDir = await mkdtemp(join(tmpdir(), "rouse-bench-"));
  const server = await startEmbedded({
    dataDir,
    persistent: false,
    settings: { fsync: "on", full_page_writes: "on", shared_buffers: "1GB", max_wal_size: "8GB" },
  });
  await withDatabase(server.url).finally(() => server.stop());
}
