/** Who declares schedules and watches: the code of an application. */
export function sourceOf(app: string | undefined): string {
  return `code:${app ?? "default"}`;
}
