import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { rows, value } from "../support/engine.ts";

const db = testDatabase();

async function examplesOf(document: string): Promise<string[]> {
  const text = await readFile(new URL(`../../docs/${document}`, import.meta.url), "utf8");
  return [...text.matchAll(/^```sql\n(.*?)^```$/gms)].map(([, block]) => block!);
}

test("docs/sql.md: every example runs, in the order of the page", async () => {
  const client = await db.connect();
  const examples = await examplesOf("sql.md");
  assert.ok(examples.length >= 9, `${examples.length} examples`);
  for (const example of examples) {
    await client.query(example).catch((error) => assert.fail(`${error.message} in\n${example}`));
  }
  assert.deepEqual(
    await rows(db.pool, "select task, count(*)::integer as n from rouse.jobs group by task order by task"),
    [
      { task: "make_invoice", n: 1 },
      { task: "resize_picture", n: 1 },
      { task: "send_mail", n: 5 },
    ],
  );
  assert.equal(await value(db.pool, "select queue from rouse.job where tags @> '{newsletter}'"), "slow");
});
