import type pg from "pg";
import { fillSchema } from "../src/migrate/schema.ts";
import type { Finding } from "./sql-rules.ts";
import type { SqlFile } from "./sql-source.ts";
import { lineAt } from "./sql-text.ts";

interface Issue {
  readonly signature: string;
  readonly source: string;
  readonly relation: string | null;
  readonly line: number | null;
  readonly level: string;
  readonly message: string;
  readonly detail: string | null;
  readonly hint: string | null;
}

/**
 * Runs plpgsql_check over every PL/pgSQL function of the schema; null where the server does not have the extension. `unused`
 * are trigger functions that are on no table yet, which it cannot check.
 */
export async function checkFunctions(
  client: pg.Client,
  schema: string,
  sources: readonly SqlFile[],
): Promise<{ checked: number; unused: string[]; findings: Finding[] } | null> {
  const available = await client.query("select from pg_available_extensions where name = 'plpgsql_check'");
  if (available.rows.length === 0) return null;
  await client.query("create schema plpgsql_check");
  await client.query("create extension plpgsql_check schema plpgsql_check");
  // A trigger function is checked once for each table and each pair of transition tables that it is used with.
  const { rows } = await client.query<Issue>(
    `with target as (
       select p.oid, p.prosrc, t.tgrelid, t.tgoldtable, t.tgnewtable
       from pg_catalog.pg_proc as p
       join pg_catalog.pg_language as l on l.oid = p.prolang and l.lanname = 'plpgsql'
       left join (
         select distinct tgfoid, tgrelid, tgoldtable, tgnewtable
         from pg_catalog.pg_trigger
         where not tgisinternal and tgparentid = 0
       ) as t on t.tgfoid = p.oid
       where p.pronamespace = (select n.oid from pg_catalog.pg_namespace as n where n.nspname = $1)
         and (p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype or t.tgrelid is not null)
     )
     select
       target.oid::regprocedure::text as signature,
       target.prosrc as source,
       target.tgrelid::regclass::text as relation,
       issue.lineno as line,
       issue.level,
       issue.message,
       issue.detail,
       issue.hint
     from target
     cross join lateral plpgsql_check.plpgsql_check_function_tb(
       target.oid,
       relid => coalesce(target.tgrelid, 0),
       oldtable => target.tgoldtable,
       newtable => target.tgnewtable
     ) as issue
     order by signature, relation, line`,
    [schema],
  );
  const functions = await client.query<{ signature: string; unused: boolean }>(
    `select
       p.oid::regprocedure::text as signature,
       p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype
         and not exists (select from pg_catalog.pg_trigger as t where t.tgfoid = p.oid) as unused
     from pg_catalog.pg_proc as p
     join pg_catalog.pg_language as l on l.oid = p.prolang and l.lanname = 'plpgsql'
     where p.pronamespace = (select n.oid from pg_catalog.pg_namespace as n where n.nspname = $1)`,
    [schema],
  );
  const unused = functions.rows.filter((each) => each.unused).map(({ signature }) => signature);
  return {
    checked: functions.rows.length - unused.length,
    unused,
    findings: rows.map((issue) => explain(issue, schema, sources)),
  };
}

function explain(issue: Issue, schema: string, sources: readonly SqlFile[]): Finding {
  const on = issue.relation ? ` (as a trigger of ${issue.relation})` : "";
  return {
    where: placeOf(issue, schema, sources) ?? issue.signature,
    what: `${issue.level} in ${issue.signature}${on}: ${issue.message}${issue.detail ? ` (${issue.detail})` : ""}`,
    remedy:
      issue.hint ??
      "Repair it; where it is right, say why in a comment of the body, with @plpgsql_check_options: extra_warnings = off.",
  };
}

/** The line of the source: the server counts from the line on which the body opens. */
function placeOf(issue: Issue, schema: string, sources: readonly SqlFile[]): string | undefined {
  for (const { path, text } of sources) {
    const filled = fillSchema(text, schema);
    const body = filled.indexOf(issue.source);
    if (body >= 0) return `${path}:${lineAt(filled, body) + (issue.line ?? 1) - 1}`;
  }
  return undefined;
}
