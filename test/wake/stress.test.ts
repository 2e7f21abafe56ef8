import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { stress } from "./stress.ts";

const db = testDatabase();

test("no job waits for the safety check, however producers and workers that fall asleep meet", async () => {
  // Some 500 on two idle processors; a few rounds at least, however busy they are.
  assert.ok((await stress({ url: db.url, producers: 15, workers: 3, seconds: 5 })) > 20);
});
