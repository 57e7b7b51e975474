// From p-values to marks, and from marks and labels to incidents and measures: what the service
// does when it decides (service/scoring: tail.py, percentile.py, decisions.py), here at once, for
// any budget, without asking again.

export const LEAST_P = 1e-8,
  MOST_P = 0.05; // between which a threshold lies, whatever the budget
export const QUIET_POINTS = 4; // an incident outlives so many in a row; one more resolves it
const NONE = [];
const ROUNDING = 1e-9; // 1 % of 1,700 points is 17, whatever floats make of it
const LEAST_THRESHOLD = 1e-9; // a score; of a series in which nothing is odd at all

/** The threshold of p for a budget; `perBudget` is that of a budget of 1, as it was measured. */
export const thresholdOf = (budget, perBudget) => Math.min(MOST_P, Math.max(LEAST_P, perBudget * budget));

/** Whether a threshold is held by one of its bounds, so that it says nothing of its budget. */
export const isClamped = (threshold) => threshold <= LEAST_P || threshold >= MOST_P;

/**
 * Marks by budget: points whose p-value is below the threshold.
 *
 * `factor` takes a score from the threshold it was measured by to this one.
 */
export function byBudget(verdicts, budget, { thresholdP, perBudget }) {
  const limit = thresholdOf(budget, perBudget);
  const { p, have } = verdicts,
    flags = new Uint8Array(have);
  for (let at = 0; at < have; at++) flags[at] = p[at] < limit ? 1 : 0; // NaN is not
  return { flags, thresholdP: limit, factor: Math.log(thresholdP) / Math.log(limit) };
}

/**
 * Marks by percentile: so many of the points with the greatest scores, rounded up; of points that
 * tie at the threshold none. `sorted`: all scores that are numbers, ascending.
 */
export function byPercentile(verdicts, percentile, sorted) {
  const { score, p, have } = verdicts,
    flags = new Uint8Array(have),
    count = sorted.length;
  if (!count) return { flags, thresholdP: NaN, factor: 1 };
  const marked = Math.ceil((percentile / 100) * count - ROUNDING);
  const limit = Math.max(sorted[count - 1 - Math.min(marked, count - 1)], LEAST_THRESHOLD);
  let first = NaN; // the least p-value of what is not marked
  for (let at = 0; at < have; at++) {
    if (score[at] > limit) flags[at] = 1;
    else if (score[at] === limit && !(first < p[at])) first = p[at];
  }
  return { flags, thresholdP: first, factor: 1 / limit };
}

/** How many are marked. */
export function markedIn(flags) {
  let marked = 0;
  for (let at = 0; at < flags.length; at++) marked += flags[at];
  return marked;
}

/** Runs [start, end] (both inside) of marks; with at most `gap` points between them they are one. */
export function runs(flags, gap = 0) {
  const found = [];
  let last = -Infinity;
  for (let at = 0; at < flags.length; at++) {
    if (!flags[at]) continue;
    if (at - last > gap + 1) found.push([at, at]);
    else found[found.length - 1][1] = at;
    last = at;
  }
  return found;
}

/** Incidents of marks, and those of lost dimensions, which take in the marks that follow: by row. */
export function incidentsOf(episodes, lost) {
  const losses = lost.map(({ row, points, names }) => ({ start: row, end: row + points - 1, names })),
    found = [];
  for (const [start, end] of episodes) {
    const loss = losses.find((one) => start >= one.start && start <= one.end + QUIET_POINTS);
    if (loss) loss.end = Math.max(loss.end, end);
    else found.push({ start, end, names: NONE });
  }
  return losses.length ? [...losses, ...found].sort((one, other) => one.start - other.start) : found;
}

/** How well marks find labels, named as the service names it; null where that is undefined. */
export function measures(label, flags, episodes = runs(flags, QUIET_POINTS)) {
  let both = 0,
    marked = 0,
    labelled = 0;
  for (let at = 0; at < flags.length; at++) {
    marked += flags[at];
    labelled += label[at];
    both += flags[at] & label[at];
  }
  const events = runs(flags.length < label.length ? label.subarray(0, flags.length) : label);
  const delays = events.map(([start, end]) => flags.subarray(start, end + 1).indexOf(1)).filter((delay) => delay >= 0);
  const falseOnes = episodes.filter(([start, end]) => label.subarray(start, end + 1).indexOf(1) < 0).length;
  const isDefined = labelled > 0;
  const precision = isDefined ? both / Math.max(marked, 1) : null,
    recall = isDefined ? both / labelled : null;
  return {
    precision,
    recall,
    f1: isDefined ? harmonic(precision, recall) : null,
    composite_f1: isDefined ? harmonic(precision, delays.length / events.length) : null,
    events: events.length,
    events_found: delays.length,
    false_incidents: falseOnes,
    median_delay_points: delays.length ? median(delays) : null,
  };
}

const harmonic = (one, other) => (one > 0 && other > 0 ? 2 / (1 / one + 1 / other) : 0);

function median(numbers) {
  const sorted = numbers.slice().sort((a, b) => a - b),
    middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
