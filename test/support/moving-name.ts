/**
 * A host name that a test lets lead elsewhere, for this process and the threads it starts after that. Imported by a thread
 * it does the same there.
 */
import dns from "node:dns";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import threads, { isMainThread, Worker as Thread, type WorkerOptions } from "node:worker_threads";

/** By the rules for such names no name server knows it. */
const NAME = "db.test";
/** Names a file with the address of the name: threads have their environment, and no variables, from here. */
const FILE = "ROUSE_TEST_ADDRESS_OF_DB";

const { lookup } = dns;

if (!isMainThread) answer();

/** Lets the name lead to an address, for the time of `use`. */
export async function withMovingName(
  address: string,
  use: (name: string, moveTo: (address: string) => void) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "rouse-name-"));
  const file = join(folder, "address");
  const moveTo = (to: string) => writeFileSync(file, to);
  moveTo(address);
  process.env[FILE] = file;
  answer();
  threads.Worker = ThreadThatKnows;
  syncBuiltinESMExports();
  try {
    await use(NAME, moveTo);
  } finally {
    dns.lookup = lookup;
    threads.Worker = Thread;
    syncBuiltinESMExports();
    await rm(folder, { recursive: true });
  }
}

/** Answers for the name, as a name server would. */
function answer(): void {
  const answered = (name: string, ...rest: unknown[]) =>
    (lookup as (...args: unknown[]) => void)(name === NAME ? readFileSync(process.env[FILE]!, "utf8") : name, ...rest);
  dns.lookup = Object.assign(answered, lookup) as typeof lookup;
}

class ThreadThatKnows extends Thread {
  constructor(file: string | URL, options?: WorkerOptions) {
    super(file, { ...options, execArgv: ["--import", import.meta.url] });
  }
}
