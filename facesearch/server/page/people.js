// People: whom the faces were grouped into, with names or without; merged, split, and kept apart.
import { address, call, get } from "./api.js";
import { empty } from "./empty.js";
import { field, fill, h, missing, say, trouble } from "./dom.js";
import { jobList } from "./jobs.js";
import { setAround } from "./photo.js";
import { go, here, link } from "./state.js";
import { T } from "./text.js";

const PAGE = 120;

export function open(main, about) {
  if (!about.info) { fill(main, empty(about)); return {}; }
  const text = T.people;
  const told = h("div", { role: "status" });
  const place = h("div");
  const jobs = h("section", { class: "card", "aria-live": "polite", hidden: true });
  const working = jobList(jobs, () => again(), ["group"]);
  fill(main, [told, place, jobs]);
  let known = ""; // what is shown

  async function update(params) {
    const now = JSON.stringify([params.person, params.named]);
    if (now === known) return;
    known = now;
    fill(told, []);
    await again();
  }
  async function again() {
    const { params } = here();
    try {
      if (params.person) await showOne(Number(params.person)); else await showAll(params);
    } catch (error) {
      known = "";
      fill(place, [params.person ? back() : null, trouble(error, () => update(here().params), T.again)]);
    }
  }
  const back = () => h("p", {}, h("a", { href: link("people") }, `← ${text.back}`));
  const attempt = async (work) => {
    try { await work(); } catch (error) { fill(told, trouble(error)); told.scrollIntoView({ block: "nearest" }); }
  };

  // --- everybody ---

  async function showAll({ named }) {
    const wanted = { named: { yes: "true", no: "false" }[named], limit: PAGE };
    let page = await get("people", wanted);
    const group = (anew) => { jobs.hidden = false; working.start(told, { kind: "group", anew }); };
    const heading = h("h1", {}, text.heading, " ", h("small", {}, page.total ? text.count(page.total) : ""));
    if (!page.grouped) {
      fill(place, [heading, h("p", { class: "lead" }, text.none), h("button", { type: "button", class: "main", onclick: () => group(false) }, text.group)]);
      return;
    }
    const which = h("select", { "aria-label": text.show, onchange: (event) => go("people", { named: event.target.value || undefined }) },
      [["", text.all], ["yes", text.named], ["no", text.unnamed]].map(([value, shown]) => h("option", { value, selected: value === (named ?? "") }, shown)));
    const grid = h("ul", { class: "grid people" });
    const picking = picker(grid, () => [
      act(text.merge, 2, async ([first, ...others]) => {
        const one = await call("POST", `people/${first}/merge`, { json: { people: others } });
        return text.merged(text.title(one), one.faces);
      }),
      act(text.notSame, 2, async ([first, ...others]) => {
        await call("POST", `people/${first}/not-same`, { json: { people: others } });
        return text.kept;
      }),
    ]);
    const act = (label, least, work) => picking.action(label, least, (ids) => attempt(async () => {
      const said = await work(ids);
      await again();
      fill(told, h("p", { class: "good" }, said));
    }));
    const more = h("button", { type: "button", onclick: () => attempt(async () => { page = await get("people", { ...wanted, cursor: page.next }); add(); }) }, text.more);
    const add = () => {
      grid.append(...page.people.map((one) => card(one, picking)));
      more.hidden = !page.next;
      picking.draw();
    };
    fill(place, [heading, h("div", { class: "row between" }, h("div", { class: "row" }, which, page.new ? h("button", { type: "button", class: "main", onclick: () => group(false) }, text.again(page.new)) : null), picking.button),
      picking.bar, page.total ? null : h("p", { class: "note" }, text.noneSo), grid, more, h("p", {}, h("button", { type: "button", class: "plain", onclick: () => group(true) }, text.anew))]);
    add();
  }

  function card(one, picking) {
    const title = text.title(one);
    const image = h("img", { src: address(`faces/${one.cover}/crop`, { size: 240 }), alt: "", width: 140, height: 140, loading: "lazy", onerror: missing });
    const about = [h("span", { class: "who" }, title), h("span", { class: "far" }, T.faces(one.faces), one.suggested ? `, ${text.suggested(one.suggested)}` : "")];
    return h("li", {}, picking.item(one.number, text.pick(title), h("a", { class: "result", href: link("people", { person: one.number }) }, image, about)));
  }

  // --- one of them ---

  async function showOne(number) {
    const where = `person = ${number}`;
    const [one, first] = await Promise.all([get(`people/${number}`), get("faces", { where, limit: PAGE })]);
    let page = first;
    const ids = [];
    const name = h("input", { type: "text", value: one.name ?? "", placeholder: T.photo.namePlaceholder, maxlength: 1000, autocomplete: "off" });
    const naming = h("form", { class: "naming", onsubmit: (event) => {
      event.preventDefault();
      attempt(async () => {
        const done = await call("POST", `people/${number}/name`, { json: { name: name.value.trim() || null } });
        await again();
        fill(told, h("p", { class: "good" }, text.named_(done.faces)));
      });
    } }, field(text.name, h("div", { class: "row" }, name, h("button", {}, T.save))));
    const grid = h("ul", { class: "grid" });
    const picking = picker(grid, () => [
      picking.action(text.split, 1, (faces) => attempt(async () => {
        const done = await call("POST", `people/${number}/split`, { json: { faces } });
        if (done.person.name === one.name && one.name) await call("POST", `people/${done.person.number}/name`, { json: { name: null } }); // it is not theirs
        await again();
        const title = text.title({ ...done.person, name: done.person.name === one.name ? null : done.person.name });
        fill(told, h("p", { class: "good" }, text.was(title, done.along), " ", h("a", { href: link("people", { person: done.person.number }) }, title)));
      })),
    ]);
    const more = h("button", { type: "button", onclick: () => attempt(async () => { page = await get("faces", { where, limit: PAGE, cursor: page.next }); add(); }) }, text.more);
    const shown = (face) => {
      const image = h("img", { src: address(`faces/${face.id}/crop`, { size: 240 }), alt: T.photo.alt(face.identity, face.pose), width: 140, height: 140, loading: "lazy", onerror: missing });
      const called = face.identity ? `${face.identity}${face.origins.identity === "suggestion" ? "?" : ""}` : T.unnamed;
      const one = h("a", { class: "result", href: link("people", { person: number, open: face.id }) }, image, h("span", { class: "far" }, called));
      return h("li", {}, picking.item(face.id, text.pick(`${text.face} ${face.id}`), one));
    };
    const add = () => {
      ids.push(...page.faces.map((face) => face.id));
      grid.append(...page.faces.map(shown));
      more.hidden = !page.next;
      setAround(ids, new Map(), () => again());
      picking.draw();
    };
    fill(place, [back(), h("h1", {}, text.title(one), " ", h("small", {}, T.faces(one.faces), one.suggested ? `, ${text.suggested(one.suggested)}` : "")),
      h("div", { class: "row between" }, naming, h("div", { class: "row" }, h("a", { class: "button main", href: link("find", { of: one.cover }) }, text.search), one.faces > 1 ? picking.button : null)),
      picking.bar, grid, more]);
    add();
  }

  working.show().catch(() => {});
  return { update, leave: working.leave };
}

// Things in a grid, of which some can be picked, and what can be done with those.
function picker(grid, actions) {
  const text = T.people;
  const picked = new Set();
  let on = false;
  const button = h("button", { type: "button", "aria-pressed": "false", onclick: () => { on = !on; if (!on) picked.clear(); draw(); } }, text.select);
  const bar = h("div", { class: "picked row", hidden: true });
  const item = (id, label, shown) => h("div", { class: "pickable" }, shown, h("input", { type: "checkbox", "aria-label": label, "data-id": id, onchange: (event) => {
    if (event.target.checked) picked.add(id); else picked.delete(id);
    showBar();
  } }));
  function showBar() {
    fill(bar, [h("strong", {}, text.selected(picked.size)), actions()]);
  }
  const action = (label, least, work) => h("button", { type: "button", disabled: picked.size < least, onclick: () => { say(label); work([...picked]); } }, label);
  function draw() {
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? text.selecting : text.select;
    bar.hidden = !on;
    grid.classList.toggle("picking", on);
    for (const input of grid.querySelectorAll("input[data-id]")) input.checked = picked.has(Number(input.dataset.id));
    showBar();
  }
  return { button, bar, item, action, draw };
}
