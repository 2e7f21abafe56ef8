/** What pg puts on errors: the SQLSTATE where the server sent the error, a name such as ECONNRESET where the system did. */
interface Coded {
  readonly code?: string;
}

/** The server refused the data itself (class 22), a constraint did (23), or a limit (54): the same would be refused again. */
export function isRefusal({ code = "" }: Coded): boolean {
  return /^(22|23|54)...$/.test(code);
}

/**
 * Whether what failed may have been committed all the same: where the error is not the server's, or tells of the end
 * of the session or the server (classes 08, 57P, 58, XX), the answer may have been on its way.
 */
export function mayHaveCommitted({ code = "" }: Coded): boolean {
  return !/^[0-9A-Z]{5}$/.test(code) || /^(08|57P|58|XX)/.test(code);
}
