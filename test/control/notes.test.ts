import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import {
  claimOne,
  clear,
  declare,
  enqueue,
  listen,
  pidOf,
  register,
  rows,
  type Session,
  value,
  waitsForLock,
} from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  await db.query("truncate rouse.progress, rouse.job_log");
  worker = await register(db.pool);
});

const at = "2026-01-01T00:00:00.000Z";
const line = (message: string, level = "info") => ({ at, level, message });
const note = (notes: unknown[], session: Session = db.pool) =>
  value<number>(session, "select noted from rouse.note_v1($1)", [JSON.stringify(notes)]);
const progressOf = (id: string) => value<string | null>(db.pool, "select progress from rouse.jobs where id = $1", [id]);

test("A15: progress is visible in the view jobs while the job runs, and heard", async () => {
  const id = await enqueue(db.pool, "import");
  const { lease } = await claimOne(db.pool, worker);
  assert.equal(await progressOf(id), null);
  const ear = await listen(db);
  assert.equal(await note([{ id, lease, progress: 0.4, message: "4,000 of 10,000" }]), 1);
  assert.equal(await progressOf(id), "40 % 4,000 of 10,000");
  assert.deepEqual(await ear.heard(), [{ progress: [Number(id)] }]);
  await note([{ id, lease, progress: 0.5 }]);
  assert.equal(await progressOf(id), "50 %");
  await db.query("select rouse.fail_v1($1, $2, '{}', retry_at => now())", [id, lease]);
  assert.equal(await progressOf(id), null, "it waits");
  const again = await claimOne(db.pool, worker);
  assert.equal(await progressOf(id), null, "the next attempt begins anew");
  await db.query("select rouse.complete_v1($1, $2)", [id, again.lease]);
  await db.query("select rouse.maintain()");
  assert.deepEqual(await rows(db.pool, "select from rouse.progress"), []);
});

test("B8: progress and lines of a stale attempt are refused", async () => {
  const id = await enqueue(db.pool, "import");
  const { lease } = await claimOne(db.pool, worker);
  await db.query("select rouse.release_v1($1, $2)", [id, lease]);
  const stale = { id, lease, progress: 0.9, log: [line("late")] };
  assert.equal(await note([stale]), 0, "it waits");
  const again = await claimOne(db.pool, worker);
  assert.equal(await note([stale, { id, lease: again.lease, progress: 0.1, log: [line("in time")] }]), 1);
  assert.equal(await progressOf(id), "10 %");
  await db.query("select rouse.complete_v1($1, $2)", [id, again.lease]);
  assert.equal(await note([{ id, lease: again.lease, log: [line("after the end")] }]), 0);
  assert.deepEqual(await rows(db.pool, "select message from rouse.job_log"), [{ message: "in time" }]);
});

test("A15: what comes with an end is noted if the row is not held by others, since an end that is busy comes again", async () => {
  const id = await enqueue(db.pool, "import");
  const { lease } = await claimOne(db.pool, worker);
  const last = JSON.stringify([{ id, lease, log: [line("last")] }]);
  const locking = await db.connect();
  await locking.query("begin");
  await locking.query("select from rouse.job for no key update");
  assert.equal(await value(db.pool, "select noted from rouse.note_v1($1)", [last]), 1, "it goes on");
  assert.deepEqual(await rows(db.pool, "select noted, busy from rouse.note_v1($1, true)", [last]), [
    { noted: 0, busy: [id] },
  ]);
  await locking.query("rollback; begin; select from rouse.job for update");
  assert.deepEqual(await rows(db.pool, "select noted, busy from rouse.note_v1($1)", [last]), [
    { noted: 0, busy: [id] },
  ]);
  const waiting = await db.connect();
  const pid = await pidOf(waiting);
  const noted = value(waiting, "select noted from rouse.note_v1($1, true, true)", [last]);
  await waitsForLock(db, pid);
  await locking.query("rollback");
  assert.equal(await noted, 1);
});

test("lines are kept with their level, time and fields, as long as a failed job of the task", async () => {
  await declare(db.pool, { name: "import", keep_failed: "3 days" }, { name: "fleeting", keep_failed: "0" });
  const id = await enqueue(db.pool, "import");
  const { lease } = await claimOne(db.pool, worker);
  const log = [{ ...line("slow", "warn"), fields: { ms: 7 } }, line("x".repeat(20_000))];
  await note([{ id, lease, log }]);
  assert.deepEqual(
    await rows(
      db.pool,
      `select job_id, logged_at, attempt, level, left(message, 4) as message, length(message) as length, fields,
         drop_on - (now() at time zone 'UTC')::date as days
       from rouse.job_log order by length`,
    ),
    [
      {
        job_id: id,
        logged_at: new Date(at),
        attempt: 1,
        level: "warn",
        message: "slow",
        length: 4,
        fields: { ms: 7 },
        days: 4,
      },
      {
        job_id: id,
        logged_at: new Date(at),
        attempt: 1,
        level: "info",
        message: "xxxx",
        length: 10_000,
        fields: null,
        days: 4,
      },
    ],
  );
  const fleeting = await enqueue(db.pool, "fleeting");
  const other = await claimOne(db.pool, worker);
  await note([{ id: fleeting, lease: other.lease, log: [line("gone")] }]);
  assert.equal(await value(db.pool, "select count(*)::int from rouse.job_log"), 2);
});

test("what an attempt says last goes with its end", async () => {
  const id = await enqueue(db.pool, "import");
  const { lease } = await claimOne(db.pool, worker);
  await db.query("select rouse.exchange_v1($1, null, null, 0, $2, $3, notes => $4)", [
    worker,
    [id],
    [lease],
    JSON.stringify([{ id, lease, log: [line("done")] }]),
  ]);
  assert.deepEqual(
    await rows(db.pool, "select j.state, l.message from rouse.jobs j join rouse.job_log l on job_id = id"),
    [{ state: "succeeded", message: "done" }],
  );
});

test("A22: a purge that meets a note being written leaves nothing of it", async () => {
  const id = await enqueue(db.pool, "import");
  const { lease } = await claimOne(db.pool, worker);
  const [noting, purging] = [await db.connect(), await db.connect()];
  await noting.query("begin");
  await note([{ id, lease, progress: 0.5, message: "secret", log: [line("secret")] }], noting);
  const pid = await pidOf(purging);
  const purged = value(purging, "select rouse.purge($1)", [id]);
  await waitsForLock(db, pid);
  await noting.query("commit");
  assert.equal(await purged, true);
  assert.deepEqual(await rows(db.pool, "select from rouse.progress union all select from rouse.job_log"), []);
  assert.equal(await note([{ id, lease, log: [line("late")] }]), 0);
});

test("a note neither waits for a cancel that is open nor keeps one waiting", async () => {
  const id = await enqueue(db.pool, "import");
  const { lease } = await claimOne(db.pool, worker);
  const [one, two] = [await db.connect(), await db.connect()];
  await one.query("begin");
  await one.query("select rouse.cancel($1)", [id]);
  assert.equal(await note([{ id, lease, progress: 0.5 }]), 1);
  await one.query("rollback");
  await two.query("begin");
  assert.equal(await note([{ id, lease, progress: 0.6 }], two), 1);
  await db.query("select rouse.cancel($1)", [id]);
  await two.query("commit");
  assert.equal(await progressOf(id), "60 %");
});

test("one notification names many jobs, and fits into its payload", async () => {
  await db.query("alter sequence rouse.job_id restart with 10000000000000");
  await db.query("insert into rouse.job (task) select 'import' from generate_series(1, 700)");
  const claimed = await rows<{ id: string; lease: string }>(
    db.pool,
    "select id, lease from rouse.claim_v1($1, most => 700)",
    [worker],
  );
  const ear = await listen(db);
  assert.equal(await note(claimed.map(({ id, lease }) => ({ id, lease, progress: 0.5 }))), 700);
  const heard = (await ear.heard()) as { progress: number[] }[];
  assert.deepEqual(
    heard.map(({ progress }) => progress.length),
    [300, 300, 100],
  );
});
