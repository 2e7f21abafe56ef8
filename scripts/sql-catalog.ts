import { readFile } from "node:fs/promises";
import type pg from "pg";
import type { Finding } from "./sql-rules.ts";

/** A key an object, e.g. `column job.id`. */
export type Catalog = Readonly<Record<string, CatalogEntry>>;

interface CatalogEntry {
  readonly comment: string | null;
  readonly wants_comment: boolean;
  readonly [property: string]: unknown;
}

const query = await readFile(new URL("sql-catalog.sql", import.meta.url), "utf8");

/** What a schema consists of, in a form that is equal for equal schemas of two databases. */
export async function readCatalog(client: Pick<pg.Client, "query">, schema: string): Promise<Catalog> {
  await client.query("set search_path = pg_catalog");
  const { rows } = await client.query<{ catalog: Catalog }>(query, [schema]);
  return rows[0]!.catalog;
}

/** The objects that differ, each with the properties that do. */
export function compareCatalogs(sources: Catalog, committed: Catalog): Finding[] {
  const keys = [...new Set([...Object.keys(sources), ...Object.keys(committed)])].sort();
  return keys.flatMap((key) => {
    const [left, right] = [sources[key], committed[key]];
    const remedy = "Write the ALTER that makes the difference into sql/current.sql, or bring the source up to date.";
    if (!left) return [{ where: key, what: "is in sql/committed and not in the sources", remedy }];
    if (!right) return [{ where: key, what: "is in the sources and not in sql/committed", remedy }];
    const properties = Object.keys(left).filter((name) => JSON.stringify(left[name]) !== JSON.stringify(right[name]));
    return properties.map((name) => ({
      where: key,
      what: `has another ${name}: ${JSON.stringify(left[name])} in the sources, ${JSON.stringify(right[name])} in sql/committed`,
      remedy,
    }));
  });
}

/** The objects that should explain themselves and do not. */
export function checkComments(catalog: Catalog): Finding[] {
  return Object.entries(catalog)
    .filter(([, { comment, wants_comment }]) => wants_comment && !comment?.trim())
    .map(([key]) => ({
      where: key,
      what: "has no COMMENT",
      remedy: "Comments are the manual: say what it means.",
    }))
    .sort((a, b) => (a.where < b.where ? -1 : 1));
}
