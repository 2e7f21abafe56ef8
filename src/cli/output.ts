/** A line of what was asked for. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line about it, beside what was asked for. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * A reader may go away (`rouse jobs | head`, a log collector that restarts). That is no error, and nothing that a worker
 * should end for.
 */
export function surviveBrokenPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    });
  }
}

/** Resolves when all that was written has left. */
export async function flushed(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => {
      if (stream.writable) stream.write("", () => resolve());
      else resolve();
    });
  }
}
