import assert from "node:assert/strict";
import test from "node:test";
import { checkComments, compareCatalogs } from "../../scripts/sql-catalog.ts";
import { checkCommitted, checkPlaceholders, compareCommitted } from "../../scripts/sql-rules.ts";
import { codeOnly, scan } from "../../scripts/sql-text.ts";

const header = "--! Previous: -\n--! Hash: sha1:0\n\n";
const committed = (body: string) => checkCommitted({ path: "c.sql", text: header + body });
const placeholders = (text: string) => checkPlaceholders({ path: "f.sql", text });

test("B21: SQL is cut where the server's scanner cuts it", () => {
  const sql = `a 'it''s' e'\\'' "q""" $$ x $$ $tag$ $$ $tag$ -- c\n/* /* n */ */ $1 b$c$d`;
  const cut = scan(sql).filter(({ kind }) => kind !== "code");
  assert.deepEqual(
    cut.map(({ kind, start, end }) => [kind, sql.slice(start, end)]),
    [
      ["string", "'it''s'"],
      ["string", "e'\\''"],
      ["identifier", '"q"""'],
      ["body", "$$ x $$"],
      ["body", "$tag$ $$ $tag$"],
      ["comment", "-- c"],
      ["block comment", "/* /* n */ */"],
    ],
  );
  assert.equal(codeOnly(sql).length, sql.length);
});

test("B21: a committed file that drops data, cascades or ends the transaction is found, with its line", () => {
  const drops = [
    "drop table if exists :SCHEMA.job;",
    "DROP\n  SCHEMA x;",
    "truncate :SCHEMA.job;",
    "drop function :SCHEMA.f() cascade;",
    "alter table :SCHEMA.job add column x int;\n\nbegin;",
    "commit;",
    "do $$ begin if true then drop table x; end if; end $$;",
  ];
  for (const sql of drops) assert.equal(committed(sql).length, 1, sql);
  assert.equal(committed(drops[4]!)[0]?.where, "c.sql:6");
});

test("B21: what only looks like a drop is none", () => {
  const fine = [
    "-- drop table x;",
    "comment on table x is 'drop table x;';",
    "create function f() returns void language plpgsql as $$ begin execute 'drop table x'; drop table y; end $$;",
    "create trigger t after truncate on x for each statement execute function f();",
    "alter table x add constraint k foreign key (i) references y on delete cascade;",
    "create function g() returns int begin atomic; select 1; end;",
    "do $$ begin null; end $$;",
    "drop function :SCHEMA.f();",
  ];
  for (const sql of fine) assert.deepEqual(committed(sql), [], sql);
});

test("B21: a file without a transaction has one statement that can be run again", () => {
  const alone = "--! no-transaction\ncreate index concurrently if not exists i on t (c);\n";
  assert.deepEqual(committed(alone), []);
  assert.match(committed(`${alone}select 1;`)[0]!.what, /2 statements/);
  assert.match(committed(alone.replace("if not exists ", ""))[0]!.what, /cannot be run again/);
});

test("B21: a source works under any schema name", () => {
  assert.deepEqual(
    placeholders("-- :SCHEMA\nselect :SCHEMA.f($$ select :SCHEMA.g() $$); comment on x is 'rouse.f';"),
    [],
  );
  assert.deepEqual(
    [
      "select ':SCHEMA.job'::regclass",
      "/* :SCHEMA */ select 1",
      'select ":SCHEMA".x',
      "do $$ begin\nraise 'in :SCHEMA'; end $$",
      "select rouse.f()",
      "create function f() language sql as $$\n select rouse.f() $$",
    ].map((sql) => placeholders(sql).map(({ where }) => where)),
    [["f.sql:1"], ["f.sql:1"], ["f.sql:1"], ["f.sql:2"], ["f.sql:1"], ["f.sql:2"]],
  );
});

test("B21: a committed file that is not what the sources make is found, by its first line that differs", () => {
  const made = { path: "c.sql", text: `${header}one\ntwo\n` };
  assert.deepEqual(compareCommitted(made, made), []);
  assert.equal(compareCommitted({ ...made, text: made.text.replace("two", "three") }, made)[0]?.where, "c.sql:5");
  assert.equal(compareCommitted({ ...made, text: made.text.replace("sha1:0", "sha1:1") }, made)[0]?.where, "c.sql:2");
  assert.equal(compareCommitted({ ...made, text: `${made.text}more\n` }, made)[0]?.where, "c.sql:6");
  assert.match(compareCommitted(undefined, made)[0]!.what, /is missing/);
  assert.match(compareCommitted(made, undefined)[0]!.what, /current\.sql is empty/);
});

test("B21: two catalogs differ in what is missing and in what is otherwise", () => {
  const entry = { comment: "x", wants_comment: true, type: "text" };
  const catalog = {
    "column a.b": entry,
    "table a": { ...entry, comment: null },
    "index i": { ...entry, comment: null, wants_comment: false },
  };
  assert.deepEqual(compareCatalogs(catalog, catalog), []);
  assert.deepEqual(
    compareCatalogs(catalog, {
      "column a.b": { ...entry, type: "int" },
      "index i": catalog["index i"],
      "view v": entry,
    }).map(({ where, what }) => `${where} ${what}`),
    [
      'column a.b has another type: "text" in the sources, "int" in sql/committed',
      "table a is in the sources and not in sql/committed",
      "view v is in sql/committed and not in the sources",
    ],
  );
  assert.deepEqual(
    checkComments(catalog).map(({ where }) => where),
    ["table a"],
  );
});
