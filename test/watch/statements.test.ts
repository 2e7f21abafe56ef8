import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { setUp, takeJobs, takePayloads, watch, watchRow } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;

setUp(
  database,
  `create table customer (id integer primary key, name text);
   create table orders (
     id integer primary key,
     customer_id integer references customer on delete cascade on update cascade,
     total integer not null default 0
   );
   create table visit (day date not null, page text) partition by range (day);
   create table visit_2026 partition of visit for values from ('2026-01-01') to ('2027-01-01');
   create table visit_2027 partition of visit for values from ('2027-01-01') to ('2028-01-01');`,
);

afterEach(async () => {
  await query("select rouse.unwatch(name) from rouse.watch");
  await query("truncate customer, orders, visit");
  await takeJobs(database);
});

/** What happened, as "event old → new" of one column. */
async function taken(column: string): Promise<string[]> {
  type Change = { event: string; old: Record<string, unknown> | null; new: Record<string, unknown> | null };
  const shown = (row: Record<string, unknown> | null | undefined) => (row ? String(row[column]) : "nothing");
  return ((await takePayloads(database)) as Change[]).map(
    (change) => `${change.event} ${shown(change.old)} → ${shown(change.new)}`,
  );
}

test("C4: INSERT … ON CONFLICT DO UPDATE makes an insert of new rows and an update of those there", async () => {
  await query("insert into orders values (1), (2)");
  await watch(pool, "orders", { task: "t" });
  await query(
    `insert into orders values (1, null, 10), (2, null, 20), (3, null, 30), (4, null, 40)
     on conflict (id) do update set total = excluded.total where excluded.total > 10`,
  );
  assert.deepEqual((await taken("total")).sort(), ["insert nothing → 30", "insert nothing → 40", "update 0 → 20"]);
  await query("insert into orders values (1) on conflict do nothing");
  assert.deepEqual(await taken("total"), []);
});

test("C4: MERGE makes what each of its actions did", async () => {
  await query("insert into orders values (1), (2), (3)");
  await watch(pool, "orders", { task: "t" });
  await query(
    `merge into orders as o using (values (1, 10), (2, 0), (4, 40)) as s (id, total) on o.id = s.id
     when matched and s.total = 0 then delete
     when matched then update set total = s.total
     when not matched then insert values (s.id, null, s.total)`,
  );
  assert.deepEqual((await taken("total")).sort(), ["delete 0 → nothing", "insert nothing → 40", "update 0 → 10"]);
});

test("C4: COPY makes an insert of each row", async () => {
  await watch(pool, "orders", { task: "t" });
  await query("copy orders from program 'echo 1,,10; echo 2,,20' (format csv)");
  assert.deepEqual(await taken("total"), ["insert nothing → 10", "insert nothing → 20"]);
});

test("C4: rows that a foreign key deletes or updates are among the changes of their table", async () => {
  await query("insert into customer values (1), (2); insert into orders values (1, 1), (2, 1), (3, 2)");
  await watch(pool, "orders", { task: "t" });
  await query("update customer set id = 10 where id = 2");
  assert.deepEqual(await taken("customer_id"), ["update 2 → 10"]);
  await query("delete from customer where id = 1");
  assert.deepEqual(await taken("id"), ["delete 1 → nothing", "delete 2 → nothing"]);
});

test("C4: an update of the key gives the key before and after", async () => {
  await query("insert into orders values (1), (2), (3)");
  await watch(pool, "orders", { task: "t", name: "change" });
  await watch(pool, "orders", { task: "t", name: "key", payload: "key", coalesce_key: "key", events: ["update"] });
  await query("update orders set id = id + 10");
  const jobs = await takeJobs(database);
  assert.deepEqual(
    jobs.map(({ coalesce_key, payload }) => coalesce_key ?? payload),
    [
      ...[1, 2, 3].map((id) => ({
        event: "update",
        old: { id, customer_id: null, total: 0 },
        new: { id: id + 10, customer_id: null, total: 0 },
      })),
      ...["11", "12", "13"],
    ],
  );
});

test("C4: TRUNCATE makes one job, without rows, where it is asked for", async () => {
  await query("insert into orders values (1), (2)");
  await watch(pool, "orders", { task: "t", name: "rows" });
  await watch(pool, "orders", {
    task: "t",
    name: "emptied",
    events: ["truncate"],
    condition: "new.total > 5",
    payload: "new.total",
    unique_key: "new.id",
  });
  await query("truncate orders");
  assert.deepEqual(await takePayloads(database), [{ event: "truncate" }]);
});

test("C4: of a partitioned table, writes to it and to its partitions count, later ones included", async () => {
  const name = await watch(pool, "visit", { task: "t" });
  assert.equal((await watchRow(pool, name))?.level, "row");
  await query("create table visit_2028 partition of visit for values from ('2028-01-01') to ('2029-01-01')");
  await query("insert into visit values ('2026-05-01', 'a'), ('2027-05-01', 'b')");
  await query("insert into visit_2026 values ('2026-06-01', 'c')");
  await query("insert into visit_2028 values ('2028-06-01', 'd')");
  await query("update visit set page = page || '!'");
  await query("delete from visit_2028");
  assert.deepEqual((await taken("page")).sort(), [
    "delete d! → nothing",
    "insert nothing → a",
    "insert nothing → b",
    "insert nothing → c",
    "insert nothing → d",
    "update a → a!",
    "update b → b!",
    "update c → c!",
    "update d → d!",
  ]);
  await query("drop table visit_2028");
});

test("C4: a row that moves to another partition is a delete and an insert", async () => {
  await query("insert into visit values ('2026-05-01', 'a')");
  await watch(pool, "visit", { task: "t" });
  await query("update visit set day = '2027-05-01'");
  assert.deepEqual((await taken("day")).sort(), ["delete 2026-05-01 → nothing", "insert nothing → 2027-05-01"]);
});

test("C4: by choice a partitioned table is watched by the statement: at once, but not what is written to partitions", async () => {
  await watch(pool, "visit", { task: "t", level: "statement" });
  await query("insert into visit values ('2026-05-01', 'a'), ('2026-06-01', 'b'), ('2027-06-01', 'c')");
  await query("insert into visit_2026 values ('2026-05-01', 'direct')");
  assert.deepEqual(await taken("page"), ["insert nothing → a", "insert nothing → b", "insert nothing → c"]);
  // Rows that move are updates then, with both rows.
  await query("update visit set day = date '2027-12-31' - (day - date '2026-01-01'), page = upper(page)");
  assert.deepEqual((await taken("page")).sort(), [
    "update a → A",
    "update b → B",
    "update c → C",
    "update direct → DIRECT",
  ]);

  await query(`
    create function keep_out() returns trigger language plpgsql as $$
    begin return case when new.page <> 'A' then new end; end $$;
    create trigger keep_out before insert on visit_2026 for each row execute function keep_out()`);
  await query("update visit set day = '2026-01-01'");
  assert.deepEqual(await taken("page"), []);
  assert.match(String((await watchRow(pool, "public.visit.t"))?.error), /cannot be told apart/);
  await query("drop trigger keep_out on visit_2026; drop function keep_out()");
});

test("C4: of one partition, writes to it and through its parent count", async () => {
  const name = await watch(pool, "visit_2027", { task: "t", columns: ["page"], payload: "changed", key: ["day"] });
  assert.equal((await watchRow(pool, name))?.level, "row");
  await query("insert into visit values ('2026-05-01', 'a'), ('2027-05-01', 'b')");
  await query("update visit set page = upper(page)");
  await query("update visit_2027 set page = page");
  assert.deepEqual(await takePayloads(database), [
    { event: "insert", key: { day: "2027-05-01" }, old: null, new: { day: "2027-05-01", page: "b" } },
    { event: "update", key: { day: "2027-05-01" }, old: { page: "b" }, new: { page: "B" } },
  ]);
});

test("C4: ON CONFLICT, MERGE and COPY into a partitioned table make what they do to each row, attached partitions included", async () => {
  await query(
    `create table stock (id integer, region text, n integer, primary key (id, region)) partition by list (region);
     create table stock_eu (like stock including all);
     insert into stock_eu values (1, 'eu', 1), (2, 'eu', 2), (3, 'eu', 3)`,
  );
  await watch(pool, "stock", { task: "t" });
  await query("alter table stock attach partition stock_eu for values in ('eu')");
  await query(
    `insert into stock values (1, 'eu', 10), (4, 'eu', 40)
     on conflict (id, region) do update set n = excluded.n`,
  );
  assert.deepEqual((await taken("n")).sort(), ["insert nothing → 40", "update 1 → 10"]);
  await query(
    `merge into stock as k using (values (2, 0), (3, 30), (5, 50)) as s (id, n) on k.id = s.id
     when matched and s.n = 0 then delete
     when matched then update set n = s.n
     when not matched then insert values (s.id, 'eu', s.n)`,
  );
  assert.deepEqual((await taken("n")).sort(), ["delete 2 → nothing", "insert nothing → 50", "update 3 → 30"]);
  await query("copy stock from program 'echo 6,eu,60; echo 7,eu,70' (format csv)");
  assert.deepEqual(await taken("n"), ["insert nothing → 60", "insert nothing → 70"]);
  await query("select rouse.unwatch('public.stock.t'); drop table stock");
});

test("C4: a watched table that becomes a partition sees writes through its parent when it is watched again", async () => {
  await query(
    `create table sale (id integer, year integer) partition by list (year);
     create table sale_2026 (like sale)`,
  );
  const watchIt = () => watch(pool, "sale_2026", { task: "t", payload: "new.id" });
  const name = await watchIt();
  assert.equal((await watchRow(pool, name))?.level, "statement");
  await query("alter table sale attach partition sale_2026 for values in (2026)");
  await query("insert into sale values (1, 2026); insert into sale_2026 values (2, 2026)");
  assert.deepEqual(await takePayloads(database), [2]);
  await watchIt();
  assert.equal((await watchRow(pool, name))?.level, "row");
  await query("insert into sale values (3, 2026); insert into sale_2026 values (4, 2026)");
  assert.deepEqual(await takePayloads(database), [3, 4]);
  await query("drop table sale");
});

test("C4: of a foreign table, writes through this server count", async () => {
  const { hostname, port, username, password } = new URL(database.url);
  const name = new URL(database.url).pathname.slice(1);
  const literal = (value: string) => `'${decodeURIComponent(value).replaceAll("'", "''")}'`;
  await query(
    `create extension postgres_fdw;
     create server self foreign data wrapper postgres_fdw options (host ${literal(hostname)}, port ${literal(port)}, dbname ${literal(name)});
     create user mapping for current_user server self options (user ${literal(username)}${password ? `, password ${literal(password)}` : ""});
     create foreign table far_orders (id integer, customer_id integer, total integer) server self options (table_name 'orders')`,
  );
  assert.equal((await watchRow(pool, await watch(pool, "far_orders", { task: "t", key: ["id"] })))?.level, "row");
  await query("insert into far_orders values (1, null, 10), (2, null, 20)");
  await query("update far_orders set total = total + 1");
  await query("delete from far_orders where id = 1");
  assert.deepEqual(await taken("total"), [
    "insert nothing → 10",
    "insert nothing → 20",
    "update 10 → 11",
    "update 20 → 21",
    "delete 11 → nothing",
  ]);
  await assert.rejects(watch(pool, "far_orders", { task: "t", level: "statement" }), /level statement is not possible/);
  await query("drop extension postgres_fdw cascade");
});

test("C2: one job for many rows of a statement, split at the size and kept apart by their options", async () => {
  await watch(pool, "orders", {
    task: "t",
    events: ["insert"],
    payload: "new.id",
    batch: 4,
    queue: "'q' || new.total",
  });
  await query("insert into orders select n, null, n % 2 from generate_series(1, 11) as n");
  assert.deepEqual(
    (await takeJobs(database)).map(({ queue, payload }) => [queue, payload]).sort(),
    [
      ["q0", [2, 4, 6, 8]],
      ["q0", [10]],
      ["q1", [1, 3, 5, 7]],
      ["q1", [9, 11]],
    ].sort(),
  );
  await query("insert into orders values (100)");
  assert.deepEqual(await takePayloads(database), [[100]]);
});

for (const [form, jobs, batch] of [
  ["100,000 jobs", 100_000, null],
  ["one job in batch form", 1, 1_000_000],
] as const) {
  test(`C2: 100,000 rows in one statement enqueue in one statement: ${form}`, async () => {
    await query(
      `create table statements (n integer);
       create function count_statement() returns trigger language plpgsql as $$
       begin insert into public.statements values (1); return null; end $$;
       create trigger counts after insert on rouse.job for each statement execute function count_statement()`,
    );
    await watch(pool, "orders", { task: "t", payload: "key", batch });
    for (const statement of [
      "insert into orders select n from generate_series(1, 100000) as n",
      "update orders set total = 1",
      "delete from orders",
    ]) {
      await query("truncate statements");
      await query(statement);
      const [made] = await query(
        `select
           count(*)::integer as jobs,
           (select count(*)::integer from statements) as statements,
           (select count(distinct id)::integer
            from (select jsonb_path_query(payload, 'lax $[*].id') as id from rouse.job) as ids) as ids
         from rouse.job`,
      );
      assert.deepEqual(made, { jobs, statements: 1, ids: 100_000 }, statement);
      await query("truncate rouse.job");
    }
    await query("drop trigger counts on rouse.job; drop function count_statement(); drop table statements");
  });
}
