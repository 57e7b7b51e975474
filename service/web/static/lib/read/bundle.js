// A bundle that a person brings: the zip of a version's folder, of which only what scores is taken.

import { BadFile, quoted } from "./faults.js";
import { content, entriesOf } from "./zip.js";

const MANIFEST = "bundle.json";
const MOST_BYTES = 64 * 2 ** 20; // of all that is taken

/** `{ model, files }`: the bundle as `GET /v1/models` tells of one, and its files by name. Throws BadFile. */
export async function readBundle(zip) {
  const entries = await entriesOf(zip);
  const homes = [...entries.keys()].filter((name) => name === MANIFEST || name.endsWith(`/${MANIFEST}`));
  if (homes.length !== 1)
    throw new BadFile(`expected the zip of a bundle's version, with one ${MANIFEST}, came ${homes.length}`);
  const home = homes[0].slice(0, -MANIFEST.length),
    files = {};
  let left = MOST_BYTES;
  const take = async (name) => {
    const entry = entries.get(home + name);
    if (!entry) throw new BadFile(`expected the files that ${MANIFEST} names; ${quoted(name)} is not in the zip`);
    left -= entry.size;
    if (left < 0) throw new BadFile("expected a bundle of at most 64 MiB");
    files[name] = await content(zip, entry, entry.size);
  };
  await take(MANIFEST);
  const manifest = manifestOf(files[MANIFEST]);
  for (const part of ["step", "window", "calibration"]) {
    if (typeof manifest[part]?.file === "string" && !files[manifest[part].file]) await take(manifest[part].file);
  }
  return { model: { ...manifest, is_default: false }, files };
}

function manifestOf(bytes) {
  let manifest = null;
  try {
    manifest = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new BadFile(`expected JSON as ${MANIFEST}`);
  }
  const { name, version, dimensions, period_seconds: period } = manifest ?? {};
  const isWhole = typeof name === "string" && typeof version === "string" && period > 0;
  if (!isWhole || !Array.isArray(dimensions) || !dimensions.every((one) => typeof one === "string")) {
    throw new BadFile(`expected a name, a version, dimensions and a period in ${MANIFEST}`);
  }
  return manifest;
}
