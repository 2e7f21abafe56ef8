/** Whether a path that does not exist under that name is meant as a glob. */
export function isGlob(text: string): boolean {
  return /[*?{[]/.test(text);
}

/** The folder of an absolute glob below which all that it matches lies. */
export function globBase(glob: string): string {
  const parts = glob.split("/");
  const first = parts.findIndex(isGlob);
  return parts.slice(0, first).join("/") || "/";
}

/** An absolute glob as a regular expression: `*` and `?` within a name, `**` across folders, `{a,b}` and `[abc]`. */
export function globToRegExp(glob: string): RegExp {
  let braces = 0;
  const source = glob.replace(/\*\*\/|\*\*|\[!?[^\]/]+\]|[*?{},\\^$.|+()[\]]/g, (token) => {
    switch (token) {
      case "**/":
        return "(?:[^/]+/)*";
      case "**":
        return ".*";
      case "*":
        return "[^/]*";
      case "?":
        return "[^/]";
      case "{":
        braces += 1;
        return "(?:";
      case "}":
        braces -= 1;
        return ")";
      case ",":
        return braces > 0 ? "|" : ",";
      default:
        return token.length > 1 ? token.replace(/^\[!/, "[^") : `\\${token}`;
    }
  });
  return new RegExp(`^${source}$`);
}
