// The fleet: every entity, worst first.

import { html } from "../lib/html.js";
import { useFleet } from "../lib/fleet.js";

export function Fleet() {
  const names = useFleet((fleet) => [...fleet.entities.keys()].join(" "));
  return html`<h1>Fleet</h1><p>${names}</p>`;
}
