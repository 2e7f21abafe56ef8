/**
 * The proof that nothing is lost: applications enqueue at least 1,000 jobs a second and workers run them, while a seeded
 * schedule of faults kills, stops, freezes and cuts workers, their connections and the server. A ledger outside of
 * Rouse's tables knows what was committed and what ran; in the end the two are compared.
 *
 *     npm run chaos                        200 faults and 1,000,000 jobs, 20 minutes
 *     npm run chaos -- --short             40 faults and 100,000 jobs, two minutes
 *     npm run chaos -- --seed 7            the same faults at the same times as any run with that seed
 *     npm run chaos -- --plan --seed 7     prints them, and does nothing
 *     also --faults, --jobs, --rate (jobs a second) and --workers
 *
 * Exits with 1 where anything did not hold, having said what; journals and logs are kept then.
 */
import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { migrate } from "../../src/migrate/index.ts";
import { ownServer } from "../support/servers.ts";
import { AUDIT } from "./audit.ts";
import { now } from "./clock.ts";
import { describe, type FaultRecord, inflict, planFaults, SERVER_SETTINGS, type World } from "./faults.ts";
import { Fleet } from "./fleet.ts";
import { INVARIANTS, violations } from "./invariants.ts";
import { closeLedger, createLedger } from "./ledger.ts";
import { RATE, WIDE } from "./limits.ts";
import { Load } from "./load.ts";
import { Random } from "./random.ts";
import { report } from "./report.ts";

const { values: given } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    plan: { type: "boolean", default: false },
    seed: { type: "string" },
    faults: { type: "string" },
    jobs: { type: "string" },
    rate: { type: "string" },
    workers: { type: "string" },
  },
});
const number = (text: string | undefined, otherwise: number) => {
  const value = text === undefined ? otherwise : Number(text);
  if (!(Number.isInteger(value) && value >= 0)) throw new Error(`${text} is not a whole number`);
  return value;
};
const seed = number(given.seed, randomInt(1, 1_000_000));
const faultCount = number(given.faults, given.short ? 40 : 200);
const jobs = number(given.jobs, given.short ? 100_000 : 1_000_000);
// Outages are in it, a whole minute without the server in the full form: 1,000 a second are to be committed all the same.
const rate = number(given.rate, given.short ? 1_100 : 1_300);
const workers = number(given.workers, 5);

/** How long the queue may take to become empty when all faults are over, and longer by what the rate has still to let pass. */
const DRAIN_MS = 180_000;

const plan = planFaults(new Random(seed), faultCount, (jobs / rate) * 1_000, workers);
console.log(`seed ${seed}: ${faultCount} faults, ${jobs} jobs at ${rate} a second, ${workers} workers`);
if (given.plan) {
  for (const fault of plan) console.log(describe(fault));
  process.exit(0);
}

const folder = await mkdtemp(join(tmpdir(), "rouse-chaos-"));
const { server, cleanUp } = await ownServer();
const records: FaultRecord[] = [];
const troubles: string[] = [];

/** Faults as planned, whatever the ones before them still do. */
async function inflictAll(world: World): Promise<void> {
  const from = now();
  await Promise.all(
    plan.map(async (fault) => {
      await sleep(fault.at - (now() - from));
      console.log(`${((now() - from) / 1_000).toFixed(1)} s, planned for ${describe(fault)}`);
      records.push(await inflict(world, fault));
    }),
  );
}

/** Looks at the tables again and again, over connections that any fault may strike, until told to stop. */
async function watchInvariants(done: AbortSignal): Promise<number> {
  let looks = 0;
  for (; !done.aborted; await sleep(1_000)) {
    await withClient(async (client) => {
      await client.query("begin isolation level repeatable read read only");
      troubles.push(...(await violations(client, INVARIANTS)));
      looks += 1;
    }).catch(() => {});
  }
  return looks;
}

async function withClient<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server.url(), connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}

async function drained(): Promise<boolean> {
  const { rows: rated } = await withClient((client) =>
    client.query("select count(*)::int as jobs from rouse.job where task = 'rated'"),
  );
  const giveUp = now() + DRAIN_MS + (rated[0].jobs / RATE.rate) * 1_000;
  while (now() < giveUp) {
    const { rows } = await withClient((client) => client.query("select count(*)::int as jobs from rouse.job"));
    if (rows[0].jobs === 0) return true;
    await sleep(200);
  }
  return false;
}

let failed = true;
try {
  await server.start(SERVER_SETTINGS);
  await migrate({ connectionString: server.url() });
  await withClient(createLedger);
  await withClient((client) =>
    client.query("select rouse.set_limit(key => $1, concurrency => $2)", [WIDE.key, WIDE.concurrency]),
  );
  const fleet = await Fleet.start(workers, server.url(), folder);
  const load = new Load(server.url(), new Random(seed + 1));
  const over = new AbortController();
  const watched = watchInvariants(over.signal);
  const from = now();
  await withClient((client) =>
    client.query(
      "select rouse.schedule('each second', 'every 1 second', 'slot', catch_up => 'all', catch_up_limit => 1000, overlap => 'allow')",
    ),
  );
  await Promise.all([load.run(jobs, rate), inflictAll({ server, fleet, serverTurn: Promise.resolve() })]);
  const loaded = now();
  await withClient((client) => client.query("select rouse.pause(schedule => 'each second')"));
  const empty = await drained();
  const emptied = now();
  await fleet.stop();
  over.abort();
  const looks = await watched;
  if (!empty)
    troubles.push(
      `the queue was not empty ${DRAIN_MS / 1_000} s after the last fault, nor when the rate had let pass what was left`,
    );
  troubles.push(...fleet.troubles);

  await withClient(async (client) => {
    await closeLedger(client, folder, records, fleet.deaths);
    troubles.push(...(await violations(client, [...INVARIANTS, ...AUDIT])));
    const took = { loading: loaded - from, draining: emptied - loaded };
    for (const line of await report(client, { took, looks, rolledBack: load.rolledBack })) console.log(line);
  });
  failed = troubles.length > 0;
} finally {
  await cleanUp();
}
for (const trouble of troubles) console.error(trouble);
if (failed) {
  console.error(`FAILED with seed ${seed}; journals and logs of the workers are in ${folder}`);
  process.exit(1);
}
await rm(folder, { recursive: true });
console.log(`ok: nothing was lost and nothing ran twice that must not, with seed ${seed}`);
process.exit(0);
