// The verdicts of a series as they come: one typed array a field, never an object a point.

export const CAUSES = 5; // of a point
export const STATUSES = ["", "warming", "calibrating", "scored"];
export const NOBODY = 0xffff; // no cause

/** Room for the verdicts of `count` points; `have` of them have come. */
export class Verdicts {
  constructor(count, dimensions) {
    this.count = count;
    this.have = 0;
    this.scored = 0; // of them
    this.dimensions = dimensions;
    // nothing is filled in before it comes: pages of memory that nobody wrote to cost nothing
    for (const name of ["p", "score", "severity"]) this[name] = new Float64Array(count);
    this.status = new Uint8Array(count);
    this.dimension = new Uint16Array(CAUSES * count); // causes, largest share first
    this.share = new Float32Array(CAUSES * count);
    this.value = new Float64Array(CAUSES * count);
    this.expected = new Float32Array(CAUSES * count);
    this.band = new Float64Array(dimensions.length).fill(NaN); // of a dimension: how far it strays
  }

  /** Take the rows of an answer behind those that are here. */
  takeRows(rows) {
    const places = new Map(this.dimensions.map((name, at) => [name, at]));
    for (const row of rows) {
      const at = this.have++;
      this.status[at] = STATUSES.indexOf(row.status);
      if (row.score !== null) this.scored += 1;
      this.p[at] = row.p_value ?? NaN;
      this.score[at] = row.score ?? NaN;
      this.severity[at] = row.severity ?? NaN;
      this.dimension.fill(NOBODY, CAUSES * at, CAUSES * (at + 1));
      row.causes.slice(0, CAUSES).forEach((cause, i) => {
        const place = CAUSES * at + i,
          dimension = places.get(cause.dimension);
        this.dimension[place] = dimension;
        this.share[place] = cause.share;
        this.value[place] = cause.value ?? NaN;
        this.expected[place] = cause.expected ?? NaN;
        if (cause.band !== null) this.band[dimension] = cause.band;
      });
    }
  }

  /** What came between two points, to be handed to another thread. */
  part(from, to) {
    const cut = (name, width = 1) => this[name].slice(width * from, width * to);
    return {
      from,
      to,
      scored: this.scored,
      band: this.band.slice(),
      p: cut("p"),
      score: cut("score"),
      severity: cut("severity"),
      status: cut("status"),
      ...Object.fromEntries(["dimension", "share", "value", "expected"].map((name) => [name, cut(name, CAUSES)])),
    };
  }

  /** Take what another thread handed over. */
  takePart(part) {
    for (const name of ["p", "score", "severity", "status"]) this[name].set(part[name], part.from);
    for (const name of ["dimension", "share", "value", "expected"]) this[name].set(part[name], CAUSES * part.from);
    Object.assign(this, { have: part.to, scored: part.scored, band: part.band });
  }

  /** Where the numbers of a dimension stand among the causes of a point; -1: it is none of them. */
  placeOf(at, dimension) {
    for (let place = CAUSES * at; place < CAUSES * (at + 1); place++)
      if (this.dimension[place] === dimension) return place;
    return -1;
  }

  /** Causes of a point, as answers of the service have them. */
  causes(at) {
    const found = [];
    for (let place = CAUSES * at; place < CAUSES * (at + 1); place++) {
      const dimension = this.dimension[place];
      if (dimension === NOBODY) break;
      const value = known(this.value[place]),
        expected = known(this.expected[place]);
      const deviation = value === null || expected === null ? null : value - expected;
      found.push({
        dimension: this.dimensions[dimension],
        share: this.share[place],
        value,
        expected,
        band: known(this.band[dimension]),
        deviation,
      });
    }
    return found;
  }

  /** Shares of the dimensions summed over marked points from..to, largest first: [[dimension, share]]. */
  blame(flags, from, to) {
    const sums = new Float64Array(this.dimensions.length);
    let all = 0;
    for (let at = from; at <= to; at++) {
      if (!flags[at]) continue;
      for (let place = CAUSES * at; place < CAUSES * (at + 1) && this.dimension[place] !== NOBODY; place++) {
        sums[this.dimension[place]] += this.share[place];
        all += this.share[place];
      }
    }
    const blamed = Array.from(sums, (sum, dimension) => [dimension, sum / (all || 1)]).filter(([, share]) => share > 0);
    return blamed.sort((one, other) => other[1] - one[1]);
  }
}

const known = (value) => (Number.isNaN(value) ? null : value);
