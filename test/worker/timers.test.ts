import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Alarm } from "../../src/worker/alarm.ts";
import { outOfPatience } from "../../src/worker/patience.ts";
import { Probe } from "../../src/worker/probe.ts";
import { Tally } from "../support/latch.ts";

test("B2: an alarm set for longer than timers count does not ring at once", async () => {
  const rings = new Tally<string>();
  const far = new Alarm(() => rings.add("far"));
  far.set(30 * 86_400_000);
  const near = new Alarm(() => rings.add("near"));
  near.set(50);
  assert.deepEqual(await rings.reach(1), ["near"]);
  far.clear();
});

test("B2: an alarm rings once, at the time set last; advancing makes it ring sooner, never later", async () => {
  const rings = new Tally<number>();
  const alarm = new Alarm(() => rings.add(performance.now()));
  const from = performance.now();
  alarm.set(10_000);
  alarm.advance(60);
  alarm.advance(5_000);
  const [rang] = await rings.reach(1);
  assert.ok(rang! - from >= 55 && rang! - from < 4_000, `${rang! - from} ms`);
  alarm.set(10);
  alarm.clear();
  alarm.advance(20);
  await rings.reach(2);
  await sleep(50);
  assert.equal(rings.all.length, 2);
});

function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test("B7: after a handler has blocked the event loop, what has arrived meanwhile is read before patience ends", async () => {
  const given = new Tally<string>();
  const end = outOfPatience(100, () => given.add("up"));
  // As what a socket has received: read after the timers that are due.
  setImmediate(end);
  block(600);
  await sleep(1_500);
  assert.deepEqual(given.all, []);
});

test("B7: without a block patience ends in time, after one a second later", async () => {
  const patience = async () => {
    const from = performance.now();
    await new Promise<void>((give) => outOfPatience(50, give));
    return performance.now() - from;
  };
  let first = await patience();
  // Where a machine stands still for a quarter of a second, that is a block.
  for (let tries = 1; tries < 5 && first >= 1_000; tries++) first = await patience();
  assert.ok(first < 1_000, `${first} ms`);
  const second = patience();
  block(600);
  assert.ok((await second) >= 1_500, `${await second} ms`);
});

test("B14: a probe that is heard, a little before or after it is known to be sent, harms no listener", async () => {
  const unheard = new Tally<string>();
  const probe = new Probe(() => unheard.add("unheard"));
  probe.heard();
  probe.sent();
  await sleep(1_600);
  probe.sent();
  await sleep(1_000);
  probe.heard();
  await sleep(2_500);
  assert.deepEqual(unheard.all, []);
  probe.sent();
  await unheard.reach(1);
});
