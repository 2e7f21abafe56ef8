import assert from "node:assert/strict";
import test from "node:test";
import { addressesOf } from "../../src/client/addresses.ts";
import { ConfigError, createRouse } from "../../src/index.ts";

function split(text: string | string[]): string[] {
  return addressesOf(text, "connectionString").map(({ connectionString }) => connectionString);
}

test("several hosts are read as libpq reads them", () => {
  assert.deepEqual(split("postgres://one/app"), ["postgres://one/app"]);
  assert.deepEqual(split("postgres://me:p%2Cw@one:1,two:2,[::1]:3/app?sslmode=disable"), [
    "postgres://me:p%2Cw@one:1/app?sslmode=disable",
    "postgres://me:p%2Cw@two:2/app?sslmode=disable",
    "postgres://me:p%2Cw@[::1]:3/app?sslmode=disable",
  ]);
  assert.deepEqual(split("postgresql://one,two"), ["postgresql://one", "postgresql://two"]);
  assert.deepEqual(split(["postgres://one/app", "postgres://two:6/app"]), [
    "postgres://one/app",
    "postgres://two:6/app",
  ]);
  // A comma elsewhere is no list of hosts.
  assert.deepEqual(split("postgres://me:a,b@one/app?options=-c%20x,y"), ["postgres://me:a,b@one/app?options=-c%20x,y"]);
  assert.deepEqual(
    addressesOf("postgres://one:1,two/app", "x").map(({ host, port }) => `${host} ${port}`),
    ["one 1", `two ${process.env.PGPORT ?? 5432}`],
  );
});

test("addresses that are not one primary and its standbys are refused, and no password is shown", () => {
  const bad: [string | string[], RegExp][] = [
    [[], /connectionString is an empty list/],
    [
      ["postgres://me:secret@one/a", "postgres://me:secret@two/b"],
      /one:\d+ and two:\d+ differ in more than host and port/,
    ],
    [["postgres://me:secret@one/a", "postgres://me:other@two/a"], /differ in more than host and port/],
    ["postgres://me:secret@one:x,two/a", /connectionString is no address such as/],
  ];
  for (const [connectionString, message] of bad) {
    assert.throws(
      () => createRouse({ connectionString }),
      (error: Error) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  }
});
