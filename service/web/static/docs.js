// The API in Swagger UI. It shows our own document, with the key that the page keeps for its tab.

const key = sessionStorage.getItem("gaugewatch.key");

window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger",
  deepLinking: true,
  validatorUrl: null, // asks another host otherwise
  requestInterceptor(request) {
    if (key) request.headers.Authorization = `Bearer ${key}`;
    return request;
  },
});
