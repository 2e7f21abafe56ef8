import { queueCommand } from "../queue-control.ts";

export default queueCommand("pause", "let no worker take jobs of a queue; those that run go on", "paused");
