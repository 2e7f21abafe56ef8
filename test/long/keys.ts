/**
 * A finish, a claim and an enqueue of one concurrency key at the same instant, ten thousand times.
 * `npm run test:keys -- 100000` for as many; default 10,000.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbedded } from "../../src/dev/index.ts";
import { migrate } from "../../src/migrate/index.ts";
import { race } from "../limit/race.ts";

const tries = Number(process.argv[2] ?? 10_000);
if (!(tries > 0)) throw new Error(`${process.argv[2]} is not a number of tries`);

const dataDir = await mkdtemp(join(tmpdir(), "rouse-keys-"));
const server = await startEmbedded({ dataDir, persistent: false, settings: { fsync: "on" } });
try {
  await migrate({ connectionString: server.url });
  const start = performance.now();
  const { finisher, looker, later } = await race(server.url, tries);
  const seconds = Math.round((performance.now() - start) / 1_000);
  console.log(`${tries} tries in ${seconds} s: no job was forgotten, none ran beside another, no deadlock`);
  console.log(
    `the next job went ${finisher} times to who finished, ${looker} to who looked, ${later} to a second look`,
  );
} finally {
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
}
