import assert from "node:assert/strict";
import test from "node:test";
import pg from "pg";
import { addressesOf } from "../../src/client/addresses.ts";
import { OwnPool } from "../../src/client/own-pool.ts";
import { createRouse } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { TestLog } from "../support/log.ts";
import { PGBOUNCER, startPgBouncer } from "../support/pgbouncer.ts";

const db = testDatabase();

async function withPool(url: string, use: (own: OwnPool) => Promise<void>): Promise<void> {
  const own = new OwnPool(addressesOf(url, "connectionString"), new TestLog());
  try {
    await use(own);
  } finally {
    await own.end();
  }
}

/** What is prepared on the one connection that calls one after the other use. */
async function preparedOn({ pool }: OwnPool): Promise<string[]> {
  const { rows } = await pool.query<{ statement: string }>(
    "select statement from pg_prepared_statements order by name",
  );
  return rows.map(({ statement }) => statement);
}

test("statements that are run over and over are prepared once for each connection", async () => {
  await withPool(db.url, async (own) => {
    const texts = ["select $1::integer + 1 as n", "select $1::integer + 2 as n"];
    for (const n of [1, 2, 3]) {
      for (const [more, text] of texts.entries()) {
        assert.deepEqual((await own.query(text, [n])).rows, [{ n: n + more + 1 }]);
      }
    }
    assert.deepEqual(await preparedOn(own), texts);
  });
});

test("what is prepared follows a function that is made anew", async () => {
  await withPool(db.url, async (own) => {
    for (const answer of [1, 2]) {
      await db.query("drop function if exists answer()");
      await db.query(`create function answer() returns integer return ${answer}`);
      assert.deepEqual((await own.query("select answer()")).rows, [{ answer }]);
    }
  });
});

test("where somebody discards what was prepared, one call fails and the next ones do not", async () => {
  await withPool(db.url, async (own) => {
    const call = async () => (await own.query("select $1::integer as n", [1])).rows;
    await call();
    await own.pool.query("deallocate all");
    await assert.rejects(call, { code: "26000" });
    for (const _again of [1, 2]) assert.deepEqual(await call(), [{ n: 1 }]);
  });
});

test("an error names its caller where the server cannot be reached", async () => {
  await withPool("postgres://nobody@127.0.0.1:1/none", async (own) => {
    async function theCaller() {
      return await own.query("select 1");
    }
    await assert.rejects(theCaller, ({ code, stack }: { code: string; stack: string }) => {
      return code === "ECONNREFUSED" && stack.includes("theCaller");
    });
  });
});

test("an error of a prepared statement names its caller, and the pool goes on", async () => {
  await withPool(db.url, async (own) => {
    async function theCaller() {
      return await own.query("select 1 / $1::integer as n", [0]);
    }
    await assert.rejects(theCaller, ({ code, stack }: { code: string; stack: string }) => {
      return code === "22012" && stack.includes("theCaller");
    });
    assert.deepEqual((await own.query("select 1 / $1::integer as n", [1])).rows, [{ n: 1 }]);
  });
});

test("on a pool that was given nothing is prepared: its owner may reset sessions", async () => {
  const pool = new pg.Pool({ connectionString: db.url, max: 1 });
  const rouse = createRouse({ pool, log: new TestLog() });
  for (const n of [1, 2, 3]) {
    await rouse.enqueue("task", { n });
    await pool.query("discard all");
  }
  assert.deepEqual((await pool.query("select statement from pg_prepared_statements")).rows, []);
  await rouse.close();
  await pool.end();
});

test("behind a pooler nothing is prepared: each call may reach another session", {
  skip: PGBOUNCER === undefined && "PgBouncer is not installed (Debian: apt-get install pgbouncer)",
}, async () => {
  const bouncer = await startPgBouncer(db.url, "transaction", { default_pool_size: 3 });
  try {
    await withPool(bouncer.url(db.url), async (own) => {
      const [slow, quick] = ["select $1::integer as n, pg_sleep(0.05)", "select $1::integer as n"];
      for (let round = 0; round < 3; round++) {
        const calls = [1, 2, 3].map(async (n) => (await own.query(n === 1 ? slow : quick, [n])).rows[0].n);
        assert.deepEqual(await Promise.all(calls), [1, 2, 3]);
      }
      assert.deepEqual(await preparedOn(own), []);
    });
  } finally {
    await bouncer.stop();
  }
});
