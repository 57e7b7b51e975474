// One entity.
import { html } from "../lib/html.js";
export const Entity = ({ name }) => html`<h1>${name}</h1>`;
