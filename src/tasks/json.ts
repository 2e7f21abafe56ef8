/** What JSON.stringify writes for characters that jsonb cannot hold: NUL, and half of a surrogate pair. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/** A value as JSON that PostgreSQL's jsonb takes; or why there is none. */
export type Json =
  | { readonly text: string; readonly why?: undefined }
  | { readonly text?: undefined; readonly why: string };

export function toJson(value: unknown): Json {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    return { why: (error as Error).message };
  }
  if (text === undefined)
    return { why: `it is ${typeof value === "object" ? "an object" : `a ${typeof value}`} that has no JSON` };
  if (UNSTORABLE.test(text)) {
    return {
      why: "it has text with the character NUL or half of a surrogate pair, which PostgreSQL cannot store: remove it, or encode the text (base64)",
    };
  }
  return { text };
}

/** Text that jsonb takes, with signs in the place of what it does not. */
export function storableText(text: string): string {
  return text
    .replaceAll("\0", "\\0")
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
