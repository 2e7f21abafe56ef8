import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../errors.ts";

/** What a person needs of an error that importing a file of theirs gave: what is wrong, and on which line of their code. */
export function explainLoadError(path: string, error: unknown): ConfigError {
  const file = relative(process.cwd(), path) || path;
  return new ConfigError(`${file} cannot be loaded: ${describe(error)}`, { cause: error });
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `it threw ${JSON.stringify(error) ?? String(error)}`;
  const syntax = syntaxErrors(error);
  if (syntax.length > 0) return syntax.join("\n  ");
  const text = `${error.name}: ${error.message}`.replace(/^(Error|ConfigError): /, "");
  const places = ownFrames(error.stack ?? "");
  return [text, ...places].join("\n    at ");
}

/** esbuild's, as tsx gives them: a line of text for each, `/path/file.ts:2:17: ERROR: Unexpected "="`. */
function syntaxErrors(error: Error): string[] {
  return [...error.message.matchAll(/^(\/.*:\d+:\d+): ERROR: (.*)$/gm)].map(([, place, what]) => `${what} at ${place}`);
}

/** Frames in the project's own code; where an import cannot be bound, the stack begins with its place instead. */
function ownFrames(stack: string): string[] {
  const places = [...stack.matchAll(/^(?:\s+at (?:.*[ (])?)?((?:file:\/\/)?\/[^()]+(?::\d+){1,2})\)?$/gm)].map(
    ([, place]) => (place!.startsWith("file:") ? fileURLToPath(place!) : place!),
  );
  const own = places.filter((place) => !place.includes("/node_modules/") && !place.startsWith(PACKAGE));
  return [...new Set(own)].slice(0, 3);
}

/** Where the modules of this package are. */
const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
