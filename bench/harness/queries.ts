import { createRequire } from "node:module";
import pg from "pg";

/** The copies of pg in this process: the bench's, which is the peers' too, and that of Rouse. */
const COPIES: readonly (typeof pg)[] = [pg, createRequire(new URL("../../package.json", import.meta.url))("pg")];

/** Measures in milliseconds how long each query takes whose text matches, of whichever contender. */
export function timeQueries(match: RegExp): number[] {
  const times: number[] = [];
  for (const { Client } of new Set(COPIES)) {
    const query = Client.prototype.query as (...args: unknown[]) => unknown;
    Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
      const [first] = args;
      const text = typeof first === "string" ? first : (first as { text?: string } | undefined)?.text;
      if (text === undefined || !match.test(text)) return query.apply(this, args);
      const started = performance.now();
      const note = () => times.push(performance.now() - started);
      const callback = args.at(-1);
      if (typeof callback === "function") {
        args[args.length - 1] = (...results: unknown[]) => {
          note();
          callback(...results);
        };
        return query.apply(this, args);
      }
      const result = query.apply(this, args) as Promise<unknown>;
      result.then(note, note);
      return result;
    } as typeof Client.prototype.query;
  }
  return times;
}
