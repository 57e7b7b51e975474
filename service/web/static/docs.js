// The API in Swagger UI. It shows our own document, with the key that the page keeps for its tab.

import { apply, onTheme } from "./lib/theme.js";

const key = sessionStorage.getItem("gaugewatch.key");
const place = document.getElementById("swagger");

const withKey = (headers) => (key ? { ...headers, Authorization: `Bearer ${key}` } : headers);

/** It has a dark dress of its own. */
function dress() {
  document.documentElement.classList.toggle("dark-mode", document.documentElement.dataset.theme === "dark");
}

async function show() {
  const answer = await fetch("/openapi.json", { headers: withKey({}) });
  if (answer.status === 401) return say("This service wants a key. ", "Enter it on the page",
    ", in this tab, and come back.");
  if (!answer.ok) return say(`The service answered ${answer.status}. `, "Back to the page", "");
  place.replaceChildren();
  window.SwaggerUIBundle({
    spec: await answer.json(),
    dom_id: "#swagger",
    deepLinking: true,
    validatorUrl: null, // asks another host otherwise
    requestInterceptor(request) {
      request.headers = withKey(request.headers);
      return request;
    },
  });
}

function say(before, linked, after) {
  const line = document.createElement("p"), link = document.createElement("a");
  Object.assign(link, { href: "/", textContent: linked });
  line.append(before, link, after);
  line.className = "swagger-ui";
  place.replaceChildren(line);
}

onTheme(dress);
apply();
show().catch(() => say("The service cannot be reached. ", "Back to the page", ""));
