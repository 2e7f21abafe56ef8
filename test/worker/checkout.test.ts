import assert from "node:assert/strict";
import test from "node:test";
import pg from "pg";
import { checkOut } from "../../src/worker/checkout.ts";
import { testDatabase } from "../support/database.ts";

const db = testDatabase({ template: "empty" });

test("B14: a connection that breaks in the instant in which the pool hands it out ends no process", async () => {
  const pool = new pg.Pool({ connectionString: db.url, max: 1 });
  pool.on("acquire", (client) => {
    // Comes before whoever awaits the connection goes on, as a farewell does that the server sent along with its welcome.
    process.nextTick(() => client.emit("error", new Error("terminating connection")));
  });
  const { client, release } = await checkOut(pool);
  assert.equal((await client.query("select 1 as one")).rows[0].one, 1);
  assert.equal(client.listenerCount("error"), 1, "somebody listens while it is out");
  release();
  release(true);
  assert.equal(pool.idleCount, 1, "a second release changes nothing");
  await pool.end();
});
