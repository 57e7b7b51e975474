// Long series drawn short: of every stretch of time the least and the greatest value, so that no
// spike is lost, however many points there are.

/**
 * [seconds, ...series] of the points from..to (to is outside), for uPlot; NaN becomes null.
 *
 * `timesMs` and each of `series` are a typed array, or a function of a point; `most` columns come out at most,
 * chosen by the extremes of the first `leading` series.
 */
export function thin(timesMs, series, from, to, most, leading = series.length) {
  const reads = series.map((one) => (typeof one === "function" ? one : (at) => one[at]));
  const order = to - from <= most ? null : extremes(reads.slice(0, leading), from, to, most);
  const timeOf = typeof timesMs === "function" ? timesMs : (at) => timesMs[at];
  const count = order ? order.length : to - from;
  const seconds = new Array(count),
    lines = reads.map(() => new Array(count));
  for (let place = 0; place < count; place++) {
    const at = order ? order[place] : from + place;
    seconds[place] = timeOf(at) / 1000;
    for (let line = 0; line < reads.length; line++) {
      const value = reads[line](at);
      lines[line][place] = Number.isNaN(value) ? null : value;
    }
  }
  return [seconds, ...lines];
}

/** Points that keep every extreme, in order. */
function extremes(reads, from, to, most) {
  const buckets = Math.max(1, Math.floor(most / (2 * reads.length)) - 1),
    size = (to - from) / buckets;
  const kept = [from];
  for (let bucket = 0; bucket < buckets; bucket++) {
    const start = Math.floor(from + bucket * size),
      end = Math.min(to, Math.floor(from + (bucket + 1) * size));
    for (const read of reads) {
      let least = -1,
        greatest = -1,
        low = Infinity,
        high = -Infinity;
      for (let at = start; at < end; at++) {
        const value = read(at);
        if (value < low) {
          least = at;
          low = value;
        }
        if (value > high) {
          greatest = at;
          high = value;
        }
      }
      if (least < 0)
        kept.push(start); // nothing is known here: a gap
      else kept.push(least, greatest);
    }
  }
  kept.push(to - 1);
  return Int32Array.from(new Set(kept)).sort();
}

/** The first point at or after a time. */
export function pointAt(timesMs, ms) {
  let low = 0,
    high = timesMs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (timesMs[middle] < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
