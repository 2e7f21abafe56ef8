import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { Bookmark } from "../../src/worker/bookmark.ts";

/** A bookmark that a first call brought, and a clock that the test moves. */
function far(t: TestContext) {
  let now = 1_000;
  t.mock.method(performance, "now", () => now);
  const bookmark = new Bookmark();
  const first = bookmark.open();
  assert.equal(first.whole, true);
  bookmark.close(first, { text: "first", waitMs: 200 });
  return { bookmark, pass: (ms: number) => (now += ms) };
}

const next = ({ text, whole }: ReturnType<Bookmark["open"]>) => ({ text, whole });

test("a call that began before a look at the whole does not undo what that found", (t) => {
  const { bookmark, pass } = far(t);
  pass(200);
  const before = bookmark.open();
  assert.equal(bookmark.startLook(), "first");
  const during = bookmark.open();
  bookmark.close(during, { text: "during", waitMs: null });
  assert.deepEqual(next(bookmark.open()), { text: "during", whole: false });
  bookmark.endLook({ text: "behind", waitMs: 200 });
  bookmark.close(before, { text: "before", waitMs: null });
  const after = bookmark.open();
  assert.deepEqual(next(after), { text: "behind", whole: false });
  bookmark.close(after, { text: "after", waitMs: null });
  assert.deepEqual(next(bookmark.open()), { text: "after", whole: false });
});

test("looks are one at a time, when due, and sooner where a call says so: a tenth of the time at most", (t) => {
  const { bookmark, pass } = far(t);
  pass(199);
  assert.equal(bookmark.lookIsDue, false);
  pass(1);
  assert.equal(bookmark.lookIsDue, true);
  bookmark.startLook();
  assert.equal(bookmark.lookIsDue, false);
  assert.equal(bookmark.dueInMs, Infinity);
  pass(10);
  bookmark.endLook({ text: "second", waitMs: 220 });
  assert.equal(bookmark.dueInMs, 220);
  bookmark.close(bookmark.open(), { text: "third", waitMs: 0 });
  assert.equal(bookmark.dueInMs, 90);
});

test("a claim of a worker that had no time to look goes from the heads, that of one that was asleep does not", (t) => {
  const { bookmark, pass } = far(t);
  pass(10_000);
  const busy = bookmark.open();
  assert.equal(busy.whole, true);
  assert.equal(bookmark.lookIsDue, false);
  bookmark.close(busy, { text: "first", waitMs: 200 });
  bookmark.slept();
  pass(10_000);
  assert.equal(bookmark.open().whole, false);
  assert.equal(bookmark.lookIsDue, true);
});

test("a look that failed leaves the bookmark as it is, one that was no long way takes it away", (t) => {
  const { bookmark } = far(t);
  bookmark.startLook();
  bookmark.endLook(undefined);
  assert.deepEqual(next(bookmark.open()), { text: "first", whole: false });
  bookmark.startLook();
  bookmark.endLook({ text: "{}", waitMs: 240 });
  assert.deepEqual(next(bookmark.open()), { text: "{}", whole: true });
});
