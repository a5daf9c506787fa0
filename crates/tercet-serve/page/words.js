// Sentences that several views say.

import { count } from "./dom.js";

/** A message of the server as a sentence: it begins small and may end without a full stop. */
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

/** A false accept rate such as 0.001 as "1 in 1,000". */
export const falseAccepts = (rate) => `1 in ${count(Math.round(1 / rate))}`;
