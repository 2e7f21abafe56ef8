/** The tasks of the process `rouse worker` that `memory` weighs: as memory-worker.mjs, but that the command starts the worker. */
import { z } from "zod";
import { defineTask } from "../../dist/index.js";
import { weigh } from "./weigh.mjs";

export const noop = defineTask("noop", { payload: z.object({ n: z.number() }), run: weigh(process.env.JOBS) });
