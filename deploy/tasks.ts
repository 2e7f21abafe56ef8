/** What the worker of docker-compose.yml runs, until your own tasks are there. */
import { defineTask } from "rouse";
import { z } from "zod";

export const hello = defineTask("hello", {
  payload: z.object({ name: z.string() }),
  run({ name }, ctx) {
    ctx.log.info(`Hello, ${name}!`);
    return { greeting: `Hello, ${name}!` };
  },
});
