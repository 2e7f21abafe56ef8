import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { Account } from "./account.ts";

/**
 * Runs the server and waits for the end of its own standard input, a pipe that only our process holds open: it ends
 * when we close it and when we die, `kill -9` included. Then the server is stopped fast (INT), after 10 s at once.
 * The waiting is done by a process of its own, so that killing the supervisor stops the server as well.
 *
 * A shell, not Node: it needs no file that would have to be found in the sources and in the build, takes 1 MB instead
 * of 40, and outlives a `killall -9 node`. INT is repeated because a shell without job control starts its children
 * with INT ignored, which a server changes only some milliseconds after its start.
 *
 * Arguments: the folder to remove after being told to stop, or nothing; the server's command. Standard output gets the
 * server's process id.
 */
const script = `
remove=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- >&2 &
server=$!
echo $server
exec >&2
trap 'kill -INT $server' HUP INT TERM
trap 'told=1' USR1
(
  read -r line <&3
  kill -USR1 $$
  for signal in INT INT INT INT INT INT INT INT INT INT QUIT QUIT KILL; do
    kill -$signal $server || exit
    sleep 1
  done
) 2>/dev/null &
watcher=$!
while kill -0 $server 2>/dev/null; do wait $server; done
kill $watcher 2>/dev/null
if [ "$told" ] && [ "$remove" ]; then rm -rf "$remove" 2>/dev/null; fi
exit 0
`;

export type Supervised = {
  /** The server's process id. */
  pid: number;
  /** False once the server ended, for whatever reason. */
  running(): boolean;
  /** Stops the server and resolves when it is gone. */
  stop(): Promise<void>;
};

export type Command = {
  file: string;
  args: string[];
  account: Account | undefined;
  /** Open file descriptor for what the server writes. A file, since a pipe that we are slow to read would block it. */
  logFile: number;
  /** Folder to remove once the server was stopped; not where it failed by itself. */
  remove: string | undefined;
};

export async function supervise({ file, args, account, logFile, remove }: Command): Promise<Supervised> {
  const child = spawn("/bin/sh", ["-c", script, "rouse-embedded", remove ?? "", file, ...args], {
    // A session of its own: Ctrl-C in the terminal must not stop the server under a worker that is still draining.
    detached: true,
    stdio: ["pipe", "pipe", logFile],
    cwd: "/",
    env: serverEnvironment(),
    ...identity(account),
  });
  const ended = once(child, "exit");
  const { stdin, stdout } = child as ChildProcessByStdio<Socket, Socket, null>;
  const pid = await Promise.race([firstLine(stdout), ended.then(() => undefined)]);
  // Nothing of this keeps our process alive: where it ends without stop(), the pipe ends too.
  child.unref();
  stdout.destroy();
  stdin.unref();
  stdin.on("error", () => {});
  if (!pid) throw new Error(`The supervisor of ${file} ended at once.`);
  return {
    pid: Number(pid),
    running: () => child.exitCode === null && child.signalCode === null,
    async stop() {
      child.ref();
      stdin.end();
      if (child.exitCode === null && child.signalCode === null) await ended;
    },
  };
}

/** As which user to spawn; empty for the current one. */
export function identity(account: Account | undefined): { uid?: number; gid?: number } {
  return account ? { uid: account.uid, gid: account.gid } : {};
}

/** Nothing of PG* reaches the server, and its messages are English, since we read them. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const { PATH = "/usr/local/bin:/usr/bin:/bin", TZ } = process.env;
  return TZ ? { PATH, TZ, LC_ALL: "C" } : { PATH, LC_ALL: "C" };
}

async function firstLine(output: Readable): Promise<string> {
  let text = "";
  for await (const chunk of output) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  return text.trim();
}
