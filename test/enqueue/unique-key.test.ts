import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { claimOne, clear, enqueue, pidOf, refused, register, rows, value, waitsForLock } from "../support/engine.ts";

const db = testDatabase();

beforeEach(() => clear(db));

const invoice = { unique_key: "invoice 1" };

test("B15: of 50 concurrent enqueuers of a key one makes the job, and all get its id", async () => {
  const clients = await Promise.all(Array.from({ length: 50 }, () => db.connect()));
  for (let round = 0; round < 5; round++) {
    const ids = await Promise.all(clients.map((client) => enqueue(client, "mail", { unique_key: `round ${round}` })));
    assert.equal(new Set(ids).size, 1);
  }
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.job"), 5);
});

test("B15: when the winner rolls back, who waited for it makes the job", async () => {
  const [winner, waiting] = [await db.connect(), await db.connect()];
  await winner.query("begin");
  const lost = await enqueue(winner, "mail", invoice);
  const pid = await pidOf(waiting);
  const later = enqueue(waiting, "mail", invoice);
  await waitsForLock(db, pid);
  await winner.query("rollback");
  const id = await later;
  assert.notEqual(id, lost);
  assert.deepEqual(await rows(db.pool, "select id from rouse.job"), [{ id }]);
});

test("B15: an open transaction delays nobody but those with the same key of the same task", async () => {
  const open = await db.connect();
  await open.query("begin");
  await enqueue(open, "mail", invoice);
  await enqueue(db.pool, "mail", { unique_key: "invoice 2" });
  await enqueue(db.pool, "print", invoice);
  await enqueue(db.pool, "mail");
  await open.query("rollback");
});

test("B15: a key is held until the job has finished, and free from then on", async () => {
  const worker = await register(db.pool);
  const id = await enqueue(db.pool, "mail", invoice);
  const job = await claimOne(db.pool, worker);
  assert.equal(await enqueue(db.pool, "mail", invoice), id, "while it runs");
  await db.query("select rouse.fail_v1($1, $2, null)", [job.id, job.lease]);
  assert.equal(await enqueue(db.pool, "mail", invoice), id, "between attempts");
  await db.query("select rouse.retry($1)", [id]);
  const again = await claimOne(db.pool, worker);
  await db.query("select rouse.complete_v1($1, $2)", [again.id, again.lease]);
  assert.notEqual(await enqueue(db.pool, "mail", invoice), id);
});

test("B15: a caller in REPEATABLE READ gets a serialization failure, never a second job", async () => {
  const client = await db.connect();
  await client.query("begin isolation level repeatable read");
  await client.query("select count(*) from rouse.job");
  await enqueue(db.pool, "mail", invoice);
  assert.equal((await refused(enqueue(client, "mail", invoice))).code, "40001");
  await client.query("rollback");

  await client.query("begin isolation level serializable");
  await enqueue(client, "mail", { unique_key: "invoice 2" });
  await enqueue(client, "mail", { unique_key: "invoice 2" });
  await client.query("commit");
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.job"), 2);
});

test("B15: where the holder of a key finishes while it is being read, a new job is made", async () => {
  await db.query(`
    create function finish_holder() returns trigger language plpgsql as $$
    begin delete from rouse.job where unique_key = 'invoice 1' and payload = '{"old": true}'; return null; end $$`);
  await db.query(
    "create trigger finish_holder after insert on rouse.job for each statement execute function finish_holder()",
  );
  const hold = () =>
    db.query(`alter table rouse.job disable trigger finish_holder;
    insert into rouse.job (task, unique_key, payload) values ('mail', 'invoice 1', '{"old": true}');
    alter table rouse.job enable trigger finish_holder`);
  await hold();
  const id = await enqueue(db.pool, "mail", invoice);
  assert.deepEqual(await rows(db.pool, "select id, payload from rouse.job"), [{ id, payload: {} }]);

  await db.query("truncate rouse.job");
  await hold();
  const [made] = await rows(
    db.pool,
    `select * from rouse.enqueue_many('[{"task": "mail", "unique_key": "invoice 1"}]')`,
  );
  assert.equal(made?.created, true);
  assert.deepEqual(await rows(db.pool, "select id, payload from rouse.job"), [{ id: made?.id, payload: {} }]);
  await db.query("drop trigger finish_holder on rouse.job");
});
