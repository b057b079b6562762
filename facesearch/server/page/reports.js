// Reports: how often the right picture is found, measured here.
import { call, get } from "./api.js";
import { field, fill, h, trouble } from "./dom.js";
import { folders } from "./folders.js";
import { jobList } from "./jobs.js";
import { go, link } from "./state.js";
import { percent, T } from "./text.js";

export function open(main, about) {
  const text = T.reports;
  const list = h("section", { class: "card" });
  const jobs = h("section", { class: "card", "aria-live": "polite" });
  const make = h("section", { class: "card" });
  const one = h("section");
  const all = h("div", { class: "cards broad" }, list, make, jobs);
  const working = jobList(jobs, () => showList(), ["evaluate"]);
  fill(main, [h("h1", {}, text.heading), h("p", { class: "lead" }, text.lead), all, one]);
  showMake();
  working.show().catch((error) => fill(jobs, trouble(error)));

  async function update({ report }) {
    all.hidden = Boolean(report);
    one.hidden = !report;
    if (report) await showOne(Number(report)); else await showList();
  }

  async function showList() {
    try {
      const found = (await get("reports")).reports;
      fill(list, [h("h2", {}, text.list), found.length
        ? table(text.list, [text.when, text.data, text.task, text.queries, text.first],
          found.map(({ id, figures }) => [h("a", { href: link("reports", { report: id }) }, when(figures.made)), figures.about?.data, text.tasks[figures.task] ?? figures.task, count(figures.queries), share(figures.recall?.["1"]?.value)]))
        : h("p", { class: "hint" }, text.none)]);
    } catch (error) {
      fill(list, trouble(error, showList, T.again));
    }
  }

  function showMake() {
    const told = h("div", { role: "status" });
    const questions = h("input", { type: "number", min: 1, max: 10000, value: 500, required: true });
    const browser = h("div");
    const start = (where) => { if (questions.reportValidity()) working.start(told, { kind: "evaluate", queries: Number(questions.value), ...where }); };
    fill(make, [h("h2", {}, text.make), field(text.questions, questions),
      about.info ? [h("p", { class: "hint" }, text.own), h("button", { type: "button", onclick: () => start({}) }, text.doOwn)] : null,
      h("p", { class: "hint" }, about.roots.length ? text.below : text.noRoots), browser, told]);
    if (about.roots.length) folders(browser, about, text.measure, (root, folder) => start({ root, folder }));
  }

  async function showOne(id) {
    const back = h("p", {}, h("a", { href: link("reports") }, `← ${text.back}`));
    try {
      const { figures } = await get(`reports/${id}`);
      const told = h("div");
      fill(one, [back, ...content(figures), h("div", { class: "end" }, h("button", { type: "button", class: "danger", onclick: async () => {
        try {
          await call("DELETE", `reports/${id}`);
          go("reports", {});
        } catch (error) {
          fill(told, trouble(error));
        }
      } }, text.remove), told)]);
    } catch (error) {
      fill(one, [back, trouble(error)]);
    }
  }

  return { update, leave: working.leave };
}

// A report may have been written by another release, or another hand: what is not there is not shown.
function content(figures) {
  const text = T.reports;
  const task = text.tasks[figures.task] ?? String(figures.task);
  const value = figures.task === "pose" ? (one) => T.pose(Number(one)) : figures.task === "illumination" ? T.light : String;
  const ranks = Object.keys(figures.recall ?? {});
  const methods = [[text.ours, figures.recall], ...Object.entries(figures.baselines ?? {}).map(([name, found]) => [text.names[name] ?? name, found])];
  const split = (title, found) => found && h("section", { class: "card" }, h("h2", {}, title), table(title, [task, text.queries, ...ranks.map(text.within)],
    Object.entries(found).sort(([a], [b]) => a - b).map(([name, row]) => [value(name), count(row.queries), ...ranks.map((rank) => share(row[rank]))])));
  return [
    h("p", { class: "lead" }, [when(figures.made), figures.about?.data, `${count(figures.queries)} ${text.queries.toLowerCase()}`, `${text.gallery.toLowerCase()} ${count(figures.gallery)}`].filter(Boolean).join(" · ")),
    h("div", { class: "figures" }, ranks.map((rank) => bar(text.within(rank), figures.recall[rank]))),
    h("div", { class: "cards broad" },
      h("section", { class: "card" }, h("h2", {}, text.methods), table(text.methods, [text.method, ...ranks.map(text.within)], methods.map(([name, found]) => [name, ...ranks.map((rank) => share(found?.[rank]?.value))]))),
      figures.first_result && h("section", { class: "card" }, h("h2", {}, text.single), h("dl", {}, Object.entries(figures.first_result).map(([name, found]) => [h("dt", {}, text.labels[name] ?? name), h("dd", {}, share(found))])),
        figures.right_distances ? h("p", { class: "hint" }, text.far(figures.right_distances.half, figures.right_distances.most, figures.right_distances.nearly_all)) : null),
      split(text.bySource(task), figures.by_source), split(text.byTarget(task), figures.by_target), confusion(figures, task, value)),
  ];
}

function confusion(figures, task, value) {
  const text = T.reports;
  const rows = figures.decided_confusion;
  const values = Object.keys(figures.by_source ?? {}).sort((a, b) => a - b);
  if (!Array.isArray(rows) || rows.length !== values.length || rows.length > 20) return null;
  const plain = figures.task === "pose" ? (one) => `${one}°` : String;
  return h("section", { class: "card" }, h("h2", {}, text.confusion(task)), h("p", { class: "hint" }, text.decided(figures.decided_accuracy, figures.decided_within_one)),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": text.confusion(task) }, h("table", { class: "shares" }, h("caption", { class: "unseen" }, text.confusion(task)),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, `${text.truth} \\ ${text.taken}`), values.map((one) => h("th", { scope: "col" }, plain(one))))),
      h("tbody", {}, rows.map((row, at) => {
        const all = row.reduce((sum, one) => sum + one, 0) || 1;
        return h("tr", {}, h("th", { scope: "row", title: value(values[at]) }, plain(values[at])), row.map((one) => h("td", { style: { "--share": `${(45 * one) / all}%` } }, one ? count(one) : "")));
      })))));
}

function bar(name, found) {
  return h("figure", { class: "card" }, h("figcaption", {}, name), h("p", { class: "large" }, share(found.value)),
    h("div", { class: "gauge", "aria-hidden": "true" }, h("span", { style: { width: `${100 * found.value}%` } })),
    h("small", {}, T.reports.between(found.low, found.high)));
}

function table(title, head, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", {}, h("caption", { class: "unseen" }, title), h("thead", {}, h("tr", {}, head.map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell ?? "")))))));
}

const count = (number) => (typeof number === "number" ? number.toLocaleString("en") : "");
const share = (number) => (typeof number === "number" ? percent(number) : "");
const when = (text) => { const day = new Date(text); return Number.isNaN(day.getTime()) ? String(text ?? "–") : day.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }); };
