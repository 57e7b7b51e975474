// MessagePack, as much of it as the service is sent: numbers go as blocks of bytes.

/** Bytes of null, booleans, numbers, text, arrays, typed arrays (as blocks) and plain objects. */
export function packed(value) {
  const parts = [];
  put(value, parts);
  return new Blob(parts);
}

const text = new TextEncoder();

function put(value, parts) {
  if (value === null) parts.push(bytes(0xc0));
  else if (typeof value === "boolean") parts.push(bytes(value ? 0xc3 : 0xc2));
  else if (typeof value === "number") parts.push(numbered(value));
  else if (typeof value === "string") putText(value, parts);
  else if (ArrayBuffer.isView(value)) parts.push(head(0xc6, value.byteLength), value);
  else if (Array.isArray(value)) {
    parts.push(head(0xdd, value.length));
    for (const one of value) put(one, parts);
  } else {
    const known = Object.entries(value).filter(([, one]) => one !== undefined);
    parts.push(head(0xdf, known.length));
    for (const [name, one] of known) {
      putText(name, parts);
      put(one, parts);
    }
  }
}

function putText(value, parts) {
  const encoded = text.encode(value);
  parts.push(head(0xdb, encoded.length), encoded);
}

function numbered(value) {
  const view = new DataView(new ArrayBuffer(9));
  const isWhole = Number.isSafeInteger(value);
  view.setUint8(0, isWhole ? 0xd3 : 0xcb);
  if (isWhole) view.setBigInt64(1, BigInt(value));
  else view.setFloat64(1, value);
  return view;
}

const bytes = (...all) => new Uint8Array(all);

function head(kind, length) {
  const view = new DataView(new ArrayBuffer(5));
  view.setUint8(0, kind);
  view.setUint32(1, length);
  return view;
}
