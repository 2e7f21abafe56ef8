/** Starts a server on the folder that is named, prints it as JSON, and holds it without ever stopping it. */
import { startEmbedded } from "../../src/dev/index.ts";

const [dataDir = "", persistent = ""] = process.argv.slice(2);
process.on("SIGINT", () => console.log("SIGINT"));
const server = await startEmbedded({ dataDir, persistent: persistent === "persistent" });
console.log(JSON.stringify(server));
setInterval(() => {}, 60_000);
