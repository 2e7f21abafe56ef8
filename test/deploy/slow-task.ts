import { setTimeout as sleep } from "node:timers/promises";
import { defineTask } from "../../src/index.ts";

/** Runs for long enough to be stopped in the middle, and does not mind its signal. */
export const slow = defineTask("slow", { run: () => sleep(1_500) });
