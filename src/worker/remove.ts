/**
 * Takes an item out of a list whose order does not matter.
 *
 * For what comes and goes by the thousand, instead of a Set: that makes itself a new table every few items, to which the
 * one before refers. Once V8 has moved one of them to the old generation all later ones survive with it, and so does
 * what they held, until the old generation is collected.
 */
export function remove<T>(list: T[], item: T): boolean {
  const at = list.indexOf(item);
  if (at < 0) return false;
  const last = list.pop()!;
  if (at < list.length) list[at] = last;
  return true;
}
