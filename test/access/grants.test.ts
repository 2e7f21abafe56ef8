import assert from "node:assert/strict";
import test, { after } from "node:test";
import pg from "pg";
import { migrate } from "../../src/migrate/index.ts";
import { onServer, testRoles } from "./support.ts";

const roles = testRoles();
const { database } = roles;
const odd = `Wörk "r"'; drop role x; -- $$ ${process.pid}`;
const quoted = pg.escapeIdentifier(odd);
const group = `rouse_test_group_${process.pid}`;

// After the database that holds what was granted to them.
after(() => onServer(`drop role if exists ${quoted}; drop role if exists ${group}`));

async function refusal(client: pg.Client, sql: string, values: unknown[] = []): Promise<Record<string, string>> {
  try {
    await client.query(sql, values);
  } catch (error) {
    const { code, message, hint } = error as Record<string, string>;
    return { code: code!, message: message!, hint: hint! };
  }
  throw new Error(`${sql} did not fail`);
}

test("grant_access names a bad role or level, and what to do", async () => {
  const owner = await roles.connect("owner");
  const near = roles.name("view").replace("view", "vieww");
  const grant = "select rouse.grant_access($1, $2)";
  const cases: [role: string | null, level: string | null, code: string, message: RegExp, hint: RegExp][] = [
    [
      near,
      "view",
      "42704",
      new RegExp(`role "${near}" does not exist; did you mean "${roles.name("view")}"\\?`),
      /create role/,
    ],
    ["public", "view", "42704", /role "public" does not exist/, /nothing to PUBLIC/],
    [null, "view", "42704", /role null does not exist/, /name of a role/],
    ["", "view", "42704", /role "" does not exist/, /name of a role/],
    ["x".repeat(10_000), "view", "42704", /role "x{60}… \(10000 characters\)" does not exist/, /name of a role/],
    [
      roles.name("stranger"),
      "veiw",
      "22023",
      /access level "veiw" is not known; did you mean "view"\?/,
      /enqueue, work, view and admin/,
    ],
    [
      roles.name("stranger"),
      "VIEW",
      "22023",
      /access level "VIEW" is not known; did you mean "view"\?/,
      /enqueue, work/,
    ],
    [roles.name("stranger"), "", "22023", /access level "" is not known/, /enqueue, work, view and admin/],
    [roles.name("stranger"), null, "22023", /access level null is not known/, /enqueue, work, view and admin/],
    [
      roles.name("owner"),
      "work",
      "22023",
      new RegExp(`role "${roles.name("owner")}" owns this installation`),
      /every right/,
    ],
  ];
  for (const [role, level, code, message, hint] of cases) {
    const told = await refusal(owner, grant, [role, level]);
    assert.equal(told.code, code);
    assert.match(told.message!, message);
    assert.match(told.hint!, hint);
  }
  assert.match((await refusal(owner, "select rouse.revoke_access('nobody here')")).message!, /does not exist/);
  assert.match((await refusal(owner, "select rouse.revoke_access($1)", [roles.name("owner")])).message!, /owns this/);
  const { rows } = await owner.query("select from rouse.access where role::text = $1", [roles.name("stranger")]);
  assert.equal(rows.length, 0);
});

test("a role with odd characters in its name is granted to and revoked from", async () => {
  await onServer(`create role ${quoted}`);
  const owner = await roles.connect("owner");
  const may = async () => {
    const { rows } = await owner.query(
      "select has_function_privilege($1, 'rouse.enqueue_many(jsonb)', 'execute') as may",
      [odd],
    );
    return rows[0].may as boolean;
  };
  await owner.query("select rouse.grant_access($1, 'work')", [odd]);
  assert.equal(await may(), true);
  await owner.query("select rouse.revoke_access($1)", [odd]);
  assert.equal(await may(), false);
});

test("revoke_access is the reverse: the role can be dropped, and an upgrade gives it nothing back", async () => {
  await onServer(`create role ${group}`);
  const owner = await roles.connect("owner");
  for (const level of ["enqueue", "work", "view", "admin"]) {
    await owner.query("select rouse.grant_access($1, $2)", [group, level]);
    await owner.query("select rouse.grant_access($1, $2)", [group, level]);
  }
  await owner.query(`grant select (id) on rouse.archive to ${group}`);
  await assert.rejects(onServer(`drop role ${group}`), /some objects depend on it/);
  await owner.query("select rouse.revoke_access($1)", [group]);
  await owner.query("select rouse.revoke_access($1)", [group]);
  await owner.query("select rouse.apply_access()");
  await onServer(`drop role ${group}`);
  // What others were granted stays.
  await (await roles.connect("enqueue")).query("select rouse.enqueue('x')");
});

test("a role that was dropped leaves nothing that its namesake would inherit", async () => {
  await onServer(`create role ${group}`);
  const owner = await roles.connect("owner");
  await owner.query("select rouse.grant_access($1, 'admin')", [group]);
  await database.query(`drop owned by ${group}; drop role ${group}; create role ${group}`);
  await owner.query("select rouse.apply_access()");
  const { rows } = await owner.query("select has_schema_privilege($1, 'rouse', 'usage') as may", [group]);
  assert.deepEqual(rows, [{ may: false }]);
  assert.deepEqual((await owner.query("select from rouse.access where role::text ~ '^[0-9]'")).rows, []);
});

test("members of a role have its level", async () => {
  await database.query(`grant ${roles.name("view")} to ${roles.name("stranger")}`);
  try {
    await (await roles.connect("stranger")).query("select from rouse.jobs");
  } finally {
    await database.query(`revoke ${roles.name("view")} from ${roles.name("stranger")}`);
  }
});

test("an admin grants and revokes like the owner", async () => {
  const admin = await roles.connect("admin");
  await admin.query("select rouse.grant_access($1, 'view')", [roles.name("stranger")]);
  const stranger = await roles.connect("stranger");
  await stranger.query("select from rouse.queues");
  await admin.query("select rouse.revoke_access($1)", [roles.name("stranger")]);
  await assert.rejects(stranger.query("select from rouse.queues"), { code: "42501" });
});

test("two sessions grant at the same time", async () => {
  const [one, two] = [await roles.connect("owner"), await roles.connect("owner")];
  for (let round = 0; round < 5; round++) {
    await Promise.all([
      one.query("select rouse.grant_access($1, 'view')", [roles.name("stranger")]),
      two.query("select rouse.revoke_access($1)", [roles.name("stranger")]),
      one.query("select rouse.apply_access()"),
    ]);
  }
  await one.query("select rouse.revoke_access($1)", [roles.name("stranger")]);
});

test("where the schema is somebody else's, grant_access says who has to open it", async () => {
  const owner = await roles.connect("owner");
  await database.query(`create schema theirs; grant usage, create on schema theirs to ${roles.name("owner")}`);
  await migrate({ client: owner, schema: "theirs" });
  const told = await refusal(owner, "select theirs.grant_access($1, 'view')", [roles.name("stranger")]);
  assert.equal(told.code, "42501");
  assert.match(told.message!, /the schema "theirs" belongs to role "/);
  assert.match(told.hint!, new RegExp(`grant usage on schema theirs to ${roles.name("stranger")};`));
  await database.query(`grant usage on schema theirs to ${roles.name("stranger")}`);
  await owner.query("select theirs.grant_access($1, 'view')", [roles.name("stranger")]);
  await (await roles.connect("stranger")).query("select from theirs.jobs");
});
