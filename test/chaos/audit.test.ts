/** The proof of the chaos run is worth what its audit finds: here ledgers are made up in which something is wrong. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { AUDIT } from "./audit.ts";
import type { FaultRecord } from "./faults.ts";
import { closeLedger, createLedger } from "./ledger.ts";
import { WIDE } from "./limits.ts";

const db = testDatabase();

interface Run {
  readonly run: string;
  readonly job: number;
  readonly began: number;
  readonly ended?: number;
}

interface Job {
  readonly id: number;
  readonly task?: string;
  readonly queue?: string;
  readonly key?: string;
}

const fault = (kind: string, began: number, ended: number, rest: Partial<FaultRecord> = {}): FaultRecord => ({
  ...{ kind, process: undefined, began, ended, patience: undefined, crash: false, restart: false, absent: false },
  ...rest,
});

/** What the check whose title begins so finds in a ledger of these, in seconds from its start. */
async function found(title: string, jobs: Job[], runs: Run[], faults: FaultRecord[] = []): Promise<unknown[]> {
  const check = AUDIT.find((each) => each.title.startsWith(title));
  assert.ok(check, title);
  const folder = await mkdtemp(join(tmpdir(), "rouse-audit-"));
  const client = await db.connect();
  try {
    await createLedger(client);
    await client.query(
      `insert into ledger.enqueued (n, job_id, task, queue, concurrency_key, due_at)
       select id, id, coalesce(task, 'quick'), coalesce(queue, 'default'), key, '-infinity'
       from jsonb_to_recordset($1) as t (id int, task text, queue text, key text)`,
      [JSON.stringify(jobs)],
    );
    await client.query(
      `insert into ledger.run (run, process, job_id, n, attempt, began, began_at, ended, outcome)
       select run, split_part(run, '/', 1), job, job, 1, began * 1000, now(), ended * 1000, 'ok'
       from jsonb_to_recordset($1) as t (run text, job bigint, began double precision, ended double precision)`,
      [JSON.stringify(runs)],
    );
    const inMs = faults.map((each) => ({ ...each, began: each.began * 1_000, ended: each.ended * 1_000 }));
    await closeLedger(client, folder, inMs, []);
    return (await client.query(check.text)).rows;
  } finally {
    await client.query("drop schema if exists ledger cascade");
    await client.end();
    await rm(folder, { recursive: true });
  }
}

const TWICE = "no job was in two live attempts at once";
const twice: Run[] = [
  { run: "a.1/1", job: 1, began: 77, ended: 118 },
  { run: "c.1/1", job: 1, began: 93, ended: 94 },
];

test("B8: the audit finds a job in two live attempts, and not where the lease had passed on", async () => {
  assert.equal((await found(TWICE, [{ id: 1 }], twice)).length, 1);
  const frozen = fault("worker frozen past its lease", 81, 118, { process: "a.1", patience: 19_000, absent: true });
  assert.equal((await found(TWICE, [{ id: 1 }], twice, [frozen])).length, 1, "12 s are no lease");
  const restarted = fault("server restarted", 79, 80, { restart: true });
  assert.equal((await found(TWICE, [{ id: 1 }], twice, [restarted])).length, 1, "it could come back");
  const elsewhere = { ...frozen, process: "b.1" };
  assert.equal((await found(TWICE, [{ id: 1 }], twice, [restarted, elsewhere])).length, 1, "another one was frozen");
  assert.deepEqual(await found(TWICE, [{ id: 1 }], twice, [restarted, frozen]), [], "its lock went with the server");
  const thawed = { ...frozen, ended: 85 };
  assert.equal((await found(TWICE, [{ id: 1 }], twice, [restarted, thawed])).length, 1, "it could come back in time");
  const longer = [{ ...twice[0]! }, { ...twice[1]!, began: 101 }];
  assert.deepEqual(await found(TWICE, [{ id: 1 }], longer, [frozen]), []);
});

test("B8: the audit finds a job that ran again, but where a fault struck the worker of either run", async () => {
  const again: Run[] = [
    { run: "c.1/1", job: 1, began: 92, ended: 93 },
    { run: "e.1/1", job: 1, began: 105, ended: 106 },
  ];
  const title = "no job ran again after it had succeeded";
  assert.equal((await found(title, [{ id: 1 }], again)).length, 1);
  assert.equal(
    (await found(title, [{ id: 1 }], again, [fault("worker frozen", 77, 105, { process: "a.1" })])).length,
    1,
  );
  assert.deepEqual(await found(title, [{ id: 1 }], again, [fault("worker frozen", 77, 105, { process: "e.1" })]), []);
});

test("B16: the audit finds a job more of a key than its limit, and counts one by one", async () => {
  const title = "no more jobs of a key than its limit ran at once";
  const jobs = [1, 2, 3, 4].map((id) => ({ id, key: "narrow" }));
  const row = jobs.map(({ id }) => ({ run: `a.1/${id}`, job: id, began: id, ended: id + 1 }));
  assert.deepEqual(await found(title, jobs, row), [], "one after the other");
  const early = row.with(1, { ...row[1]!, began: 1.9 });
  assert.equal((await found(title, jobs, early)).length, 1);
  const wide = jobs.map(({ id }) => ({ id, key: WIDE.key }));
  const all = wide.map(({ id }) => ({ run: `a.1/${id}`, job: id, began: id, ended: 9 }));
  assert.deepEqual(await found(title, wide, all.slice(0, WIDE.concurrency)), []);
  assert.equal((await found(title, wide, all)).length, 1);
  const lost = fault("worker cut off", 1, 5, { process: "a.1", patience: 1_000 });
  const elsewhere = all.with(3, { ...all[3]!, run: "b.1/1" });
  assert.equal((await found(title, wide, elsewhere)).length, 1);
  assert.deepEqual(await found(title, wide, elsewhere, [lost]), [], "two leases had passed on");
});

test("B17: the audit finds starts above a rate, in short and in long times", async () => {
  const title = "no rate was exceeded, by the handlers";
  const starts = (count: number, rate: number) => {
    const ids = Array.from({ length: count }, (_, n) => n + 1);
    return [
      ids.map((id) => ({ id, task: "rated" })),
      ids.map((id) => ({ run: `a.1/${id}`, job: id, began: id / rate, ended: id / rate })),
    ] as const;
  };
  assert.deepEqual(await found(title, ...starts(600, 15)), []);
  assert.notDeepEqual(await found(title, ...starts(600, 17)), []);
  assert.notDeepEqual(await found(title, ...starts(50, 1_000)), []);
});

test("B5: the audit finds a slot too many of a queue", async () => {
  const jobs = [1, 2, 3, 4].map((id) => ({ id, queue: "queue 0" }));
  const runs = jobs.map(({ id }) => ({ run: `b.1/${id}`, job: id, began: id, ended: 9 }));
  const title = "no queue with slots of its own";
  assert.deepEqual(await found(title, jobs, runs.slice(0, 3)), []);
  assert.equal((await found(title, jobs, runs)).length, 1);
  assert.deepEqual(await found(title, jobs, runs.with(3, { ...runs[3]!, run: "a.1/1" })), []);
});
