// Series from NPZ: a zip of arrays as NumPy writes them. Nothing in it is ever run.

import { BadFile, quoted, some } from "./faults.js";
import { GREATEST, firstBack, isUnix, unixToMs } from "./cells.js";
import { Strided } from "./matrix.js";
import { content, entriesOf, textOf } from "./zip.js";

const KINDS = {
  "<f8": Float64Array,
  "<f4": Float32Array,
  "|b1": Uint8Array,
  "|u1": Uint8Array,
  "|i1": Int8Array,
  "<u2": Uint16Array,
  "<i2": Int16Array,
  "<u4": Uint32Array,
  "<i4": Int32Array,
  "<u8": BigUint64Array,
  "<i8": BigInt64Array,
};
const PREFERRED = ["test", "values", "data"];

/** The arrays of a file that may hold a series: [{ name, count, width }]. Throws BadFile. */
export async function listNpz(file) {
  const entries = await arraysOf(file);
  const found = [];
  for (const entry of entries.values()) {
    const head = await headOf(file, entry).catch(() => null);
    if (!head || !KINDS[head.kind] || ["label", "timestamps", "idx_split"].includes(entry.name)) continue;
    if (head.shape.length < 1 || head.shape.length > 2 || head.shape.includes(0)) continue;
    found.push({ name: entry.name, count: head.shape[0], width: head.shape[1] ?? 1 });
  }
  if (!found.length) {
    throw new BadFile(
      "expected an array of numbers (time, dimension) named test, values or data, " +
        `came ${some([...entries.keys()]) || "no array"}`,
    );
  }
  const rank = ({ name }) => (PREFERRED.includes(name) ? PREFERRED.indexOf(name) : PREFERRED.length);
  return found.sort((one, other) => rank(one) - rank(other));
}

/** Read one array of a file, with the label, times and names that belong to it. Throws BadFile. */
export async function readNpz(file, onProgress, part = null) {
  const arrays = await listNpz(file),
    entries = await arraysOf(file);
  const chosen = arrays.find((one) => one.name === part) ?? arrays[0];
  const { numbers, head } = await arrayOf(file, entries.get(chosen.name), onProgress);
  const { count, width } = chosen;
  const matrix = new Strided(numbers, count, width, { isFortran: head.isFortran });
  const names = await namesOf(file, entries, width);
  const own = names ?? Array.from({ length: width }, (_, at) => `d${String(at).padStart(2, "0")}`);
  const faults = faultsOf(matrix, chosen.name, own);
  return {
    kind: "npz",
    names: own,
    hasNames: names !== null,
    matrix,
    timesMs: await timesOf(file, entries, {
      ...chosen,
      train: lengthOf(arrays, "train"),
      test: lengthOf(arrays, "test"),
    }),
    timeName: entries.has("timestamps") ? "timestamps" : null,
    label: chosen.name === "train" ? null : await labelOf(file, entries, count),
    faults: faults.slice(0, 20),
    faultCount: faults.length,
    faultsPerColumn: Object.fromEntries(faults.map((fault) => [fault.column, 1])),
    arrays,
    part: chosen.name,
    firstRow: 0,
  };
}

const lengthOf = (arrays, name) => arrays.find((one) => one.name === name)?.count ?? 0;

/** Arrays by their names, without `.npy`. */
async function arraysOf(file) {
  const entries = await entriesOf(file);
  return new Map(
    [...entries].map(([name, entry]) => {
      const own = name.replace(/\.npy$/, "");
      return [own, { ...entry, name: own }];
    }),
  );
}

/** What an array says of itself: kind, shape, where its numbers begin. */
async function headOf(file, entry) {
  const bytes = await content(file, entry, Math.min(entry.size, 1 << 16));
  const view = new DataView(bytes.buffer, 0, bytes.length);
  if (bytes.length < 12 || textOf(view, 0, 6) !== "\x93NUMPY")
    throw new BadFile(`array ${quoted(entry.name)}: expected an array as NumPy writes it`);
  const isFirst = view.getUint8(6) === 1,
    length = isFirst ? view.getUint16(8, true) : view.getUint32(8, true);
  const begin = (isFirst ? 10 : 12) + length;
  if (begin > bytes.length) throw new BadFile(`array ${quoted(entry.name)}: its head is damaged`);
  const text = textOf(view, isFirst ? 10 : 12, length);
  const kind = /'descr':\s*'([^']*)'/.exec(text)?.[1] ?? "";
  const shape =
    /'shape':\s*\(([^)]*)\)/
      .exec(text)?.[1]
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean)
      .map(Number) ?? [];
  return { kind, shape, begin, isFortran: /'fortran_order':\s*True/.test(text) };
}

async function arrayOf(file, entry, onProgress) {
  const head = await headOf(file, entry),
    Kind = KINDS[head.kind];
  if (!Kind)
    throw new BadFile(
      `array ${quoted(entry.name)}: expected numbers (float32, float64, integers or bool), ` +
        `came ${quoted(head.kind || "something else")}`,
    );
  const bytes = await content(file, entry, entry.size, onProgress);
  const count = head.shape.reduce((all, one) => all * one, 1),
    length = count * Kind.BYTES_PER_ELEMENT;
  if (bytes.length - head.begin !== length) {
    throw new BadFile(
      `array ${quoted(entry.name)}: expected ${length} bytes for ${head.shape.join(" x ")} numbers, ` +
        `came ${bytes.length - head.begin}`,
    );
  }
  const isAligned = head.begin % Kind.BYTES_PER_ELEMENT === 0; // NumPy sees to it
  const numbers = isAligned ? new Kind(bytes.buffer, head.begin, count) : new Kind(bytes.slice(head.begin).buffer);
  return { numbers, head };
}

async function namesOf(file, entries, width) {
  if (!entries.has("dimensions")) return null;
  const entry = entries.get("dimensions"),
    head = await headOf(file, entry);
  const characters = Number(/^<U(\d+)$/.exec(head.kind)?.[1] ?? 0),
    count = head.shape.reduce((all, one) => all * one, 1);
  const bytes = await content(file, entry, Math.min(entry.size, 1 << 24));
  const view = new DataView(bytes.buffer, head.begin, bytes.length - head.begin);
  if (!characters || view.byteLength !== 4 * characters * count)
    throw new BadFile("array 'dimensions': expected names as text");
  const names = Array.from({ length: count }, (_, at) => {
    let name = "";
    for (let i = 0; i < characters; i++) {
      const point = view.getUint32(4 * (at * characters + i), true);
      if (point && point <= 0x10ffff) name += String.fromCodePoint(point);
    }
    return name;
  });
  if (count !== width || new Set(names).size !== width)
    throw new BadFile(`array 'dimensions': expected ${width} different names, came ${some(names)}`);
  return names;
}

async function labelOf(file, entries, count) {
  if (!entries.has("label")) return null;
  const { numbers } = await arrayOf(file, entries.get("label"));
  if (numbers.length !== count)
    throw new BadFile(`array 'label': expected ${count} values, one for each row, came ${numbers.length}`);
  return Uint8Array.from(numbers, (value) => (Number(value) !== 0 ? 1 : 0));
}

async function timesOf(file, entries, { name, count, train, test }) {
  if (!entries.has("timestamps")) return null;
  const { numbers } = await arrayOf(file, entries.get("timestamps"));
  const all = Float64Array.from(numbers, Number);
  const isBoth = all.length === train + test && train > 0 && test > 0;
  if (all.length !== count && !isBoth) {
    if (name === "train" && all.length === test) return null; // they are those of test
    throw new BadFile(`array 'timestamps': expected ${count} of them, one for each row, came ${all.length}`);
  }
  const own = !isBoth ? all : name === "train" ? all.slice(0, train) : all.slice(train);
  const strange = own.findIndex((stamp) => !isUnix(stamp));
  if (strange >= 0)
    throw new BadFile(
      `array 'timestamps', row ${strange} (from 0): expected Unix seconds or milliseconds, ` +
        `came ${quoted(own[strange])}`,
    );
  const timesMs = unixToMs(own),
    back = firstBack(timesMs);
  if (back >= 0)
    throw new BadFile(`array 'timestamps', row ${back} (from 0): expected a time after that of the row before`);
  return timesMs;
}

/** The first value of every column that is too great. */
function faultsOf(matrix, array, names) {
  const faults = [];
  if (matrix.numbers instanceof Float32Array || matrix.numbers instanceof Float64Array) {
    for (let column = 0; column < matrix.width; column++) {
      for (let row = 0; row < matrix.count; row++) {
        const value = matrix.at(row, column);
        if (!(value > GREATEST || value < -GREATEST)) continue;
        const expected = Number.isFinite(value) ? "a value within 1e30" : "a finite number";
        faults.push({
          row,
          column: names[column],
          text: `array ${array}, row ${row} (from 0), column ${names[column]}: expected ${expected}, came ${value}`,
        });
        break;
      }
    }
  }
  return faults;
}
