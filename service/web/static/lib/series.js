// A series of this page: the worker that holds its numbers, and what was found in them so far.

import { key } from "./api.js";
import { pointAt } from "./thin.js";
import { Verdicts } from "./verdicts.js";

/** What went wrong in the worker: `code`, and `faults` where there are several. */
export class SeriesFault extends Error {
  constructor({ message, code, faults }) {
    super(message);
    Object.assign(this, { code, faults });
  }
}

export class Series {
  #worker = new Worker(new URL("./series-worker.js", import.meta.url), { type: "module" });
  #waiting = new Map(); // id -> { done, fail, onTold }
  #last = 0;

  about = null; // what stands in the file, as the worker tells it
  verdicts = null;
  timesMs = null;
  lost = []; // incidents that no mark opened: { row, points, names } of dimensions without a value
  decided = null; // { budget, thresholdP, perBudget, model }
  version = 0; // grows as verdicts come

  constructor() {
    this.#worker.onmessage = ({ data: { id, told, result, failed } }) => {
      const waiting = this.#waiting.get(id);
      if (!waiting) return;
      if (told) return waiting.onTold?.(told);
      this.#waiting.delete(id);
      if (failed) waiting.fail(new SeriesFault(failed));
      else waiting.done(result);
    };
    this.#worker.onerror = () => {
      const fault = new SeriesFault({
        message: "the file could not be worked on: this browser ended the work",
        code: "internal",
        faults: [],
      });
      for (const waiting of this.#waiting.values()) waiting.fail(fault);
      this.#waiting.clear();
    };
  }

  #ask(work, wish, { onTold, moved = [] } = {}) {
    const id = ++this.#last;
    return new Promise((done, fail) => {
      this.#waiting.set(id, { done, fail, onTold });
      this.#worker.postMessage({ id, work, wish }, moved);
    });
  }

  /** Read a file, of an NPZ the array `part`; `onBytes` hears how far it is. */
  async read(file, { part = null, onBytes } = {}) {
    this.about = await this.#ask("read", { chosen: file, part }, { onTold: ({ bytes }) => onBytes?.(bytes) });
    return this.about;
  }

  /** Take an example of the service. */
  async take(address) {
    const headers = key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
    this.about = await this.#ask("take", { place: { address, headers } });
    return this.about;
  }

  /**
   * Have it scored by a bundle; `onPart` is called whenever more is known, `onWait(code)` where
   * the service is busy.
   *
   * `columns`: of each of the bundle's `dimensions` the column of the file.
   */
  score({ bundle, entity, dimensions, columns, periodSeconds, upload = null, pieceMs = 700 }, { onPart, onWait } = {}) {
    const wish = { bundle, entity, dimensions, columns, periodSeconds, upload, pieceMs, key: key.get() };
    this.verdicts = null;
    const onTold = ({ timesMs, count, part, decided, lost, waits }) => {
      if (waits) return onWait?.(waits);
      if (timesMs) {
        this.timesMs = timesMs;
        this.verdicts = new Verdicts(count, dimensions);
        return null;
      }
      Object.assign(this, { decided, lost });
      this.verdicts.takePart(part);
      this.version += 1;
      return onPart?.();
    };
    return this.#ask("score", wish, { onTold });
  }

  /** Hold the scoring, or go on. */
  pause(isOn) {
    this.#worker.postMessage({ work: "pause", wish: isOn });
  }

  /** End the scoring; what is known stays. */
  stop() {
    this.#worker.postMessage({ work: "pause", wish: false });
    this.#worker.postMessage({ work: "stop" });
  }

  /** Scores that are numbers, ascending, of what is known. */
  sorted() {
    return this.#ask("sorted", {});
  }

  /** A dimension of the bundle, by its place, between two points: [seconds, value, expected, low, high]. */
  values(dimension, from, to, most) {
    return this.#ask("values", { dimension, from, to, most, byRow: !this.about.hasTimes });
  }

  /** Milliseconds of a point on an axis; without times an axis counts rows, as seconds. */
  axisMs(at) {
    return this.about.hasTimes ? this.timesMs[at] : 1000 * at;
  }

  /** The first point at or after a place on the axis. */
  pointAt(ms) {
    return this.about.hasTimes ? pointAt(this.timesMs, ms) : Math.max(0, Math.ceil(ms / 1000));
  }

  /** The result as a Blob: `csv` or `json`. */
  save(form, { flags, factor, name }) {
    return this.#ask("save", { form, flags, factor, name });
  }

  /** The worker and its memory are given back. */
  close() {
    this.#worker.terminate();
  }
}
