import type { Rouse, RouseOptions } from "./rouse.ts";
import { RouseClient } from "./rouse-client.ts";

/**
 * A client of one installation of Rouse. Connects when first used.
 *
 * @throws ConfigError for bad options.
 */
export function createRouse(options: RouseOptions = {}): Rouse {
  return new RouseClient(options);
}
