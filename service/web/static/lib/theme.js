// Light, dark, or as the system has it; and the colours of `page.css` for what is drawn by hand.

const KEPT = "gaugewatch.theme";
const listeners = new Set();
const system = matchMedia("(prefers-color-scheme: dark)");

/** `light`, `dark`, or `system`. */
export const chosen = () => localStorage.getItem(KEPT) || "system";

/** Choose, and keep the choice in this browser. */
export function choose(theme) {
  if (theme === "system") localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, theme);
  apply();
}

/** Put the choice in force. */
export function apply() {
  const theme = chosen();
  const isDark = theme === "dark" || (theme === "system" && system.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  for (const listener of listeners) listener();
}

/** Draw again when it changes; returns a function that stops that. */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** A colour by its name in `page.css`, as text. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

system.addEventListener("change", apply);
