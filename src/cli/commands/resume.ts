import { queueCommand } from "../queue-control.ts";

export default queueCommand("resume", "end the pause of a queue, a task or a key", "open");
