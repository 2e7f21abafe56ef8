import assert from "node:assert/strict";
import { test } from "node:test";
import { Broadcasts } from "../../src/topics/broadcasts.ts";
import type { Ears } from "../../src/worker/shared-listener.ts";
import { testDatabase } from "../support/database.ts";
import { Tally } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";
import { until } from "../support/until.ts";

const database = testDatabase();

/** A listener whose connection the test makes and breaks, and that hears what the test says. */
class ScriptedListener {
  listening = false;
  ears: Ears | undefined;
  listenTo(): void {}
  restart(): void {}
  async close(): Promise<void> {}
  async open(ears: Ears): Promise<void> {
    this.ears = ears;
    this.listening = true;
    ears.onListening();
  }
}

test("a mark that arrives with the answer to LISTEN hides nothing that was missed before", async () => {
  const listener = new ScriptedListener();
  const broadcasts = new Broadcasts({ listener, pool: database.pool, schema: "rouse", log: new TestLog() });
  const heard = new Tally<unknown>();
  const lastMark = async () => {
    const [row] = await database.query<{ mark: number }>("select max(id)::integer as mark from rouse.broadcast_mark");
    return row!.mark;
  };
  const listened = broadcasts.listen("news", (payload) => heard.add(payload), {});
  await until(async () => (await lastMark()) !== null, { message: "a mark is made" });
  listener.ears!.onHint({ mark: await lastMark() });
  await listened;

  listener.listening = false;
  await database.query("select rouse.publish('news', '1'), rouse.broadcast_mark_v1()");
  await database.query("select rouse.broadcast_mark_v1()");
  listener.ears!.onHint({ mark: await lastMark() });
  listener.listening = true;
  listener.ears!.onListening();
  assert.deepEqual(await heard.reach(1), [1]);
  await broadcasts.close();
});
