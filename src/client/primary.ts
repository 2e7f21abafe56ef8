import pg from "pg";
import { RouseError } from "../errors.ts";
import { type Address, where } from "./addresses.ts";

/** Time in which a server must say whether it takes writes. */
const ANSWER_TIMEOUT_MS = 3_000;

/**
 * Of several addresses the one that takes writes now. All are asked at once, so that one that does not answer costs no time;
 * a single one is not asked at all.
 *
 * @throws RouseError where none takes writes, with what each said.
 */
export async function primaryOf<Config extends pg.ClientConfig>(addresses: readonly Config[]): Promise<Config> {
  if (addresses.length === 1) return addresses[0]!;
  try {
    return await Promise.any(addresses.map(asked));
  } catch (error) {
    const reasons = (error as AggregateError).errors.map(
      (reason: Error, n) => `${where(addresses[n] as Address)} ${reason.message}`,
    );
    throw new RouseError(`none of ${addresses.length} addresses takes writes: ${reasons.join("; ")}`, { cause: error });
  }
}

type Connected = ((error: Error) => void) | ((error: null, client: pg.Client) => void);

/** A class of clients for a pool, each of which connects to whichever address takes writes then. */
export function primaryClient(addresses: readonly Address[]): typeof pg.Client {
  return class PrimaryClient extends pg.Client {
    override connect(): Promise<pg.Client>;
    override connect(callback: Connected): void;
    override connect(callback?: Connected): Promise<pg.Client> | undefined {
      const connected = this.#connect();
      if (callback === undefined) return connected;
      connected.then(() => callback(null as never, this), callback as (error: Error) => void);
      return undefined;
    }

    async #connect(): Promise<pg.Client> {
      const { host, port } = await primaryOf(addresses);
      Object.assign(this, { host, port });
      return await super.connect();
    }
  };
}

async function asked<Config extends pg.ClientConfig>(address: Config): Promise<Config> {
  const client = new pg.Client({
    ...address,
    application_name: "rouse",
    connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query("select pg_catalog.pg_is_in_recovery() as standby");
    if (rows[0].standby) throw new Error("is a standby");
    return address;
  } finally {
    client.end().catch(() => {});
  }
}
