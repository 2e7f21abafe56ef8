import assert from "node:assert/strict";
import { createServer } from "node:net";
import { before, test } from "node:test";
import { loadTasks } from "../../src/cli/tasks/load-tasks.ts";
import { ConfigError } from "../../src/errors.ts";
import { testDatabase } from "../support/database.ts";
import { type Outcome, project, rouse, rouseHere } from "./support.ts";

const database = testDatabase();
const empty = testDatabase({ template: "empty" });

const task = (name: string, more = "") =>
  `import { defineTask } from "rouse";\nexport const ${name} = defineTask("${name}", { ${more} run() {} });\n`;

let folder: string;

before(async () => {
  folder = await project({ "tasks.ts": task("fine") });
});

/** One clear error: not 0, nothing printed, the message alone and no stack of ours. */
function assertRefused({ code, stdout, stderr }: Outcome, message: RegExp): void {
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /node:internal|\/src\/cli\/|node_modules/, "no stack of ours");
  assert.equal(stdout, "");
  assert.equal(code, 1);
}

test("options of a job that the database refuses", async (t) => {
  const long = "x".repeat(10_000);
  const cases: [string, string[], RegExp][] = [
    [
      "a priority out of range",
      ["a", "--priority", "101"],
      /priority 101 is out of range\n {2}A priority is a number from -100/,
    ],
    ["a negative delay", ["a", "--delay", "-5m"], /delay of a job of "a" "-5m" is not a duration: give/],
    ["delay together with run-at", ["a", "--delay", "5m", "--run-at", "2031-01-01T00:00Z"], /both run_at and delay/],
    ["an empty name", [""], /task '' has 0 characters\n {2}A task has 1 to 200 characters/],
    ["a name of 10,000 characters", [long], /task 'x{60}… \(10000 characters\)' has 10000 characters/],
    ["an empty queue", ["a", "--queue="], /queue '' has 0 characters/],
    ["an endless unique key", ["a", "--unique-key", long], /unique_key .* has 10000 characters/],
    ["headers that are no object", ["a", "--headers", "[1]"], /headers is a JSON array/],
    ["text that jsonb cannot hold", ["a", '{"t": "\\u0000"}'], /unsupported Unicode escape sequence/],
  ];
  for (const [title, args, message] of cases) {
    await t.test(title, async () => {
      assertRefused(await rouseHere(["enqueue", ...args], { DATABASE_URL: database.url }), message);
    });
  }
  await t.test("a payload of 10 MB", async () => {
    // Text that does not compress, since the limit is on what is stored.
    const input = JSON.stringify(Array.from({ length: 1_000_000 }, () => Math.random().toString(36).slice(2)));
    const outcome = await rouse(["enqueue", "a", "-"], { environment: { DATABASE_URL: database.url }, input });
    assertRefused(outcome, /payload has \d+ bytes, the limit is \d+\n {2}Store large data/);
  });
  assert.deepEqual(await database.query("select from rouse.job"), [], "nothing is half done");
});

test("a database that cannot be used", async (t) => {
  const { port, close } = await strangeServer();
  t.after(close);
  const wrong = (change: (url: URL) => void) => {
    const url = new URL(database.url);
    change(url);
    return { DATABASE_URL: url.href };
  };
  const user = new URL(database.url).username;
  const cases: [string, Record<string, string>, RegExp][] = [
    ["none named", {}, /no database is named: set DATABASE_URL \(postgres:\/\/.*\) or PGHOST .* rouse dev/],
    ["no address", { DATABASE_URL: "database" }, /DATABASE_URL is "database", not an address such as postgres:/],
    ["another protocol", { DATABASE_URL: "mysql://me:secret@host/x" }, /is "mysql:\/\/…@host\/x", not an address/],
    [
      "no such host",
      { DATABASE_URL: "postgres://me@nowhere.invalid/x" },
      /cannot connect to PostgreSQL at nowhere.invalid:5432, database x, as me: .*(host|name)/,
    ],
    [
      "no server at the port",
      wrong((url) => {
        url.port = "1";
      }),
      /at 127.0.0.1:1, .*: nothing listens there/,
    ],
    [
      "no PostgreSQL",
      wrong((url) => {
        url.port = String(port);
      }),
      /: .*(closed the connection|terminated unexpectedly)/,
    ],
    [
      "wrong password",
      wrong((url) => {
        url.password = "wrong";
      }),
      new RegExp(`password authentication failed for user "${user}"`),
    ],
    [
      "no password",
      wrong((url) => {
        url.password = "";
      }),
      /the server asks for a password, and none was given/,
    ],
    [
      "no such database",
      wrong((url) => {
        url.pathname = "/nothing";
      }),
      /database "nothing" does not exist/,
    ],
    [
      "not migrated",
      { DATABASE_URL: empty.url },
      /Rouse is not installed in schema "rouse".*[Rr]un:? "?rouse migrate/s,
    ],
    [
      "another schema",
      { DATABASE_URL: database.url, ROUSE_SCHEMA: "other" },
      /Rouse is not installed in schema "other"/,
    ],
  ];
  for (const [title, environment, message] of cases) {
    await t.test(title, async () => {
      assertRefused(await rouseHere(["jobs"], environment), message);
    });
  }
});

test("a worker says the same in its log, as one line", async () => {
  const url = new URL(database.url);
  url.port = "1";
  const [first, second] = await Promise.all([
    rouse(["worker"], { folder, environment: { DATABASE_URL: url.href } }),
    rouse(["worker"], { folder, environment: { DATABASE_URL: empty.url, ROUSE_LOG_FORMAT: "text" } }),
  ]);
  const { level, message } = JSON.parse(first.stderr);
  assert.equal(level, "error");
  assert.match(message, /cannot connect to PostgreSQL at 127.0.0.1:1, .*: nothing listens there/);
  assert.match(second.stderr, /^[\d:.]+ ERROR Rouse is not installed in schema "rouse" of this database.*\n$/);
  assert.deepEqual([first.code, second.code], [1, 1]);
});

test("a schema that a newer Rouse migrated", async () => {
  const { rows } = await (await database.connect()).query("select count(*)::int + 1 as next from rouse.migration");
  await database.query(
    `insert into rouse.migration (number, file, hash, previous_hash, rouse_version, compatible_from)
    values ($1, '000099.sql', 'sha1:x', 'sha1:y', '9.0.0', $1)`,
    [rows[0].next],
  );
  const environment = { DATABASE_URL: database.url, ROUSE_LOG_FORMAT: "text" };
  const worker = await rouse(["worker"], { folder, environment });
  const migrate = await rouseHere(["migrate"], environment);
  assertRefused(worker, /was migrated by a newer Rouse \(9\.0\.0 applied 000099\.sql\).*Upgrade this package/);
  assertRefused(migrate, /was migrated by a newer Rouse \(9\.0\.0 applied 000099\.sql/);
  await database.query("delete from rouse.migration where rouse_version = '9.0.0'");
});

test("a role without rights is told what to grant", async () => {
  const role = `rouse_cli_${process.pid}`;
  await database.query(`create role ${role} login password 'p'`);
  try {
    const url = new URL(database.url);
    url.username = role;
    url.password = "p";
    const environment = { DATABASE_URL: url.href, ROUSE_LOG_FORMAT: "text" };
    const worker = await rouse(["worker"], { folder, environment });
    assertRefused(worker, new RegExp(`permission denied .*\n.*: select "rouse".grant_access\\('${role}', 'work'\\)`));
    const cases: [string[], string][] = [
      [["enqueue", "a"], "enqueue"],
      [["jobs"], "view"],
      [["purge", "1"], "admin"],
    ];
    for (const [args, level] of cases) {
      const message = `permission denied .*\n.*${role} needs the level "${level}".*: select "rouse".grant_access\\('${role}', '${level}'\\)`;
      assertRefused(await rouseHere(args, environment), new RegExp(message));
    }
    const migrate = await rouseHere(["migrate"], { ...environment, ROUSE_SCHEMA: "mine" });
    assertRefused(migrate, /may not create the schema "mine".*Grant it: grant create on database/);
  } finally {
    await database.query(`drop role ${role}`);
  }
});

test("with the level it was told, each command works", async () => {
  const role = `rouse_cli_level_${process.pid}`;
  await database.query(`create role ${role} login password 'p'`);
  try {
    const url = new URL(database.url);
    url.username = role;
    url.password = "p";
    const environment = { DATABASE_URL: url.href };
    const [row] = await database.query<{ id: string }>("select rouse.enqueue('fine') as id");
    const { id } = row!;
    const cases: [string, string[][]][] = [
      ["enqueue", [["enqueue", "fine", "{}"]]],
      ["view", [["status"], ["jobs"], ["jobs", id], ["limit", "list"]]],
      [
        "admin",
        [
          ["pause", "q"],
          ["resume", "q"],
          ["limit", "set", "--queue", "q", "--concurrency", "1"],
          ["limit", "drop", "--queue", "q"],
          ["purge", id],
        ],
      ],
    ];
    for (const [level, calls] of cases) {
      await database.query("select rouse.grant_access($1, $2)", [role, level]);
      for (const args of calls) {
        const { code, stderr } = await rouseHere(args, environment);
        assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
      }
      await database.query("select rouse.revoke_access($1)", [role]);
    }
    await database.query("select rouse.grant_access($1, 'work')", [role]);
    const { code, stderr } = await rouse(["worker", "--once"], { folder, environment });
    assert.equal(code, 0, stderr);
  } finally {
    await database.query(`drop owned by ${role}`);
    await database.query(`drop role ${role}`);
    await database.query("truncate rouse.task");
  }
});

test("task files that cannot be used", async (t) => {
  const folder = await project({
    "nothing.ts": "const hidden = 1;\n",
    "other.ts": "export const helper = 1;\nexport default class {}\n",
    "syntax.ts": "export const a = 1;\nexport const b = = 2;\n",
    "throws.ts":
      "interface Unused {\n  a: number;\n}\nconst settings = undefined as unknown as { a: { b: number } };\nexport const x = settings.a.b;\n",
    "option.ts": task("bad", "priority: 500,"),
    "imports.ts": 'import "./not-there.ts";\n',
    "package.ts": 'import "not-installed-package";\n',
    "named.ts": 'import { nothing } from "./other.ts";\nexport const x = nothing;\n',
    "first.ts": task("same"),
    "second.ts": task("same", "priority: 1,"),
    "twice.ts": `${task("one")}export const two = defineTask("one", { run() {} });\n`,
    "forever.ts": `await new Promise(() => {});\n${task("late")}`,
    "helpers/a.ts": "export const a = 1;\n",
    "helpers/b.ts": "export const b = 1;\n",
    "hollow/readme.md": "",
  });
  const cases: [string[], RegExp][] = [
    [[], /no tasks found: neither tasks\.ts nor a folder tasks\/ with modules is in /],
    [["missing.ts"], /missing\.ts does not exist \(seen from /],
    [["hollow"], /hollow has no modules in it/],
    [["src/**/*.ts"], /src\/\*\*\/\*\.ts matches no file/],
    [["nothing.ts"], /nothing\.ts exports no task \(it exports nothing\): export const/],
    [["other.ts"], /other\.ts exports no task \(it exports default, helper\)/],
    [["helpers"], /none of the 2 modules of helpers exports a task/],
    [["syntax.ts"], /syntax\.ts cannot be loaded: Unexpected "=" at .*syntax\.ts:2:17/],
    [["throws.ts"], /throws\.ts cannot be loaded: TypeError: Cannot read .*'a'\)\n +at .*throws\.ts:5:\d+$/m],
    [
      ["option.ts"],
      /option\.ts cannot be loaded: task "bad": priority 500 is not a whole number from -100 to 100\n +at .*option\.ts:2:\d+$/m,
    ],
    [["imports.ts"], /imports\.ts cannot be loaded: .*not-there\.ts' .*imports\.ts/],
    [["package.ts"], /package\.ts cannot be loaded: Cannot find package 'not-installed-package' imported from/],
    [
      ["named.ts"],
      /named\.ts cannot be loaded: SyntaxError: .*'\.\/other\.ts' does not provide an export named 'nothing'\n +at .*named\.ts:1/,
    ],
    [["first.ts", "second.ts"], /the task "same" is defined in first\.ts and in second\.ts: rename one/],
    [["twice.ts"], /the task "one" is defined twice in twice\.ts: rename one/],
  ];
  for (const [args, message] of cases) {
    await t.test(`rouse worker ${args.join(" ")}`, async () => {
      await assert.rejects(loadTasks(args.length === 0 ? undefined : args, folder), (error) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /node:|\/src\/|node_modules/, "no stack of ours");
        return true;
      });
    });
  }
  const environment = { DATABASE_URL: database.url, ROUSE_LOG_FORMAT: "text" };
  const [wrong, forever] = await Promise.all([
    rouse(["worker", "syntax.ts"], { folder, environment }),
    rouse(["worker", "forever.ts"], { folder, environment }),
  ]);
  assertRefused(wrong, /ERROR syntax\.ts cannot be loaded: Unexpected "=" at/);
  assert.match(forever.stderr, /forever\.ts never finished loading/);
  assert.notEqual(forever.code, 0);
  assert.deepEqual(await database.query("select from rouse.task"), [], "nothing is half done");
  assert.deepEqual(await database.query("select from rouse.worker"), []);
});

/** Something that listens and is no PostgreSQL. */
async function strangeServer(): Promise<{ port: number; close: () => void }> {
  const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address() as { port: number };
  return { port: address.port, close: () => server.close() };
}
