import { ConfigError } from "../errors.ts";

/** Refuses options that nobody reads: in JavaScript a misspelt one would be left out in silence. */
export function checkOptions(what: string, options: object, known: readonly string[]): void {
  for (const option of Object.keys(options)) {
    if (!known.includes(option)) {
      throw new ConfigError(`unknown option "${option}" for ${what}: options are ${known.join(", ")}`);
    }
  }
}
