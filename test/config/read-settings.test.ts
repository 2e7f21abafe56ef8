import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings, type Sources } from "../../src/config/read-settings.ts";
import type { SettingName } from "../../src/config/settings.ts";

type Given = { [Key in keyof Sources]?: Record<string, unknown> };

function read<Name extends SettingName>(names: readonly Name[], { flags = {}, environment = {}, file }: Given) {
  const values = file as NonNullable<Sources["file"]>["values"] | undefined;
  return readSettings(names, {
    flags: flags as Record<string, string>,
    environment: environment as Record<string, string>,
    file: values === undefined ? undefined : { path: "rouse.config.ts", values },
  });
}

test("a flag wins over the environment, and that over the file; an empty variable is none", () => {
  const flags = { concurrency: "1" };
  const environment = { ROUSE_CONCURRENCY: "2" };
  const file = { concurrency: 3 };
  assert.deepEqual(read(["concurrency"], { flags, environment, file }), { concurrency: 1 });
  assert.deepEqual(read(["concurrency"], { environment, file }), { concurrency: 2 });
  assert.deepEqual(read(["concurrency"], { environment: { ROUSE_CONCURRENCY: "" }, file }), { concurrency: 3 });
  assert.deepEqual(read(["concurrency"], {}), { concurrency: undefined });
});

test("text and values mean the same", () => {
  const names = ["databaseUrl", "schema", "tasks", "queues", "grace", "logLevel", "logFormat"] as const;
  const expected = {
    databaseUrl: "postgres://a:b%40@[::1]:1/c",
    schema: "jobs",
    tasks: ["a.ts", "b/*.{ts,js}"],
    queues: ["mails", "default"],
    grace: 90_000,
    logLevel: "debug",
    logFormat: "json",
  };
  const environment = {
    DATABASE_URL: expected.databaseUrl,
    ROUSE_SCHEMA: "jobs",
    ROUSE_TASKS: "a.ts, b/*.{ts,js}",
    ROUSE_QUEUES: "mails,default",
    ROUSE_GRACE: "1m30s",
    ROUSE_LOG_LEVEL: "debug",
    ROUSE_LOG_FORMAT: "json",
  };
  assert.deepEqual(read(names, { environment }), expected);
  assert.deepEqual(read(names, { file: expected }), expected);
});

test("a wrong value is named with where it stands and what is allowed", () => {
  const cases: [SettingName, Given, string][] = [
    ["concurrency", { flags: { concurrency: "0" } }, '--concurrency is "0", not a whole number from 1 to 10000'],
    [
      "concurrency",
      { environment: { ROUSE_CONCURRENCY: "1e3" } },
      'the environment variable ROUSE_CONCURRENCY is "1e3", not a whole number from 1 to 10000',
    ],
    [
      "concurrency",
      { file: { concurrency: 1.5 } },
      "concurrency in rouse.config.ts is 1.5, not a whole number from 1 to 10000",
    ],
    [
      "queues",
      { flags: { queues: "a,,b" } },
      '--queues is "a,,b", not a list of queue names of 1 to 200 characters, or slots by queue such as mail=5,*=10',
    ],
    [
      "queues",
      { file: { queues: [1] } },
      "queues in rouse.config.ts is [1], not a list of queue names of 1 to 200 characters, or slots by queue such as mail=5,*=10",
    ],
    ["grace", { flags: { grace: "30" } }, '--grace is "30", not a duration such as "30s", "5m" or "1h30m"'],
    ["logLevel", { flags: { logLevel: "trace" } }, '--log-level is "trace", not one of debug, info, warn, error'],
    ["logFormat", { file: { logFormat: null } }, "logFormat in rouse.config.ts is null, not text or json"],
  ];
  for (const [name, given, message] of cases) {
    assert.throws(() => read([name], given), { name: "ConfigError", message });
  }
});

test("no part of a wrong address that may be a password is told", () => {
  for (const url of [
    "me:geheim@host/x",
    "http://me:geheim@host/x",
    "postgres://me:geheim#1@host/x",
    "host=x password=geheim",
    "postgres://me:ge@heim@host:port/x",
  ]) {
    assert.throws(
      () => read(["databaseUrl"], { flags: { databaseUrl: url } }),
      ({ message }: Error) =>
        /^--database-url is .*, not an address such as/.test(message) && !/ge@?heim/.test(message),
      url,
    );
  }
});
