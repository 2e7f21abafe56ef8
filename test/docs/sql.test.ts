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

for (const document of ["row-changes.md", "topics.md"]) {
  test(`docs/${document}: every example runs, in the order of the page`, async () => {
    const client = await db.connect();
    await client.query("begin");
    const examples = await examplesOf(document);
    assert.ok(examples.length >= 1, `${examples.length} examples`);
    for (const example of examples) {
      await client.query(example).catch((error) => assert.fail(`${error.message} in\n${example}`));
    }
    await client.query("rollback");
  });
}

test("docs/row-changes.md: the job of the first example is as it says", async () => {
  const client = await db.connect();
  await client.query("begin");
  const [first] = await examplesOf("row-changes.md");
  const results = (await client.query(first!)) as unknown as { rows: Record<string, unknown>[] }[];
  await client.query("rollback");
  const text = await readFile(new URL("../../docs/row-changes.md", import.meta.url), "utf8");
  const [, json] = /^```json\n(.*?)^```$/ms.exec(text)!;
  assert.deepEqual(results.at(-1)?.rows, [{ task: "send_receipt", payload: JSON.parse(json!) }]);
});

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
