import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/** A port nobody listens on now; another process may still take it before the server does. */
export async function freePort(): Promise<number> {
  return (await tryPort(0)) ?? (await freePort());
}

/** The first port from `from` on that nobody listens on. */
export async function nextFreePort(from: number): Promise<number> {
  for (let port = from; port <= 65_535; port++) {
    if (await tryPort(port)) return port;
  }
  throw new Error(`No free port from ${from} to 65535.`);
}

async function tryPort(port: number): Promise<number | undefined> {
  const probe = createServer();
  try {
    probe.listen(port, "127.0.0.1");
    await once(probe, "listening");
    const bound = (probe.address() as AddressInfo).port;
    probe.close();
    await once(probe, "close");
    return bound;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE" || code === "EACCES") return undefined;
    throw error;
  }
}
