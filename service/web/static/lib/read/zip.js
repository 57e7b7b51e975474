// What lies in a zip file: its entries, stored or deflated, read one by one from where they lie.

import { BadFile, quoted } from "./faults.js";

const END = 0x06054b50,
  ENTRY = 0x02014b50,
  LOCAL = 0x04034b50; // signatures
const END_BYTES = 22,
  ENTRY_BYTES = 46,
  LOCAL_BYTES = 30,
  MOST_COMMENT = 0xffff;
const MOST_BYTES = 2 ** 31; // of one entry
const MOST_ENTRIES = 1000;

/** name -> entry. Throws BadFile. */
export async function entriesOf(file) {
  const tail = await bytesOf(file, Math.max(0, file.size - END_BYTES - MOST_COMMENT), file.size);
  let at = tail.byteLength - END_BYTES;
  while (at >= 0 && tail.getUint32(at, true) !== END) at--;
  if (at < 0) throw new BadFile("expected a zip archive, came a file without its table of contents");
  const count = tail.getUint16(at + 10, true),
    size = tail.getUint32(at + 12, true),
    start = tail.getUint32(at + 16, true);
  if (count > MOST_ENTRIES || start + size > file.size)
    throw new BadFile("expected a zip archive, came one whose table of contents is damaged");
  const table = await bytesOf(file, start, start + size),
    entries = new Map();
  for (let place = 0; place + ENTRY_BYTES <= table.byteLength;) {
    if (table.getUint32(place, true) !== ENTRY) break;
    const nameLength = table.getUint16(place + 28, true),
      extra = table.getUint16(place + 30, true),
      comment = table.getUint16(place + 32, true);
    const name = textOf(table, place + ENTRY_BYTES, nameLength);
    entries.set(name, {
      name,
      method: table.getUint16(place + 10, true),
      packed: table.getUint32(place + 20, true),
      size: table.getUint32(place + 24, true),
      start: table.getUint32(place + 42, true),
    });
    place += ENTRY_BYTES + nameLength + extra + comment;
  }
  if (entries.size !== count) throw new BadFile("expected a zip archive, came one whose table of contents is damaged");
  return entries;
}

async function bytesOf(file, from, to) {
  return new DataView(await file.slice(from, to).arrayBuffer());
}

/** Bytes as text, one character each. */
export const textOf = (view, at, length) =>
  String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length));

/** The content of an entry as a stream. */
async function streamOf(file, entry) {
  if (entry.size > MOST_BYTES || entry.packed > MOST_BYTES)
    throw new BadFile(`${quoted(entry.name)}: expected at most 2 GiB`);
  const local = await bytesOf(file, entry.start, entry.start + LOCAL_BYTES);
  if (local.byteLength < LOCAL_BYTES || local.getUint32(0, true) !== LOCAL)
    throw new BadFile(`${quoted(entry.name)}: its place in the archive is damaged`);
  const start = entry.start + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true);
  const content = file.slice(start, start + entry.packed);
  if (entry.method === 0) return content.stream();
  if (entry.method === 8) return content.stream().pipeThrough(new DecompressionStream("deflate-raw"));
  throw new BadFile(`${quoted(entry.name)}: expected an entry that is stored or deflated`);
}

/** At most `most` bytes of an entry; fewer only if it is shorter. Throws BadFile. */
export async function content(file, entry, most, onProgress) {
  const reader = (await streamOf(file, entry)).getReader();
  const whole = new Uint8Array(most);
  let length = 0;
  try {
    while (length < most) {
      const { done, value } = await reader.read();
      if (done) break;
      const part = value.subarray(0, most - length);
      whole.set(part, length);
      length += part.length;
      onProgress?.((length / most) * file.size);
    }
    reader.cancel().catch(() => {});
  } catch {
    throw new BadFile(`${quoted(entry.name)}: it cannot be unpacked, the file is damaged`);
  }
  return whole.subarray(0, length);
}
