/**
 * The wake gate under stress: 50 producers with transactions of random length, and workers that fall asleep all the time.
 * `npm run test:wake -- 10` runs for ten minutes; default 2.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbedded } from "../../src/dev/index.ts";
import { migrate } from "../../src/migrate/index.ts";
import { stress } from "../wake/stress.ts";

const minutes = Number(process.argv[2] ?? 2);
if (!(minutes > 0)) throw new Error(`${process.argv[2]} is not a number of minutes`);

const dataDir = await mkdtemp(join(tmpdir(), "rouse-wake-"));
const server = await startEmbedded({ dataDir, persistent: false, settings: { fsync: "on" } });
try {
  await migrate({ connectionString: server.url });
  const jobs = await stress({ url: server.url, producers: 50, workers: 6, seconds: minutes * 60 });
  console.log(`${jobs} jobs in ${minutes} min: no wake-up was lost`);
} finally {
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
}
