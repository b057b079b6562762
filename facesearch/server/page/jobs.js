// Long work: what was asked for, how far it is, how it ended.
import { call, follow, get } from "./api.js";
import { fill, h, trouble } from "./dom.js";
import { T } from "./text.js";

const SHOWN = 8;
const isOpen = (job) => ["waiting", "running"].includes(job.state);

// ended: told of each job that is over; kinds: which are shown, all where it is not given.
export function jobList(place, ended, kinds = null) {
  const text = T.jobs;
  const following = new Map();
  let known = [];

  async function show() {
    known = (await get("jobs")).jobs.filter((job) => !kinds || kinds.includes(job.kind));
    draw();
    for (const job of known) if (isOpen(job)) watch(job.id);
  }
  function watch(id) {
    if (following.has(id)) return;
    following.set(id, follow(id, (job) => {
      known = known.map((one) => (one.id === id ? job : one));
      draw();
      if (!isOpen(job)) {
        following.delete(id);
        ended(job);
      }
    }));
  }
  function draw() {
    const stopping = document.activeElement?.dataset?.job;
    fill(place, [h("h2", {}, text.title), known.length ? h("ul", { class: "jobs" }, known.slice(0, SHOWN).map(one)) : h("p", { class: "hint" }, text.none)]);
    if (stopping) place.querySelector(`[data-job="${stopping}"]`)?.focus();
  }
  function one(job) {
    const said = job.state === "done" ? text.outcome[job.kind](job.outcome) : job.state === "failed" ? [`${job.outcome.message}${job.outcome.hint ? ` – ${job.outcome.hint}` : ""}`] : [];
    return h("li", { class: job.state }, h("div", { class: "row between" }, h("strong", {}, text.kind[job.kind] ?? job.kind, job.asked.folder ? `: ${job.asked.folder}` : ""), h("span", { class: "tag" }, text.state[job.state]),
      isOpen(job) ? h("button", { type: "button", "data-job": job.id, onclick: () => call("POST", `jobs/${job.id}/cancel`).catch((error) => place.append(trouble(error))) }, text.stop) : null),
    isOpen(job) && job.of ? [h("progress", { max: job.of, value: job.done, "aria-label": job.doing }), h("small", {}, text.progress(job.doing, job.done, job.of))] : null,
    said.map((line) => h("p", { class: "line" }, line)));
  }
  async function start(told, asked) {
    try {
      const job = await call("POST", "jobs", { json: asked });
      known = [job, ...known];
      draw();
      watch(job.id);
      fill(told, []);
    } catch (error) {
      fill(told, trouble(error));
    }
  }
  return { show, start, leave: () => { for (const stop of following.values()) stop(); } };
}
