// What is wrong with a file: where it stands, and what was expected there.

export const MOST_FAULTS = 100; // of a file; beyond it the rest is only counted
const MOST_SHOWN = 40; // characters of a cell

/** A file that cannot be read any further; `faults` are those found until then. */
export class BadFile extends Error {
  constructor(message, faults = []) {
    super(message);
    this.faults = faults;
  }
}

/** A cell as a message shows it: short, in quotes, without characters that cannot be seen. */
export function quoted(cell) {
  const text = String(cell);
  const short = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
  return `'${short.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\u00b7")}'`;
}

/** `row 20, column cpu_system: expected a number, came 'abc'`. */
export const cellFault = (row, column, expected, cell) =>
  `row ${row}, column ${column}: expected ${expected}, came ${cell === "" ? "an empty cell" : quoted(cell)}`;

/** `a, b, c and 5 more`. */
export function some(names, most = 5) {
  const shown = names.slice(0, most).map((name) => quoted(name).slice(1, -1));
  return names.length > most ? `${shown.join(", ")} and ${names.length - most} more` : shown.join(", ");
}
