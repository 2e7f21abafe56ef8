/** What of the load is limited, and how. */

/** Of the jobs with each of these keys one runs at a time. */
export const KEYS = 20;
/** Of the jobs with this key some more. */
export const WIDE = { key: "wide", concurrency: 3 };
/** How many jobs of the task `rated` start: each second, and at once after a pause. */
export const RATE = { rate: 15, burst: 3 };
/** The workers of one post have slots of their own for a queue. */
export const SLOTS = { post: "b", queue: "queue 0", slots: 3, others: 17 };
