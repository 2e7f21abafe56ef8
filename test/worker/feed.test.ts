import assert from "node:assert/strict";
import test from "node:test";
import type { Answer } from "../../src/worker/exchange.ts";
import { Feed } from "../../src/worker/feed.ts";
import type { Finished } from "../../src/worker/finished.ts";
import type { ClaimedJob } from "../../src/worker/job.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";

interface Call {
  readonly most: number;
  readonly ends: readonly Finished[];
  readonly answer: (answer?: Partial<Answer>) => void;
  readonly fail: (error: Error) => void;
}

/** A feed whose calls the test answers: here races are made that no real database can be made to lose on purpose. */
function feed(room: () => number = () => 10) {
  const calls = new Tally<Call>();
  const reconciled = new Tally<readonly number[]>();
  const claimed = new Tally<ClaimedJob>();
  const stale = new Tally<Finished>();
  const awake = new Tally<undefined>();
  const reached = new Tally<boolean>();
  const log = new TestLog();
  const made = new Feed({
    log,
    room,
    exchange: (most, ends) =>
      new Promise((resolve, reject) => {
        const answer: Call["answer"] = (part) =>
          resolve({ claimed: [], stale: new Set(), busy: new Set(), rest: undefined, ...part });
        calls.add({ most, ends, answer, fail: reject });
      }),
    look: () => undefined,
    sayAwake: async () => awake.add(undefined),
    reconcile: async (unconfirmed) => reconciled.add(unconfirmed),
    onClaimed: (jobs) => {
      for (const job of jobs) claimed.add(job);
    },
    onStale: (end) => stale.add(end),
    onReach: (reach) => reached.add(reach),
  });
  return { calls, awake, reconciled, claimed, reached, log, feed: made };
}

const sleep: Answer["rest"] = { lookAgain: false, waitMs: null };
const job = (id: number) => ({ id, lease: "lease", task: "t" }) as ClaimedJob;
const completed = (id: number): Finished => ({ kind: "completed", job: job(id), result: undefined });
const turn = () => new Promise((resolve) => setImmediate(resolve));
/** A server's error of that SQLSTATE. */
const sqlError = (code: string) => Object.assign(new Error(`SQLSTATE ${code}`), { code });

test("B2: an answer that is older than a wake takes away neither the hunger nor the timer that a newer one set", async () => {
  let room = 1;
  const { calls, feed: tested } = feed(() => room);
  tested.wake();
  await calls.reach(1);
  room = 2;
  tested.wake();
  await calls.reach(2);
  calls.all[1]!.answer({ rest: { lookAgain: false, waitMs: 30 } });
  await turn();
  calls.all[0]!.answer({ rest: sleep });
  // The timer of the newer answer.
  await calls.reach(3);
  tested.close();
});

test("a wake is one call, however much room there is; where that got all it asked for, two go on beside each other", async () => {
  const { calls, feed: tested } = feed(() => 4_000);
  tested.wake();
  await calls.reach(1);
  await turn();
  await turn();
  assert.deepEqual(
    calls.all.map(({ most }) => most),
    [1_000],
  );
  calls.all[0]!.answer();
  await calls.reach(3);
  await turn();
  await turn();
  assert.equal(calls.all.length, 3);
  tested.close();
});

test("B2: a wake while a call is under way makes another one follow", async () => {
  const { calls, feed: tested } = feed();
  tested.wake();
  await calls.reach(1);
  tested.wake();
  calls.all[0]!.answer({ rest: sleep });
  await calls.reach(2);
  calls.all[1]!.answer({ rest: sleep });
  await turn();
  await turn();
  assert.equal(calls.all.length, 2, "sated, it asks no more");
  tested.close();
});

test("B23: where ready jobs are held by others it looks again, in 100 to 400 ms, without a wake", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { calls, feed: tested } = feed();
  const after = async (ms: number) => {
    t.mock.timers.tick(ms);
    await turn();
    await turn();
    return calls.all.length;
  };
  tested.wake();
  assert.equal(await after(0), 1);
  for (const [n, ms] of [100, 200, 400, 400].entries()) {
    calls.all.at(-1)!.answer({ rest: { lookAgain: true, waitMs: null } });
    await after(0);
    assert.equal(await after(ms - 1), n + 1, `${ms} ms`);
    assert.equal(await after(1), n + 2, `${ms} ms`);
  }
  tested.close();
});

test("B13: what may have been claimed in a lost answer is given back before the next claim, what is not confirmed is not", async () => {
  let room = 5;
  const { calls, reconciled, feed: tested } = feed(() => room);
  tested.wake();
  await calls.reach(1);
  room = 10;
  tested.finish(completed(1));
  await calls.reach(2);
  calls.all[0]!.fail(new Error("Connection terminated unexpectedly"));
  await turn();
  // The other call is under way: until it has ended nobody knows what it claims.
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(reconciled.all.length, 0);
  tested.finish(completed(2));
  calls.all[1]!.fail(new Error("Connection terminated unexpectedly"));
  // What has finished is told first.
  await calls.reach(3);
  assert.deepEqual([calls.all[2]!.most, calls.all[2]!.ends.map((end) => end.job.id)], [0, [1, 2]]);
  calls.all[2]!.answer();
  await reconciled.reach(1);
  await calls.reach(4);
  assert.ok(calls.all[3]!.most > 0);
  tested.close();
});

test("B13: a job whose end waits for a locked row is not given back by a reconcile", async () => {
  const { calls, reconciled, feed: tested } = feed();
  tested.finish(completed(7));
  await calls.reach(1);
  calls.all[0]!.answer({ busy: new Set([7]), rest: sleep });
  await turn();
  tested.doubt();
  assert.deepEqual(await reconciled.reach(1), [[7]]);
  // And is told again.
  const again = (await calls.reach(2))[1]!;
  assert.deepEqual(again.ends, [completed(7)]);
  tested.close();
});

test("B13: claims that always fail are tried ever more rarely, logged once, and do not keep ends from being told", async () => {
  const { calls, log, reached, feed: tested } = feed();
  tested.wake();
  await calls.reach(1);
  calls.all[0]!.fail(sqlError("42501"));
  tested.finish(completed(1));
  await calls.reach(2);
  assert.deepEqual([calls.all[1]!.most, calls.all[1]!.ends.length], [0, 1]);
  calls.all[1]!.answer();
  await calls.reach(3);
  assert.ok(calls.all[2]!.most > 0);
  calls.all[2]!.fail(sqlError("42501"));
  await calls.reach(4);
  calls.all[3]!.answer({ rest: sleep });
  await log.line(/^the database answers again/);
  assert.equal(log.matching(/^cannot get through/).length, 1);
  assert.equal(log.matching(/^the database answers again/).length, 1);
  assert.deepEqual(reached.all, [false, true], "nothing is begun meanwhile");
  tested.close();
});

test("B13: an error of the server is an answer: nothing was claimed, nothing has to be given back", async () => {
  const { calls, reconciled, feed: tested } = feed();
  tested.wake();
  await calls.reach(1);
  calls.all[0]!.fail(sqlError("53100"));
  await calls.reach(2);
  assert.ok(calls.all[1]!.most > 0);
  assert.equal(reconciled.all.length, 0);
  tested.close();
});

test("B26: of ends that the server refuses together each goes on its own, and asks for no job", async () => {
  const { calls, feed: tested } = feed();
  for (const id of [1, 2, 3]) tested.finish(completed(id));
  await calls.reach(1);
  calls.all[0]!.fail(sqlError("22P02"));
  for (let n = 2; n <= 4; n++) {
    await calls.reach(n);
    assert.deepEqual([calls.all[n - 1]!.most, calls.all[n - 1]!.ends.length], [0, 1]);
    calls.all[n - 1]!.answer();
  }
  tested.close();
});

test("A15: an end leaves when what its attempt said before has got there, and nothing is flushed until then", async () => {
  const { calls, feed: tested } = feed();
  tested.stopClaiming();
  const said = new Latch<undefined>();
  tested.finish({ ...completed(1), note: said.opened });
  assert.deepEqual(
    tested.unconfirmed().map(({ job: { id } }) => id),
    [1],
  );
  tested.finish(completed(2));
  await calls.reach(1);
  calls.all[0]!.answer();
  let flushed = false;
  const flushing = tested.flushed().then(() => {
    flushed = true;
  });
  await turn();
  assert.equal(flushed, false);
  said.open(undefined);
  await calls.reach(2);
  calls.all[1]!.answer();
  await flushing;
  assert.deepEqual(
    calls.all.map(({ ends }) => ends.map(({ job: { id } }) => id)),
    [[2], [1]],
  );
  tested.close();
});

test("what a call's ends make ready and its claim did not reach is looked for, whatever older answers say, before it is drained", async () => {
  let room = 10;
  const { calls, feed: tested } = feed(() => room);
  const later = async (n: number) => {
    let drained = false;
    const draining = tested
      .drained(() => true)
      .then(() => {
        drained = true;
      });
    await calls.reach(n);
    await turn();
    assert.equal(drained, false, "before the look");
    calls.all[n - 1]!.answer({ rest: sleep });
    await draining;
  };
  tested.wake();
  await calls.reach(1);
  calls.all[0]!.answer({ claimed: [job(1), job(2)], rest: sleep });
  await turn();

  // All slots are taken: it asks for none.
  room = 0;
  tested.finish({ kind: "released", job: job(2) });
  await calls.reach(2);
  assert.equal(calls.all[1]!.most, 0);
  calls.all[1]!.answer({ rest: sleep });
  await turn();
  room = 10;
  tested.roomFreed();
  await later(3);

  // It gets all that there is room for, beside an older call that sees none of this.
  tested.wake();
  await calls.reach(4);
  room = 11;
  tested.finish(completed(1));
  await calls.reach(5);
  assert.equal(calls.all[4]!.most, 1);
  room = 0;
  calls.all[4]!.answer({ claimed: [job(3)] });
  await turn();
  calls.all[3]!.answer({ rest: sleep });
  await turn();
  room = 10;
  tested.roomFreed();
  await later(6);
  tested.close();
});

test("A12: stopped, it asks for nothing, tells what is left, and is drained", async () => {
  const { calls, feed: tested } = feed();
  tested.stopClaiming();
  tested.wake();
  tested.finish(completed(1));
  const flushed = tested.flushed();
  const drained = tested.drained(() => true);
  await calls.reach(1);
  assert.equal(calls.all[0]!.most, 0);
  calls.all[0]!.answer();
  await Promise.all([flushed, drained]);
  assert.equal(calls.all.length, 1);
  tested.close();
});
