import pg from "pg";
import { ConfigError } from "../errors.ts";

/** Where a server is reached, and as what. */
export interface Address extends pg.ClientConfig {
  readonly connectionString: string;
  readonly host: string;
  readonly port: number;
}

/** `postgres://user:password@`, the hosts, and the rest. */
const SEVERAL_HOSTS = /^([a-z]+:\/\/(?:[^/?#]*@)?)([^/?#@]*,[^/?#@]*)((?:[/?#].*)?)$/i;

/**
 * The addresses that a connection string names, of a primary and its standbys: several with commas between the hosts
 * (`postgres://me@one:5432,two:5432/app`), as libpq reads them, or as a list.
 *
 * @throws ConfigError where they differ in more than host and port.
 */
export function addressesOf(connectionString: string | readonly string[], option: string): Address[] {
  const texts = typeof connectionString === "string" ? [connectionString] : connectionString;
  if (texts.length === 0) throw new ConfigError(`${option} is an empty list: give at least one address`);
  const addresses = texts.flatMap(hostsApart).map((text) => addressOf(text, option));
  const [first, ...others] = addresses as [Address, ...Address[]];
  const other = others.find((address) => what(address) !== what(first));
  if (other !== undefined) {
    throw new ConfigError(
      `${option} names servers that are not one primary and its standbys: ${where(first)} and ${where(other)} differ in more than host and port`,
    );
  }
  return addresses;
}

/** Host and port, for messages. */
export function where({ host, port }: Pick<Address, "host" | "port">): string {
  return `${host}:${port}`;
}

/** One connection string for each host of one that names several. */
export function hostsApart(text: string): string[] {
  const [, start, hosts, rest] = SEVERAL_HOSTS.exec(text) ?? [];
  if (hosts === undefined) return [text];
  return hosts.split(",").map((host) => `${start}${host}${rest}`);
}

function addressOf(connectionString: string, option: string): Address {
  try {
    // Not connected: this is how pg itself reads the text, with the PG* variables for what it leaves out.
    const { host, port } = new pg.Client({ connectionString });
    return { connectionString, host, port };
  } catch (error) {
    // The text may hold a password.
    throw new ConfigError(
      `${option} is no address such as postgres://user:password@host:5432/database: ${(error as Error).message}`,
    );
  }
}

function what({ connectionString }: Address): string {
  const { user, database, password } = new pg.Client({ connectionString });
  return JSON.stringify([user, database, password]);
}
