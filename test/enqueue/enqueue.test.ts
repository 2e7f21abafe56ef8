import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { claimOne, clear, declare, enqueue, refused, register, rows, value } from "../support/engine.ts";

const db = testDatabase();

beforeEach(() => clear(db));

test("A11, B1: a job is there from the commit on, and never after a rollback", async () => {
  const client = await db.connect();
  await client.query("begin");
  const id = await enqueue(client, "mail");
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.jobs"), 0);
  await client.query("commit");
  assert.deepEqual(await rows(db.pool, "select id, state from rouse.jobs"), [{ id, state: "ready" }]);

  await client.query("begin");
  await enqueue(client, "mail");
  await client.query("rollback");
  assert.deepEqual(await rows(db.pool, "select id from rouse.jobs"), [{ id }]);
});

test("A11: a savepoint that is rolled back takes its job with it", async () => {
  const client = await db.connect();
  await client.query("begin");
  const kept = await enqueue(client, "mail");
  await client.query("savepoint here");
  await enqueue(client, "mail");
  await client.query("rollback to here");
  await client.query("commit");
  assert.deepEqual(await rows(db.pool, "select id from rouse.job"), [{ id: kept }]);
});

test("A18: a job takes queue, priority, delay and attempts from its task, and each call may say otherwise", async () => {
  await declare(db.pool, {
    name: "mail",
    queue: "post",
    priority: 7,
    delay: "1 hour",
    max_attempts: 3,
    timeout: "30 seconds",
  });
  const one = async (text: string) => {
    const id = await value<string>(db.pool, text);
    const [row] = await rows(
      db.pool,
      `select queue, priority, state, timeout::text, max_attempts, round(extract(epoch from run_at - created_at))::float8 as wait
       from rouse.job where id = $1`,
      [id],
    );
    return row;
  };
  const asTheTask = { queue: "post", priority: 7, state: "scheduled", timeout: null, max_attempts: null, wait: 3600 };
  assert.deepEqual(await one("select rouse.enqueue('mail')"), asTheTask);
  assert.deepEqual(
    await one(`select rouse.enqueue('mail', queue => 'slow', priority => -100, delay => '5 minutes', max_attempts => 1,
                                    timeout => '1 day')`),
    { queue: "slow", priority: -100, state: "scheduled", timeout: "1 day", max_attempts: 1, wait: 300 },
  );
  assert.deepEqual(await one("select rouse.enqueue('mail', delay => '90')"), { ...asTheTask, wait: 90 });
  assert.deepEqual(await one("select rouse.enqueue('mail', delay => make_interval(secs => 1.5))"), {
    ...asTheTask,
    wait: 2,
  });
  assert.deepEqual(await one("select rouse.enqueue('mail', delay => '0')"), { ...asTheTask, state: "ready", wait: 0 });
  assert.equal((await one("select rouse.enqueue('mail', run_at => '2000-01-01')"))?.state, "ready");
  assert.equal((await one("select rouse.enqueue('mail', run_at => '294276-12-31')"))?.state, "scheduled");
});

test("A17: a job of an unknown task waits, and a notice names the nearest task", async () => {
  await declare(db.pool, { name: "send_mail" }, { name: "import_sales" });
  const client = await db.connect();
  const notices: string[] = [];
  client.on("notice", ({ message, hint }) => notices.push(`${message}. ${hint}`));
  await client.query("begin");
  const id = await enqueue(client, "send_male");
  await enqueue(client, "send_male");
  await client.query("commit");
  const notice =
    'task "send_male" is not known yet; did you mean "send_mail"?. The job waits until a worker that knows the task has started.';
  assert.deepEqual(notices, [notice], "once a transaction");
  await enqueue(client, "send_male");
  assert.equal(notices.length, 2);
  await enqueue(client, "resize_picture");
  assert.match(notices[2] ?? "", /^task "resize_picture" is not known yet\. /);
  await enqueue(client, "send_mail");
  assert.equal(notices.length, 3);

  const worker = await register(db.pool);
  const known = await rows(db.pool, "select id from rouse.claim_v1($1, null, '{send_mail,import_sales}', 10)", [
    worker,
  ]);
  assert.equal(known.length, 1, "a worker that does not know the task leaves it alone");
  assert.equal(await value(db.pool, "select state from rouse.job where id = $1", [id]), "ready");
});

test("A22: a former name of a task files the job under its present one", async () => {
  await declare(db.pool, { name: "send_mail", aliases: ["mail", "post_mail"], queue: "post" });
  const id = await enqueue(db.pool, "post_mail");
  assert.deepEqual(await rows(db.pool, "select task, queue from rouse.job where id = $1", [id]), [
    { task: "send_mail", queue: "post" },
  ]);
});

test("a payload that is SQL null is {}, one that is JSON null stays what it is", async () => {
  const stored = async (id: string) => await value(db.pool, "select payload::text from rouse.job where id = $1", [id]);
  assert.equal(await stored(await enqueue(db.pool, "mail")), "{}");
  assert.equal(await stored(await enqueue(db.pool, "mail", { payload: null })), "{}");
  assert.equal(await stored(await enqueue(db.pool, "mail", { payload: "null" })), "null");
  const many = await rows<{ id: string }>(
    db.pool,
    `select id from rouse.enqueue_many('[{"task": "mail"}, {"task": "mail", "payload": null}]')`,
  );
  assert.deepEqual(await Promise.all(many.map(({ id }) => stored(id))), ["{}", "null"]);
});

test("a payload that comes compressed from a table counts at its full size", async () => {
  await db.query("create table report (content jsonb)");
  await db.query("insert into report values (jsonb_build_object('text', repeat('a', 1100000)))");
  assert.ok((await value<number>(db.pool, "select pg_column_size(content) from report")) < 100_000);
  // A statement that the session has run before may be planned without its values, which would be uncompressed.
  const client = await db.connect();
  for (let n = 0; n < 10; n++) await enqueue(client, "mail");
  const error = await refused(client.query("select rouse.enqueue('mail', content) from report"));
  assert.match(error.message, /^payload has 1100\d{3} bytes, the limit is 1000000$/);
  const many = await refused(
    client.query(
      "select rouse.enqueue_many(jsonb_agg(jsonb_build_object('task', 'mail', 'payload', content))) from report, generate_series(1, 2)",
    ),
  );
  assert.match(many.message, /^payload has 1100\d{3} bytes, the limit is 1000000$/);
  await db.query(
    "create table batch as select jsonb_agg(jsonb_build_object('task', 'mail', 'payload', content)) as jobs from report, generate_series(1, 2)",
  );
  assert.ok((await value<number>(db.pool, "select pg_column_size(jobs) from batch")) < 100_000);
  assert.match(
    (await refused(client.query("select rouse.enqueue_many(jobs) from batch"))).message,
    /^payload has 1100/,
  );
  await db.query("update rouse.setting set payload_limit = 2000000");
  await client.query("select rouse.enqueue('mail', content) from report");
  await db.query("update rouse.setting set payload_limit = default");
});

test("no payload limit is so low that a small payload had to be measured", async () => {
  const error = await refused(db.query("update rouse.setting set payload_limit = 999"));
  assert.equal(error.constraint, "setting_payload_limit_at_least_1000_bytes");
});

test("a task whose jobs have a limit, a key, a delay or an expiry has them for jobs that say nothing, too", async () => {
  await declare(
    db.pool,
    { name: "keyed", concurrency_key: "$.customer" },
    { name: "later", delay: "1 hour", expires_in: "1 minute", deadline: "2 minutes" },
  );
  await db.query("select rouse.enqueue(t, '{\"customer\": 7}') from unnest('{keyed,later}'::text[]) as t");
  await declare(db.pool, { name: "limited", limit: { concurrency: 1 } });
  await enqueue(db.pool, "limited");
  assert.deepEqual(
    await rows(
      db.pool,
      `select task, state, concurrency_key as key, lane, extract(epoch from expires_at - run_at)::integer as expires,
         extract(epoch from deadline_at - run_at)::integer as deadline
       from rouse.job order by id`,
    ),
    [
      { task: "keyed", state: "blocked", key: "7", lane: "key:7", expires: null, deadline: null },
      { task: "later", state: "scheduled", key: null, lane: null, expires: 60, deadline: 120 },
      { task: "limited", state: "blocked", key: null, lane: "task:limited", expires: null, deadline: null },
    ],
  );
});

test("the longest names of the widest characters are taken", async () => {
  const task = await value<string>(
    db.pool,
    "select string_agg(chr(128512 + i % 700), '') from generate_series(1, 200) i",
  );
  const key = await value<string>(
    db.pool,
    "select string_agg(chr(129000 + i % 701), '') from generate_series(1, 400) i",
  );
  const id = await enqueue(db.pool, task, { queue: task, unique_key: key });
  assert.equal(await enqueue(db.pool, task, { unique_key: key }), id);
  const worker = await register(db.pool);
  assert.equal((await claimOne(db.pool, worker)).id, id);
});

test("enqueue works in functions and triggers of other schemas, whatever their search_path", async () => {
  await db.query("create schema shop");
  await db.query("create table shop.customer (id integer primary key, name text)");
  await db.query(`
    create function shop.welcome() returns trigger language plpgsql set search_path = '' as $$
    begin
      perform rouse.enqueue('welcome', jsonb_build_object('customer', new.id));
      return null;
    end $$`);
  await db.query("create trigger welcome after insert on shop.customer for each row execute function shop.welcome()");
  await db.query("insert into shop.customer values (1, 'a'), (2, 'b')");
  assert.deepEqual(await rows(db.pool, "select payload from rouse.job order by id"), [
    { payload: { customer: 1 } },
    { payload: { customer: 2 } },
  ]);
});
