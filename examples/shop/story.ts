import { setTimeout as sleep } from "node:timers/promises";
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

const coloured = process.stdout.isTTY && !process.env.NO_COLOR;

/** One line of what the example tells. */
export function tell(line = ""): void {
  console.log(line);
}

export function title(line: string): void {
  tell(`\n${styled("bold", line)}`);
}

/** What is done: SQL or TypeScript, as the reader would type it. */
export function code(text: string): void {
  for (const line of text.split("\n")) tell(`   ${styled("cyan", line)}`);
}

/** What was seen to happen. */
export function seen(line: string): void {
  tell(`   ${styled("green", "✓")} ${line}`);
}

/** What went wrong on the way, as it was meant to. */
export function mishap(line: string): void {
  tell(`   ${styled("yellow", "!")} ${line}`);
}

/** What was to happen and did not. */
export function failed(line: string): void {
  tell(`   ${styled("red", "✗")} ${line}`);
}

function styled(style: Style, text: string): string {
  return coloured ? styleText(style, text) : text;
}

/** A measured time, with as many digits as mean something. */
export function ms(milliseconds: number): string {
  if (milliseconds >= 1_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

export function count(n: number): string {
  return n.toLocaleString("en");
}

/** Something that was to happen and did not. */
export class NotSeen extends Error {}

/** The facts of a step are checked before they are told. */
export function expect(condition: unknown, what: string): asserts condition {
  if (!condition) throw new NotSeen(what);
}

/** Looks until there is something to see. */
export async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(20);
  }
}

/** Time in which a promise must come true. */
export async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  const abort = new AbortController();
  const tooLate = sleep(milliseconds, undefined, { signal: abort.signal }).then(() => {
    throw new NotSeen(`nothing was seen of it within ${ms(milliseconds)}`);
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    abort.abort();
    tooLate.catch(() => {});
  }
}
