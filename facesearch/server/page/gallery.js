// Gallery: what it holds, what is wrong with it, and long work on it.
import { call, get } from "./api.js";
import { gallery } from "./app.js";
import { field, fill, h, trouble } from "./dom.js";
import { folders } from "./folders.js";
import { bringBack } from "./hide.js";
import { jobList } from "./jobs.js";
import { size, T } from "./text.js";

export function open(main, about) {
  const text = T.galleryTab;
  const facts = h("section", { class: "card" });
  const add = h("section", { class: "card" });
  const keep = h("section", { class: "card" });
  const jobs = h("section", { class: "card", "aria-live": "polite" });
  const bulk = h("section", { class: "card" });
  const hidden = h("section", { class: "card" });
  const problems = h("section", { class: "card" });
  const plan = h("section", { class: "card" });
  const list = jobList(jobs, () => { attempt(facts, showFacts); attempt(hidden, showHidden); attempt(problems, showProblems); });
  const start = list.start;
  fill(main, [h("h1", {}, text.heading), about.demo ? h("p", { class: "note" }, text.demo) : null,
    h("div", { class: "cards" }, facts, jobs, add, keep, bulk, hidden, problems, plan)]);
  for (const [place, work] of [[facts, showFacts], [jobs, list.show], [hidden, showHidden], [problems, showProblems]]) attempt(place, work);
  showAdd();
  showKeep();
  showBulk();
  showPlan();

  async function attempt(place, work) {
    try {
      await work();
    } catch (error) {
      fill(place, trouble(error, () => attempt(place, work), T.again));
    }
  }

  async function showFacts() {
    const before = about.info;
    about = await gallery({ anew: true });
    const info = about.info;
    if (info && !before) showAdd();
    const rows = info && [
      ["images", info.images.toLocaleString("en")], ["photos", info.photos.toLocaleString("en")], info.without_face ? ["without_face", info.without_face.toLocaleString("en")] : null, ["people", info.people.toLocaleString("en")], ["problems", info.problems.toLocaleString("en")],
      info.kept ? ["kept", info.kept.toLocaleString("en")] : null, info.hidden ? ["hidden", info.hidden.toLocaleString("en")] : null,
      ["gallery", info.gallery], ["image_root", info.image_root], ["task", info.task], ["model", info.model], ["encoder", info.encoder === "own" ? text.ownEncoder : info.encoder], ["bytes", size(info.bytes)],
      ["indexes", info.indexes.join(", ") || text.noIndex],
    ].filter(Boolean);
    fill(facts, [h("h2", {}, text.about), rows ? h("dl", {}, rows.map(([name, value]) => [h("dt", {}, text.rows[name]), h("dd", {}, value)])) : h("p", {}, T.empty.title)]);
    keep.hidden = bulk.hidden = hidden.hidden = problems.hidden = plan.hidden = !info;
  }

  // --- what can be done ---

  function showAdd() {
    const told = h("div");
    const prune = h("input", { type: "checkbox" });
    const retry = h("input", { type: "checkbox" });
    const options = () => ({ prune: prune.checked, retry: retry.checked });
    const again = about.info ? h("button", { type: "button", onclick: () => start(told, { kind: "index", ...options() }) }, text.lookAgain) : null;
    const browser = h("div");
    fill(add, [h("h2", {}, text.add), about.roots.length ? [h("p", { class: "hint" }, text.addHow), browser] : h("p", { class: "hint" }, text.noRoots), again,
      about.info ? [h("label", { class: "check" }, prune, text.prune), h("label", { class: "check" }, retry, text.retry)] : null, told]);
    if (about.roots.length) folders(browser, about, text.indexThis, (root, folder) => start(told, { kind: "index", root, folder, ...options() }));
  }
  function showKeep() {
    const told = h("div");
    const name = h("input", { type: "text", required: true, maxlength: 200, autocomplete: "off" });
    const pictures = h("input", { type: "checkbox" });
    fill(keep, [h("h2", {}, text.check), h("div", { class: "row" },
      h("button", { type: "button", onclick: () => start(told, { kind: "verify" }) }, text.verify),
      h("button", { type: "button", onclick: () => start(told, { kind: "compact" }) }, text.compact)),
    about.roots.length ? h("form", { onsubmit: (event) => { event.preventDefault(); start(told, { kind: "export", root: 0, folder: name.value.trim(), pictures: pictures.checked }); } },
      h("h3", {}, text.exportTitle), h("p", { class: "hint" }, text.exportHow), field(text.exportName, name),
      h("label", { class: "check" }, pictures, text.exportPictures), h("button", {}, text.doExport)) : null, told]);
  }

  function showBulk() {
    const told = h("div", { role: "status" });
    const where = h("input", { type: "text", required: true, maxlength: 10000, autocomplete: "off", spellcheck: "false", placeholder: text.whereExample });
    const label = h("select", {}, Object.entries(text.labels).map(([name, shown]) => h("option", { value: name }, shown)));
    const value = h("input", { type: "text", maxlength: 1000, autocomplete: "off" });
    fill(bulk, h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const given = value.value.trim();
      const number = ["pose", "illumination"].includes(label.value);
      try {
        const done = await call("PATCH", "faces", { json: { where: where.value, labels: { [label.value]: given === "" ? null : number ? Number(given) : given } } });
        fill(told, h("p", { class: "good" }, text.changed(done.faces)));
        attempt(facts, showFacts);
      } catch (error) {
        fill(told, trouble(error));
      }
    } }, h("h2", {}, text.bulk), h("p", { class: "hint" }, text.bulkHow), field(text.where, where), field(text.label, label), field(text.value, value), h("button", {}, text.apply), told));
  }

  async function showHidden() {
    if (!about.info) return;
    const { total, hidden: some } = await get("hidden", { limit: 200 });
    const told = h("div", { role: "status" });
    const back = (one) => h("button", { type: "button", "aria-label": T.hide.bringOne(one.name), onclick: async (event) => {
      event.target.disabled = true;
      try {
        const done = await bringBack([one.name]);
        await attempt(hidden, showHidden);
        attempt(facts, showFacts);
        const words = done.stay.length ? T.hide.stays(one.name) : done.faces.length ? T.hide.isBack(one.name) : T.hide.waits(one.name);
        fill(hidden.querySelector("[role=status]"), h("p", { class: done.stay.length ? "note" : "good" }, words));
      } catch (error) {
        event.target.disabled = false;
        fill(told, trouble(error));
      }
    } }, T.hide.bring);
    fill(hidden, [h("h2", {}, T.hide.title), h("p", { class: "hint" }, total ? T.hide.list(total) : T.hide.none), told,
      total ? h("ul", { class: "lines" }, some.map((one) => h("li", { class: "row between" }, h("strong", {}, one.name), back(one)))) : null]);
  }

  async function showProblems() {
    if (!about.info) return;
    const found = (await get("gallery/problems")).problems;
    fill(problems, [h("h2", {}, text.problems), found.length ? h("ul", { class: "lines" }, found.slice(0, 200).map((one) => h("li", {}, h("strong", {}, one.path), " ", one.reason))) : h("p", { class: "hint" }, text.noProblems)]);
  }

  function showPlan() {
    const place = h("div");
    const button = h("button", { type: "button", onclick: () => attempt(place, async () => {
      const { lines } = await get("gallery/plan");
      fill(place, h("pre", { tabindex: "0", "aria-label": text.plan }, lines.join("\n")));
    }) }, text.showPlan);
    fill(plan, [h("h2", {}, text.plan), button, place]);
  }

  return { leave: list.leave };
}
