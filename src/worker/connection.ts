import type pg from "pg";

/** Settings of a connection. */
const SETTINGS = [
  "connectionString",
  "host",
  "port",
  "user",
  "database",
  "password",
  "ssl",
  "sslnegotiation",
  "enableChannelBinding",
  "options",
  "client_encoding",
] as const;

/** How to open a connection like those of the pool, beside it. */
export function connectionLike(pool: pg.Pool): pg.ClientConfig {
  const config: Record<string, unknown> = {};
  for (const setting of SETTINGS) {
    const value = (pool.options as unknown as Record<string, unknown>)[setting];
    if (value !== undefined) config[setting] = value;
  }
  return config;
}

/** The same for a thread, which cannot call a password that is a function, as cloud providers' tokens are. */
export async function addressesForThread(addresses: readonly pg.ClientConfig[]): Promise<pg.ClientConfig[]> {
  return await Promise.all(
    addresses.map(async (address) => {
      const { password } = address;
      return typeof password === "function" ? { ...address, password: await password() } : address;
    }),
  );
}
