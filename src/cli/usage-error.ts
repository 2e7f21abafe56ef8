import { RouseError } from "../errors.ts";

/** The command line itself is wrong: exit code 2. */
export class UsageError extends RouseError {
  override name = "UsageError";
}

/** A whole number given as text. @throws UsageError naming what it is and what is allowed. */
export function wholeNumber(text: string, what: string, least: number, most: number): number {
  const number = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= least && number <= most)) {
    throw new UsageError(`${what} is ${JSON.stringify(text)}, not a whole number from ${least} to ${most}`);
  }
  return number;
}

/** Ids of jobs given as text. */
export function jobIds(texts: readonly string[]): number[] {
  return texts.map((text) => wholeNumber(text, "the id of a job", 1, Number.MAX_SAFE_INTEGER));
}
