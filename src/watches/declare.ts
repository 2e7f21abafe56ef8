import type pg from "pg";
import type { Queryable } from "../client/queryable.ts";
import { ConfigError, RouseError } from "../errors.ts";
import { isWatch, type Watch } from "./define-watch.ts";

/** The watches of a client. @throws ConfigError where a name is taken twice. */
export function checkWatches(watches: Iterable<Watch>): readonly Watch[] {
  const byName = new Map<string, Watch>();
  for (const watch of new Set(watches)) {
    if (!isWatch(watch)) {
      throw new ConfigError(`watches contains ${typeof watch} ${String(watch)}, not one made by defineWatch`);
    }
    if (byName.has(watch.name)) {
      throw new ConfigError(`the watch name "${watch.name}" is taken twice: rename one of them`);
    }
    byName.set(watch.name, watch);
  }
  return [...byName.values()];
}

/**
 * Makes the watches of a source exactly these, and tells what changed. Each is a transaction of its own, because making a
 * trigger holds up whoever writes to its table.
 *
 * @throws RouseError naming the watch, what is wrong with it and what to do.
 */
export async function declareWatches(
  client: Queryable,
  schema: string,
  source: string,
  watches: readonly Watch[],
  onChange: (change: string, watch: string) => void,
): Promise<void> {
  for (const { name, relation, declaration } of watches) {
    const [row] = await named(
      name,
      client.query(`select ${schema}.declare_watch($1, $2::regclass, $3) as change`, [
        source,
        relation,
        JSON.stringify(declaration),
      ]),
    );
    if (row!.change !== "same") onChange(String(row!.change), name);
  }
  const { rows: gone } = await client.query(`select ${schema}.undeclared_watches_v1($1, $2) as name`, [
    source,
    watches.map(({ name }) => name),
  ]);
  for (const { name } of gone) {
    await named(String(name), client.query(`select ${schema}.unwatch($1)`, [name]));
    onChange("removed", String(name));
  }
}

async function named(watch: string, query: ReturnType<Queryable["query"]>): Promise<Record<string, unknown>[]> {
  try {
    return (await query).rows;
  } catch (error) {
    const { message, detail, hint } = error as pg.DatabaseError;
    const advice = /\b(declare_watch|unwatch)\b/.test(message)
      ? 'Watches hold SQL, so only the role that migrated makes them, or one with the level "admin". Let rouse migrate make them as that role: applyWatches: "migrate" in rouse.config.ts.'
      : hint;
    const text = [`watch "${watch}": ${message}`, detail, advice].filter(Boolean).join("\n  ");
    throw new RouseError(text, { cause: error });
  }
}
