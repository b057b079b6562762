// The server, as functions. Errors are those that the command tells: message and hint.
import { T } from "./text.js";

const BASE = new URL("api/v1/", document.baseURI);

export class ApiError extends Error {
  constructor(said, status) {
    super(said.message);
    this.code = said.code;
    this.hint = said.hint;
    this.status = status;
  }
}

let askForKey = null;
export function onKey(handler) { askForKey = handler; }

export const address = (path, params = {}) => {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) url.searchParams.set(name, value);
  }
  return url.href;
};

const wait = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  signal?.addEventListener("abort", () => { clearTimeout(timer); reject(new DOMException("left", "AbortError")); });
});

export async function call(method, path, { params, body, json, signal } = {}) {
  const options = { method, signal, credentials: "same-origin", cache: method === "GET" ? "no-store" : "default" };
  if (json !== undefined) Object.assign(options, { body: JSON.stringify(json), headers: { "Content-Type": "application/json" } });
  else if (body) Object.assign(options, { body, headers: { "Content-Type": "application/octet-stream" } });
  for (let tries = 0; ; tries += 1) {
    let said;
    try {
      said = await fetch(address(path, params), options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError({ code: "offline", message: T.offline, hint: "" }, 0);
    }
    if (said.ok) return said.status === 204 ? null : said.json();
    if (said.status === 503 && tries < 3) {
      await wait(Number(said.headers.get("Retry-After")) || 1, signal);
      continue;
    }
    const error = new ApiError(await said.json().catch(() => ({ code: "failed", message: said.statusText, hint: "" })), said.status);
    if (error.status === 401 && path !== "session" && askForKey) {
      await askForKey();
      continue;
    }
    throw error;
  }
}

export const get = (path, params, signal) => call("GET", path, { params, signal });

// Follow a job until it is over; told(job) at every change.
export function follow(id, told) {
  const source = new EventSource(address(`jobs/${id}/events`));
  source.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    if (!["waiting", "running"].includes(job.state)) source.close();
    told(job);
  });
  return () => source.close();
}
