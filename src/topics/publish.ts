import type { Queryable } from "../client/queryable.ts";
import { ConfigError, PayloadError } from "../errors.ts";
import { toJson } from "../tasks/json.ts";
import { checkOptions } from "../tasks/options.ts";

export interface PublishOptions {
  /** Where to publish: your own client, in its transaction if it has one. Default: a connection of Rouse's pool. */
  readonly client?: Queryable;
  /** Context that travels with the jobs, such as a trace id. */
  readonly headers?: Readonly<Record<string, unknown>>;
}

/** Publishes a message with the SQL function of that name; how many jobs it led to. */
export async function publish(
  pool: Queryable,
  schema: string,
  topic: string,
  payload: unknown,
  options: PublishOptions,
): Promise<number> {
  checkTopic(topic);
  checkOptions(`publish to "${topic}"`, options, ["client", "headers"]);
  const { client = pool, headers = null } = options;
  const { rows } = await client.query(`select ${schema}.publish($1, $2::jsonb, $3::jsonb) as jobs`, [
    topic,
    storable(payload ?? {}, `the payload published to "${topic}"`),
    headers === null ? null : storable(headers, `the headers of what is published to "${topic}"`),
  ]);
  return Number(rows[0]!.jobs);
}

/** @throws ConfigError for what is no name of a topic. */
export function checkTopic(topic: unknown): void {
  if (typeof topic !== "string" || topic.length < 1 || topic.length > 200) {
    throw new ConfigError(`topic ${JSON.stringify(topic)} is not a string of 1 to 200 characters`);
  }
}

function storable(value: unknown, what: string): string {
  const { text, why } = toJson(value);
  if (text === undefined) throw new PayloadError(`${what} cannot be stored: ${why}`);
  return text;
}
