// Which column of a file is which dimension of a bundle: by choice, by name, by order without names.

const plainName = (name) =>
  name
    .trim()
    .toLowerCase()
    .replace(/[\s.-]+/g, "_");

/**
 * Of each dimension the place of its column, -1 where it has none.
 *
 * `chosen`: of each dimension the name of a column ("" for none) where a person chose, else null.
 */
export function matched(dimensions, { names, hasNames }, chosen) {
  const places = new Map(names.map((name, at) => [name, at]));
  const likes = new Map(names.map((name, at) => [plainName(name), at]));
  const isByOrder = !hasNames && names.length === dimensions.length;
  const taken = new Set(chosen.filter(Boolean));
  return dimensions.map((name, at) => {
    if (chosen[at] !== undefined && chosen[at] !== null) return places.get(chosen[at]) ?? -1;
    if (isByOrder) return at;
    const place = places.get(name) ?? likes.get(plainName(name)) ?? -1;
    return place >= 0 && taken.has(names[place]) && names[place] !== name ? -1 : place;
  });
}
