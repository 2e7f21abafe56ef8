/**
 * The shop: what Rouse does, shown on real jobs.
 *
 *     npm start              tells its story; on a terminal it then stays up until Ctrl-C
 *     npm start -- --exit    ends after the story on a terminal too
 *
 * Exit codes: 0 all of it was seen to happen; 11 to 15 the first of the steps 1 to 5 that was not; 1 the shop could not
 * be started; 130 or 143 stopped by a signal before the story was over.
 */
import { once } from "node:events";
import { Cleanups } from "./cleanups.ts";
import { openShop, type Shop } from "./shop.ts";
import { stayUp } from "./stay-up.ts";
import { byTheClock } from "./steps/by-the-clock.ts";
import { fromSql } from "./steps/from-sql.ts";
import { importFile } from "./steps/import-file.ts";
import { order } from "./steps/order.ts";
import { signUp } from "./steps/sign-up.ts";
import { failed, ms, tell, title, within } from "./story.ts";

const STEPS: [name: string, step: (shop: Shop) => Promise<void>][] = [
  ["A job from plain SQL", fromSql],
  ["A new row sends a mail", signUp],
  ["An order, and the job that takes its payment, in one transaction", order],
  ["A file of sales, in chunks", importFile],
  ["By the clock", byTheClock],
];

/** Each step takes a second or two; the rest is for a slow machine. */
const LONGEST_STEP_MS = 10_000;

async function main(args: string[], interrupt: AbortSignal): Promise<number> {
  const unknown = args.find((argument) => argument !== "--exit");
  if (unknown !== undefined) throw new Error(`unknown argument "${unknown}": the only one is --exit`);
  const stays = process.stdout.isTTY && !args.includes("--exit");
  const interrupted = once(interrupt, "abort");
  const cleanups = new Cleanups();
  try {
    // Not broken off: what is half started could not be cleaned up.
    const shop = await openShop(cleanups);
    if (interrupt.aborted) return interrupt.reason;
    const code = await Promise.race([tellStory(shop, interrupt), interrupted.then(() => interrupt.reason)]);
    if (code === 0 && stays) await stayUp(shop, interrupted);
    return code;
  } finally {
    await cleanups.run();
  }
}

async function tellStory(shop: Shop, interrupt: AbortSignal): Promise<number> {
  const since = performance.now();
  for (const [index, [name, step]] of STEPS.entries()) {
    title(`${index + 1}. ${name}`);
    try {
      await within(LONGEST_STEP_MS, step(shop));
    } catch (error) {
      // The shop was closed under the step.
      if (interrupt.aborted) return interrupt.reason;
      failed(messageOf(error));
      console.error(`\nStep ${index + 1}, "${name}", was not seen to happen.`);
      return 11 + index;
    }
  }
  tell(`\nAll ${STEPS.length} steps were seen to happen, in ${ms(performance.now() - since)}.`);
  return 0;
}

/**
 * Aborts at the first signal, with the exit code as its reason; another one ends the process at once. npm passes a
 * Ctrl-C on that the terminal has sent to us already: what follows within a second is the same one.
 */
function onSignals(): AbortSignal {
  const controller = new AbortController();
  let first: number | undefined;
  const stop = (code: number) => () => {
    first ??= performance.now();
    if (performance.now() - first > 1_000) process.exit(code);
    controller.abort(code);
  };
  process.on("SIGINT", stop(130));
  process.on("SIGTERM", stop(143));
  return controller.signal;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const interrupt = onSignals();
const code = await main(process.argv.slice(2), interrupt).catch((error) => {
  // A Ctrl-C also reaches what was just being run, such as initdb.
  if (interrupt.aborted) return interrupt.reason;
  console.error(messageOf(error));
  return 1;
});
// What an interrupt left under way must not keep the process.
process.exit(code);
