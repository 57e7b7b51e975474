// Points and verdicts as a table that `POST /v1/detect` and spreadsheets read.

const CAUSES = 5;
const CAUSE = ["cause", "share", "expected", "band"];

/** The rows as CSV: time in ISO 8601, the dimensions, the verdict, its causes. */
export function csv(rows, dimensions) {
  const causes = Array.from({ length: CAUSES }, (_, at) => CAUSE.map((field) => `${field}_${at + 1}`));
  const head = ["timestamp", ...dimensions, "status", "score", "severity", "is_anomaly", ...causes.flat()];
  return [head, ...rows.map(cellsOf)].map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

function cellsOf(row) {
  const verdict = [row.status, row.score, row.severity, Number(row.is_anomaly)];
  const causes = Array.from({ length: CAUSES }, (_, at) => row.causes[at] || {});
  return [
    new Date(row.timestamp_ms).toISOString(), ...row.values, ...verdict,
    ...causes.flatMap((cause) => [cause.dimension, cause.share, cause.expected, cause.band]),
  ];
}

function quoted(cell) {
  const text = cell === null || cell === undefined ? "" : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
