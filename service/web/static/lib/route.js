// Addresses of views: `#/entity/node-03?from=..&to=..`. An address reopens exactly what is seen.

import { useEffect, useState } from "./html.js";

/** What an address says: `{ view, name, query }`; `query` is an object of strings. */
export function read(hash = location.hash) {
  const [place, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, ...name] = place.split("/");
  return {
    view: view || "fleet",
    name: name.map(decoded).join("/"),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

const plainly = (run) => {
  try {
    return decodeURIComponent(run);
  } catch {
    return run; // no letter in UTF-8
  }
};

/** What was encoded; a `%` that encodes nothing, as people type it, stays. */
export const decoded = (text) => text.replace(/(?:%[0-9a-f]{2})+/gi, plainly);

/** The address of a view; what is null or empty is left out. */
export function href(view, name = "", query = {}) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(known).toString();
  const place = name ? `${view}/${name.split("/").map(encodeURIComponent).join("/")}` : view;
  return `#/${place}${text ? `?${text}` : ""}`;
}

/** Go there; with `replace` the way back leads past this place. */
export function go(address, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = address;
  }
}

/** Change a part of the query of this view: `put({ sort: "name" })`. */
export function put(change) {
  const { view, name, query } = read();
  go(href(view, name, { ...query, ...change }), { replace: true });
}

/** The address, as it changes. */
export function useRoute() {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const follow = () => setRoute(read());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}
