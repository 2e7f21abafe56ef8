import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { compareEvaluators, summary } from "./support/differential.ts";

const database = testDatabase();

// A short form of `npm run test:cron`, which asks 100,000 questions.
test("D1: 1,000 random questions have the same answers from the database and from the evaluator of the tests", async (t) => {
  const client = await database.connect();
  const outcome = await compareEvaluators(
    async (text, values) => (await client.query(text, values)).rows,
    1_000,
    20261120,
  );
  t.diagnostic(summary(outcome));
  assert.deepEqual(outcome.disagreements, []);
  assert.deepEqual(outcome.cronParserDisagreements, []);
  assert.ok(outcome.agreed >= 980, "some zones may be newer on one side, not many");
  assert.ok(outcome.cronParserAgreed >= 300, "cron-parser is asked about a good part");
});
