import { queueCommand } from "../queue-control.ts";

export default queueCommand(
  "pause",
  "let no worker take jobs of a queue, a task or a key; those that run go on",
  "paused",
);
