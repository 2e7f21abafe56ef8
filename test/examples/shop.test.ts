import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { promisify } from "node:util";
import pg from "pg";
import { chunksOf } from "../../examples/shop/chunks.ts";
import { makeSales } from "../../examples/shop/make-sales.ts";
import { until } from "../support/until.ts";

const server = process.env.ROUSE_TEST_SERVER!;
const started: ChildProcess[] = [];
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "rouse-shop-test-"));
  // PostgreSQL, running as somebody else where we are root, must get in.
  await chmod(folder, 0o755);
});
after(async () => {
  // A test that failed has left its own running.
  for (const shop of started) shop.kill();
  await rm(folder, { recursive: true, force: true });
});

test("A3, A4, A8, A9, A11, C1, C8: the shop's story is seen to happen, and nothing of it stays", async () => {
  const { code, stdout, stderr } = await runShop({ DATABASE_URL: server });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /result, from rouse\.jobs: \{"greeting":"Hello, Ada!"\}/);
  assert.match(stdout, /rolled back: no customer, no job, no mail/);
  assert.match(stdout, /the mail server had "Welcome, Ada!" for ada@example\.com/);
  assert.equal(stdout.match(/answered 503/g)?.length, 2);
  assert.match(stdout, /attempt 3\/6: succeeded, order 1 is paid/);
  assert.match(stdout, /the changed row sent "Receipt for order 1" to ada@example\.com/);
  assert.match(stdout, /heard live of the table orders: insert, update of payment null → P-\d+/);
  assert.match(stdout, /hiccup after 500 lines were written/);
  assert.match(stdout, /12,000 of the file's 12,000 lines in the table, 12,000 receipts/);
  assert.match(stdout, /the slot of \d\d:\d\d:\d[05] started/);
  assert.match(stdout, /a report of 12,000 sales; its own next time is \w+ \d{4}-\d\d-01 08:13:00 in Europe\/Berlin/);
  assert.match(stdout, /All 5 steps were seen to happen/);
  assert.equal(stderr, "");
  assert.deepEqual(await shopDatabases(), []);
});

test("the shop brings its own PostgreSQL, also where its port is taken, and leaves nothing behind", async () => {
  const blocker = createServer();
  // Some connection may have that port of all, for a moment, and would give it back too soon.
  await until(
    () => {
      blocker.listen(54_320, "127.0.0.1");
      return once(blocker, "listening").then(
        () => true,
        () => false,
      );
    },
    { message: "the port is taken" },
  );
  try {
    const { code, stdout, stderr } = await runShop({});
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /Port 54320 is taken, using \d+\./);
    const left = (await readdir(folder)).filter((name) => name.startsWith("rouse-"));
    assert.deepEqual(left, []);
  } finally {
    blocker.close();
  }
});

test("the shop's exit code tells which step was not seen to happen", async () => {
  const { code, stderr } = await runShop({
    DATABASE_URL: server,
    NODE_OPTIONS: "--import ./test/examples/other-subject.mjs",
  });
  assert.equal(code, 12);
  assert.match(stderr, /Step 2, "A new row sends a mail", was not seen to happen/);
  assert.deepEqual(await shopDatabases(), []);
});

test("a signal ends the shop in the middle of its story, cleanly", async () => {
  const shop = startShop({ DATABASE_URL: server });
  await seen(shop, "2. A new row");
  shop.kill("SIGTERM");
  const [code] = await once(shop, "exit");
  assert.equal(code, 143);
  assert.deepEqual(await shopDatabases(), []);
});

test("on a terminal the shop stays open until Ctrl-C and shows what happens", {
  skip: noTerminal(),
}, async () => {
  // Whatever becomes of this test, the shop does not stay open.
  const start = `exec timeout --foreground 100 ${process.execPath} --import tsx examples/shop/main.ts`;
  const shop = spawn("script", ["-qec", start, "/dev/null"], {
    env: environment({ DATABASE_URL: server, NO_COLOR: "1" }),
  });
  started.push(shop);
  const ended = once(shop, "exit");
  const [, url, command] = await seen(shop, /psql (postgres:\S+)[\s\S]*(DATABASE_URL=.*")/);
  const client = new pg.Client({ connectionString: url! });
  await client.connect();
  const mail = seen(shop, "mail to zoe@example.com: Welcome, Zoë!");
  await client.query("insert into public.customers (name, email) values ('Zoë', 'zoe@example.com')");
  await mail;
  await client.end();
  const { stdout } = await promisify(execFile)("sh", ["-c", command!], { env: environment({}) });
  assert.match(stdout, / send_welcome /);
  shop.stdin.write("\x03");
  assert.deepEqual((await ended)[0], 0);
  assert.deepEqual(await shopDatabases(), []);
});

test("the file of sales is the same for the same seed, and is cut into whole lines", async () => {
  const [file, again, other] = ["sales.csv", "again.csv", "other.csv"].map((name) => join(folder, name));
  await makeSales(file!, 10_001);
  await makeSales(again!, 10_001);
  await makeSales(other!, 10_001, 2);
  const text = await readFile(file!, "utf8");
  assert.equal(text, await readFile(again!, "utf8"));
  assert.notEqual(text, await readFile(other!, "utf8"));

  const chunks = await chunksOf(file!, 500);
  assert.equal(chunks.length, 21);
  const parts = chunks.map(({ start, end }) => text.slice(start, end + 1));
  assert.equal(`receipt,sold_at,product,quantity,price\n${parts.join("")}`, text);
  assert.deepEqual(
    parts.map((part) => part.match(/.+\n/g)?.length),
    [...Array(20).fill(500), 1],
  );
});

function environment(variables: Record<string, string>): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, TMPDIR: folder, ...variables };
}

function startShop(variables: Record<string, string>): ChildProcess {
  const args = ["--import", "tsx", "examples/shop/main.ts"];
  const shop = spawn(process.execPath, args, { env: environment(variables), stdio: ["ignore", "pipe", "pipe"] });
  started.push(shop);
  return shop;
}

async function runShop(variables: Record<string, string>) {
  const shop = startShop(variables);
  let [stdout, stderr] = ["", ""];
  shop.stdout!.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  shop.stderr!.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const [code] = await once(shop, "close");
  return { code, stdout, stderr };
}

/** Resolves when the process has written that. */
function seen(shop: ChildProcess, what: string | RegExp): Promise<RegExpMatchArray> {
  let output = "";
  return new Promise((resolve, reject) => {
    shop.stdout!.setEncoding("utf8").on("data", (text) => {
      output += text;
      const found = output.match(what);
      if (found) resolve(found);
    });
    shop.once("close", () => reject(new Error(`the shop ended without ${what}:\n${output}`)));
  });
}

async function shopDatabases(): Promise<string[]> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    const { rows } = await client.query("select datname from pg_database where starts_with(datname, 'rouse_shop_')");
    return rows.map(({ datname }) => datname);
  } finally {
    await client.end();
  }
}

/** `script` of util-linux gives a program a terminal; that of BSD has other options. */
function noTerminal(): string | false {
  return process.platform === "linux" ? false : "needs script(1) of util-linux";
}
