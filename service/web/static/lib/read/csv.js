// Series from CSV: a header line, one row a point; read piece by piece, explained by row and column.
//
// Rows are counted as an editor counts lines. A cell that is no number spoils only its column: what
// is wrong with columns that nobody uses is nobody's concern.

import { BadFile, MOST_FAULTS, cellFault, quoted, some } from "./faults.js";
import { GREATEST, firstBack, flagIn, isUnix, momentIn, numeral, unixToMs } from "./cells.js";
import { Columns } from "./matrix.js";

const TIMES = ["timestamp", "timestamp_ms", "time", "date", "datetime", "ts"];
const ASIDE = new Set(["label", "culprits"]);
const MOST_CHARACTERS = 2 ** 20; // of a line
const UNCLOSED = "expected a closing quote, came the end of the file";

/** Read a file; `onProgress(bytes)` hears how far it is. Throws BadFile. */
export async function readCsv(file, onProgress) {
  const rows = new Rows();
  const table = new Table();
  const reader = file.stream().getReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
      rows.take(text, done, (line, cells) => table.take(line, cells));
      if (done) break;
      bytes += value.byteLength;
      onProgress?.(bytes);
    }
  } catch (error) {
    if (error instanceof TypeError) throw new BadFile(`row ${rows.line + 1}: expected text in UTF-8`);
    throw error;
  }
  return table.done();
}

/** Cuts text into rows of cells. */
class Rows {
  line = 0; // that was cut last, as an editor counts
  #rest = "";
  #open = ""; // lines of a cell in quotes that goes on
  #first = 0; // the line at which it began
  #delimiter = null;

  take(text, isLast, onRow) {
    const whole = this.#rest + text;
    let start = 0;
    for (;;) {
      const end = whole.indexOf("\n", start);
      if (end < 0) break;
      this.#cut(whole.slice(start, end), onRow);
      start = end + 1;
    }
    this.#rest = whole.slice(start);
    this.#check(this.#rest, this.line + 1);
    if (!isLast) return;
    if (this.#rest) this.#cut(this.#rest, onRow);
    if (this.#open) throw new BadFile(`row ${this.#first}: ${UNCLOSED}`);
  }

  #check(text, line) {
    if (text.length <= MOST_CHARACTERS) return;
    throw new BadFile(`row ${line}: expected at most ${MOST_CHARACTERS} characters in a row`);
  }

  #cut(text, onRow) {
    this.line += 1;
    this.#delimiter ??= delimiterOf(text);
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    if (!this.#open && !line.includes('"')) {
      if (line !== "") onRow(this.line, line.split(this.#delimiter));
      return;
    }
    if (!this.#open) this.#first = this.line;
    const whole = this.#open ? `${this.#open}\n${line}` : line;
    this.#check(whole, this.#first);
    const cells = unquoted(whole, this.#delimiter, this.#first);
    this.#open = cells ? "" : whole;
    if (cells) onRow(this.line, cells);
  }
}

function delimiterOf(header) {
  const counts = [",", ";", "\t"].map((mark) => [header.split(mark).length, mark]);
  return counts.reduce((most, one) => (one[0] > most[0] ? one : most))[1];
}

/** Cells of a line with quotes; null: the last one goes on in the next line. */
function unquoted(line, delimiter, row) {
  const cells = [];
  let at = 0;
  for (;;) {
    if (line[at] !== '"') {
      const end = line.indexOf(delimiter, at);
      cells.push(line.slice(at, end < 0 ? undefined : end));
      if (end < 0) return cells;
      at = end + 1;
      continue;
    }
    let cell = "",
      from = at + 1;
    for (;;) {
      const end = line.indexOf('"', from);
      if (end < 0) return null;
      cell += line.slice(from, end);
      if (line[end + 1] !== '"') {
        at = end + 1;
        break;
      }
      cell += '"';
      from = end + 2;
    }
    cells.push(cell);
    if (at >= line.length) return cells;
    if (line[at] !== delimiter) {
      throw new BadFile(`row ${row}: expected ${quoted(delimiter)} behind a closing quote, came ${quoted(line[at])}`);
    }
    at += 1;
  }
}

/** Makes numbers of rows of cells. */
class Table {
  #names = null;
  #header = 0; // its row
  #time = -1;
  #label = -1;
  #used = []; // columns of the file that hold numbers
  #matrix = null;
  #lines = null; // the row of the file by point, where they do not just follow each other
  #last = 0;
  #times = new Growing(Float64Array);
  #labels = new Growing(Uint8Array);
  #isMoment = false;
  #faults = [];
  #count = 0;
  #perColumn = new Map(); // column -> faults in it

  take(line, cells) {
    if (!this.#names) return this.#begin(line, cells);
    const expected = this.#names.length;
    if (cells.length !== expected) {
      throw new BadFile(`row ${line}: expected ${expected} cells as in the header, came ${cells.length}`, this.#faults);
    }
    this.#place(line);
    this.#matrix.grow();
    for (let column = 0; column < this.#used.length; column++) {
      const cell = cells[this.#used[column]],
        value = numeral(cell);
      if (value === undefined) this.#fault(line, this.#used[column], "a number", cell);
      else if (value > GREATEST || value < -GREATEST) this.#fault(line, this.#used[column], this.#bound(value), cell);
      this.#matrix.set(column, value ?? NaN);
    }
    if (this.#time >= 0) this.#times.push(this.#stamp(line, cells[this.#time]));
    if (this.#label >= 0) this.#labels.push(this.#flag(line, cells[this.#label]));
  }

  #bound(value) {
    return Number.isFinite(value) ? `a value within ${GREATEST.toExponential().replace("+", "")}` : "a finite number";
  }

  #begin(line, cells) {
    const names = cells.map((cell) => cell.trim()),
      lower = names.map((name) => name.toLowerCase());
    if (!names.some(Boolean)) throw new BadFile(`row ${line}: expected a header line, came an empty one`);
    const twice = names.filter((name, at) => names.indexOf(name) < at);
    if (twice.length) throw new BadFile(`row ${line}: expected different names, came ${some(twice)} more than once`);
    this.#names = names;
    this.#header = this.#last = line;
    this.#time = TIMES.map((name) => lower.indexOf(name)).find((at) => at >= 0) ?? -1;
    this.#label = lower.indexOf("label");
    this.#used = names.map((_, at) => at).filter((at) => at !== this.#time && names[at] && !ASIDE.has(lower[at]));
    if (!this.#used.length) throw new BadFile(`row ${line}: expected named columns of numbers, came ${some(names)}`);
    this.#matrix = new Columns(this.#used.length);
  }

  #place(line) {
    const follows = line === this.#last + 1;
    this.#last = line;
    if (follows && !this.#lines) return;
    if (!this.#lines) {
      this.#lines = new Growing(Uint32Array);
      for (let row = 0; row < this.#matrix.count; row++) this.#lines.push(this.#header + 1 + row);
    }
    this.#lines.push(line);
  }

  #stamp(line, cell) {
    const expected = "a time (ISO 8601, Unix seconds or milliseconds)";
    if (this.#times.length === 0) this.#isMoment = !Number.isFinite(numeral(cell)) && momentIn(cell) !== undefined;
    const found = this.#isMoment ? momentIn(cell) : numeral(cell);
    if (found !== undefined && !Number.isNaN(found) && (this.#isMoment || isUnix(found))) return found;
    throw new BadFile(cellFault(line, this.#names[this.#time], expected, cell), this.#faults);
  }

  #flag(line, cell) {
    const found = flagIn(cell);
    if (found === undefined) throw new BadFile(cellFault(line, this.#names[this.#label], "0 or 1", cell), this.#faults);
    return found;
  }

  #fault(line, at, expected, cell) {
    this.#count += 1;
    const column = this.#names[at];
    this.#perColumn.set(column, (this.#perColumn.get(column) || 0) + 1);
    // of every column at least the first few: a column of text must not hide those of others
    if (this.#faults.length >= MOST_FAULTS && this.#perColumn.get(column) > 3) return;
    if (this.#perColumn.get(column) > MOST_FAULTS / 2) return;
    this.#faults.push({ row: line, column, text: cellFault(line, column, expected, cell) });
  }

  #lineOf(point) {
    return this.#lines ? this.#lines.at(point) : this.#header + 1 + point;
  }

  done() {
    if (!this.#names) throw new BadFile("row 1: expected a header line, came an empty file");
    if (!this.#matrix.count)
      throw new BadFile(
        `row ${this.#header + 1}: expected at least one row below the header, came the end of the file`,
      );
    const times = this.#time < 0 ? null : this.#times.done();
    const timesMs = times && !this.#isMoment ? unixToMs(times) : times;
    const back = timesMs ? firstBack(timesMs) : -1;
    if (back >= 0) {
      const shown = (at) => new Date(timesMs[at]).toISOString();
      throw new BadFile(
        `row ${this.#lineOf(back)}, column ${this.#names[this.#time]}: ` +
          `expected a time after ${shown(back - 1)}, came ${shown(back)}`,
      );
    }
    return {
      kind: "csv",
      names: this.#used.map((at) => this.#names[at]),
      hasNames: true,
      matrix: this.#matrix,
      timesMs,
      timeName: this.#names[this.#time] ?? null,
      label: this.#label < 0 ? null : this.#labels.done(),
      faults: this.#faults,
      faultCount: this.#count,
      faultsPerColumn: Object.fromEntries(this.#perColumn),
      firstRow: this.#header + 1,
    };
  }
}

/** A typed array that grows. */
class Growing {
  constructor(kind) {
    this.length = 0;
    this.numbers = new kind(1 << 12);
  }

  push(value) {
    if (this.length === this.numbers.length) {
      const wider = new this.numbers.constructor(2 * this.length);
      wider.set(this.numbers);
      this.numbers = wider;
    }
    this.numbers[this.length++] = value;
  }

  at(place) {
    return this.numbers[place];
  }

  done() {
    return this.numbers.slice(0, this.length);
  }
}
