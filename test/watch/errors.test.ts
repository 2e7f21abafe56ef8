import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { setUp, takeJobs, takePayloads, unwatch, watch, watchRow } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;

setUp(database, "create table place (n integer); insert into rouse.task (name, aliases) values ('t', '{former}')");

afterEach(async () => {
  await query("select rouse.unwatch(name) from rouse.watch");
  await query("drop table if exists orders, moved; truncate rouse.job");
});

const newTable = () =>
  query("create table orders (id integer primary key, status text default 'new', total integer default 0, note text)");

const fifty = "insert into orders (id, total) select n, n from generate_series(1, 50) as n";

/** What doctor() says of watches and topics. */
async function findings(): Promise<string[]> {
  const rows = await query(
    "select severity || ' ' || subject || ': ' || finding as f from rouse.doctor() where subject ~ '^(watch|topic) ' order by 1",
  );
  return rows.map(({ f }) => String(f));
}

/** What a client is told while it runs some SQL. */
async function told(sql: string): Promise<string[]> {
  const client = await database.connect();
  const messages: string[] = [];
  client.on("notice", ({ message }) => messages.push(message ?? ""));
  await client.query(sql);
  await client.end();
  return messages;
}

for (const [rows, statements] of [
  ["one row", "insert into orders (id) values (1); update orders set total = 1; delete from orders"],
  ["many rows", `${fifty}; update orders set total = total + 1; delete from orders`],
] as const) {
  test(`C9: the column a watch needs is dropped, the writes go on: ${rows}`, async () => {
    await newTable();
    const name = await watch(pool, "orders", { task: "t", columns: ["status"], condition: "new.status <> old.status" });
    assert.deepEqual(await findings(), []);
    await query("alter table orders drop column status");
    assert.deepEqual(await query("select * from rouse.check_watches()"), [
      { watch: name, problem: "columns: public.orders has no column 'status'" },
    ]);
    const gone = `error watch "${name}": columns: public.orders has no column 'status'`;
    assert.deepEqual(await findings(), [gone]);
    const warnings = await told(statements);
    assert.equal((await findings())[0], gone);
    assert.match(
      (await findings())[1] ?? "",
      /^warning watch "public\.orders\.t": it has failed, the last time .* ago with an insert: record "new" has no field "status"$/,
    );
    assert.deepEqual(await query("select count(*)::integer from orders"), [{ count: 0 }]);
    assert.deepEqual(await takeJobs(database), []);
    assert.match(
      warnings.join("\n"),
      /^watch "public.orders.t" made no job of this insert: record "new" has no field "status"$/m,
    );
    const row = await watchRow(pool, name);
    assert.deepEqual([row?.status, row?.error], ["failing", 'record "new" has no field "status"']);
    assert.match(String(row?.failed), /ago$/);

    await query("alter table orders add column status text");
    await watch(pool, "orders", { task: "t", columns: ["status"], payload: "key" });
    await query("insert into orders (id) values (1); update orders set status = 'x'");
    assert.deepEqual(await takePayloads(database), [{ id: 1 }, { id: 1 }]);
    assert.deepEqual((await watchRow(pool, name))?.error, null);
  });
}

test("C9: a column that no watch needs can go, be renamed or be added, in open sessions too", async () => {
  await newTable();
  await watch(pool, "orders", { task: "t", columns: ["status"], payload: "row" });
  const client = await database.connect();
  const write = () =>
    client.query(
      "truncate orders; insert into orders (id) values (1), (2); update orders set status = 'x'; update orders set status = 'y' where id = 1",
    );
  await write();
  await takeJobs(database);
  await query(
    "alter table orders drop column note; alter table orders rename total to sum; alter table orders add column born date default '2026-11-20'",
  );
  await write();
  await query("alter table orders alter column sum type text");
  await write();
  const [first, ...rest] = await takePayloads(database);
  assert.deepEqual(first, { id: 1, status: "new", sum: 0, born: "2026-11-20" });
  assert.deepEqual(rest.at(-1), { id: 1, status: "y", sum: "0", born: "2026-11-20" });
  assert.equal(rest.length, 9);
});

test("a table that is renamed stays watched, one that is dropped can be unwatched, and the view shows both", async () => {
  await newTable();
  const name = await watch(pool, "orders", { task: "t", payload: "key" });
  await query("alter table orders rename to moved");
  await query("insert into moved (id) values (1)");
  assert.deepEqual(await takePayloads(database), [{ id: 1 }]);
  assert.equal((await watchRow(pool, name))?.relation, "moved");
  await query("alter table moved disable trigger user");
  assert.equal((await watchRow(pool, name))?.status, "disabled");
  assert.deepEqual(await findings(), [`error watch "${name}": triggers of it on public.moved are disabled`]);
  await query(
    `do $$ begin execute format('drop trigger rouse_watch_%s_delete on moved', (select id from rouse.watch)); end $$`,
  );
  await query("alter table moved enable trigger user");
  assert.deepEqual(await findings(), [`error watch "${name}": triggers of it on public.moved are missing`]);
  await query("drop table moved");
  const row = await watchRow(pool, name);
  assert.deepEqual([row?.status, row?.relation], ["table gone", "public.orders"]);
  assert.deepEqual(await query("select * from rouse.check_watches()"), [
    { watch: name, problem: "its triggers are gone, with the table public.orders or without it" },
  ]);
  await newTable();
  await query("insert into orders (id) values (2)");
  assert.equal(await watch(pool, "orders", { task: "t", payload: "key" }), name);
  assert.equal((await watchRow(pool, name))?.status, "active");
  await query("drop table orders");
  assert.equal(await unwatch(pool, name), true);
  assert.deepEqual(await query("select from pg_proc where proname ~ '^watch_[0-9]+$'"), []);
});

test("expressions may fail in any row: of data, too many rows, too large, raised by a function of the user's", async () => {
  await newTable();
  await query(`
    create function public.angry(n integer) returns integer language plpgsql as $$
    begin if n = 40 then raise exception 'no'; end if; return n; end $$`);
  const failing = {
    condition: [
      "10 / (new.total - 40) > 0",
      "new.note::integer > 0 or new.total < 40 or 'x' || new.total = 'x'::text || new.note::integer",
    ],
    payload: [
      "(select t.n from generate_series(1, new.total - 38) as t (n))",
      "public.angry(new.total)",
      "repeat('x', case new.total when 40 then 300000000 else 1 end)",
    ],
    priority: ["new.total * 10"],
    delay: ["make_interval(secs => 30 - new.total)"],
    queue: ["case when new.total = 40 then '' else 'q' end"],
    unique_key: ["repeat('k', new.total * 11)"],
    coalesce_key: ["repeat('k', new.total * 11)"],
  };
  await query("alter table orders alter column note set default 'x'");
  for (const [option, expressions] of Object.entries(failing)) {
    for (const expression of expressions) {
      for (const [statement, jobs] of [
        [fifty, 0],
        ["insert into orders (id, total) values (1, 40)", 0],
      ] as const) {
        if (option === "priority" && statement !== fifty) continue;
        await watch(pool, "orders", { task: "t", name: "w", [option]: expression });
        if (option === "delay" && statement !== fifty) assert.equal((await told(statement)).length, 1);
        else await query(statement);
        assert.notEqual((await watchRow(pool, "w"))?.error ?? null, null, `${option}: ${expression}: ${statement}`);
        assert.equal((await takeJobs(database)).length, jobs, expression);
        await unwatch(pool, "w");
        await query("truncate orders");
      }
    }
  }
  await query("drop function public.angry");
});

test("doctor: a watch or a topic whose task nobody has declared; a former name of a task is known", async () => {
  await newTable();
  await watch(pool, "orders", { tasks: ["t", "former", "later"], name: "w" });
  await query("select rouse.subscribe('news', 't'), rouse.subscribe('news', 'never')");
  assert.deepEqual(await findings(), [
    'warning topic "news": nobody has declared its task "never"',
    'warning watch "w": nobody has declared its task "later"',
  ]);
  await query("insert into orders (id) values (1)");
  assert.equal((await takeJobs(database)).length, 2);
  await query("truncate rouse.subscription");
});

test("an error is kept once in ten seconds, and cursors are closed whatever happens", async () => {
  await newTable();
  await watch(pool, "orders", { task: "t", condition: "1 / (new.total - 2) < 5", events: ["insert"] });
  const client = await database.connect();
  const messages: string[] = [];
  client.on("notice", ({ message }) => messages.push(message ?? ""));
  await client.query("begin");
  await client.query("insert into orders (id, total) values (1, 2)");
  await client.query("insert into orders (id, total) values (2, 5)");
  await client.query("insert into orders (id, total) select n, n from generate_series(3, 50) as n");
  await client.query("delete from orders");
  await client.query("insert into orders (id, total) select n, 52 - n from generate_series(1, 50) as n");
  const { rows: cursors } = await client.query("select name from pg_cursors where name <> ''");
  await client.query("commit");
  assert.deepEqual(
    cursors.filter(({ name }) => String(name).startsWith("<unnamed")),
    [],
  );
  assert.equal((await takeJobs(database)).length, 49);
  assert.equal(messages.length, 1);
  assert.deepEqual(await query("select event, code, message from rouse.watch_error"), [
    { event: "insert", code: "22012", message: "division by zero" },
  ]);
  await query("update rouse.watch_error set failed_at = failed_at - interval '8 days'");
  await query("select rouse.maintain()");
  assert.deepEqual(await query("select from rouse.watch_error"), []);
});

test("by choice the write fails, and says which watch made it fail", async () => {
  await newTable();
  await watch(pool, "orders", {
    task: "t",
    name: "strict",
    condition: "1 / new.total > 0",
    on_error: "raise",
    events: ["insert"],
  });
  for (const statement of [
    "insert into orders values (1)",
    "insert into orders (id, total) select n, 20 - n from generate_series(1, 50) as n",
  ]) {
    await assert.rejects(query(statement), (error: pg.DatabaseError) => {
      assert.deepEqual([error.code, error.message], ["22012", 'watch "strict": division by zero']);
      assert.match(error.hint ?? "", /unwatch/);
      return true;
    });
  }
  assert.deepEqual(await query("select from orders"), []);
  await query("insert into orders (id, total) values (1, 1)");
  assert.equal((await takeJobs(database)).length, 1);
});

test("a cancel, a deadlock and a lock that times out reach the application", async () => {
  await newTable();
  await watch(pool, "orders", { task: "t", condition: "pg_sleep(10 * new.total) is not null", events: ["insert"] });
  const client = await database.connect();
  await client.query("set statement_timeout = '100ms'");
  await assert.rejects(client.query("insert into orders (id, total) values (1, 1)"), { code: "57014" });
  await client.query("reset statement_timeout");
  await watch(pool, "orders", { task: "t", unique_key: "new.note", events: ["insert"] });
  const other = await database.connect();
  await client.query("begin; insert into orders (id, note) values (2, 'a')");
  await other.query("begin; insert into orders (id, note) values (3, 'b'); set local lock_timeout = '100ms'");
  await assert.rejects(other.query("insert into orders (id, note) values (4, 'a')"), { code: "55P03" });
  await other.query("rollback; begin; insert into orders (id, note) values (3, 'b')");
  const results = await Promise.allSettled([
    client.query("insert into orders (id, note) values (5, 'b')"),
    other.query("insert into orders (id, note) values (6, 'a')"),
  ]);
  const failed = results.filter((result) => result.status === "rejected");
  assert.deepEqual(
    failed.map(({ reason }) => reason.code),
    ["40P01"],
  );
  await client.query("rollback");
  await other.query("rollback");
  assert.deepEqual(await query("select from rouse.watch_error"), []);
});
