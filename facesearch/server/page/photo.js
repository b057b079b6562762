// One face large, in its photograph: who else is there, search from here, name, hide.
import { address, call, get } from "./api.js";
import { field, fill, h, missing, trouble } from "./dom.js";
import { hide } from "./hide.js";
import { go, here, link } from "./state.js";
import { T } from "./text.js";

let dialog = null;
let around = []; // ids before and after, in the order of the list that it was opened from
let distances = new Map();
let changed = () => {};
let asked = null; // whom the list answers: { params, body } of a request

export function setAround(ids, found = new Map(), onChange = () => {}, whom = null) {
  around = ids;
  distances = found;
  changed = onChange;
  asked = whom;
}

export function closePhoto() {
  dialog?.close();
  dialog?.remove();
  dialog = null;
}

const without = (params) => ({ ...params, open: undefined });
const leave = () => { const { tab, params } = here(); go(tab, without(params)); };

export async function showPhoto(id, tab, params) {
  const before = document.activeElement;
  if (!dialog) {
    dialog = h("dialog", { class: "photo", "aria-labelledby": "photo-title" });
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); leave(); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) leave(); });
    dialog.addEventListener("close", () => before?.focus?.());
    dialog.addEventListener("keydown", (event) => {
      if (event.target.matches("input")) return;
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
    document.body.append(dialog);
    dialog.showModal();
  }
  const mine = dialog;
  try {
    const photo = await get(`photos/${id}`);
    if (mine !== dialog) return;
    const face = photo.faces.find((one) => one.id === id);
    fill(dialog, content(face, photo, tab, params));
    dialog.querySelector("h2").focus();
  } catch (error) {
    if (mine === dialog) fill(dialog, [head(T.photo.gone), trouble(error)]);
  }
}

function step(by) {
  const at = around.indexOf(Number(here().params.open));
  const to = around[at + by];
  if (at >= 0 && to !== undefined) {
    const { tab, params } = here();
    go(tab, { ...params, open: to }, { replace: true });
  }
}

function head(title) {
  return h("header", {},
    h("h2", { id: "photo-title", tabindex: "-1" }, title),
    h("button", { type: "button", class: "plain", onclick: leave, "aria-label": T.close, title: T.close }, "✕"));
}

function content(face, photo, tab, params) {
  const others = photo.faces.filter((one) => one.id !== face.id);
  const picture = h("div", { class: "framed" },
    h("img", { src: address(`photos/${face.id}/picture`, { size: 960 }), alt: T.photo.whole(photo.path), onerror: (event) => {
      event.target.replaceWith(h("p", { class: "note" }, T.photo.missing));
    } }),
    photo.faces.map((one) => boxed(one, one.id === face.id, tab, params)));
  const at = around.indexOf(face.id);
  return [
    head(T.photo.title(face.identity)),
    h("div", { class: "photo-body" },
      h("div", { class: face.size ? "" : "crop" }, picture,
        h("div", { class: "row between" },
          h("button", { type: "button", class: "plain", disabled: at <= 0, onclick: () => step(-1) }, `← ${T.photo.previous}`),
          h("button", { type: "button", class: "plain", disabled: at < 0 || at >= around.length - 1, onclick: () => step(1) }, `${T.photo.next} →`))),
      h("div", { class: "photo-side" },
        h("a", { class: "button main", href: link("find", { of: face.id }) }, T.photo.search),
        comparing(face), naming(face), rows(face),
        others.length ? h("p", {}, T.photo.others(others.length)) : null,
        others.length ? h("ul", { class: "strip" }, others.map((one) => h("li", {}, h("a", { href: link(tab, { ...params, open: one.id }) },
          h("img", { src: address(`faces/${one.id}/crop`, { size: 120 }), alt: T.photo.alt(one.identity, one.pose), width: 60, height: 60, onerror: missing }))))) : null,
        hiding(face))),
  ];
}

function boxed(face, chosen, tab, params) {
  if (!face.box || !face.size) return null;
  const [left, top, width, height] = face.box;
  const share = (value, of) => `${(100 * value) / of}%`;
  return h("a", { class: chosen ? "box chosen" : "box", href: link(tab, { ...params, open: face.id }),
    "aria-label": T.photo.alt(face.identity, face.pose), "aria-current": chosen ? "true" : null, style: {
      left: share(left, face.size[0]), top: share(top, face.size[1]), width: share(width, face.size[0]), height: share(height, face.size[1]) } });
}

// Whether it is the person that was asked about, whatever the look.
function comparing(face) {
  if (!asked) return null;
  const told = h("div", { role: "status" });
  const ask = h("button", { type: "button", onclick: async () => {
    ask.disabled = true;
    try {
      fill(told, likeness(await compared({ ...asked.params, other: face.id }, asked.body)));
    } catch (error) {
      fill(told, trouble(error));
    }
    ask.disabled = false;
  } }, T.photo.compare);
  return h("div", { class: "column" }, ask, told);
}

export const compared = (params, body) => call("POST", "compare", { params, body });

export function likeness(found) {
  return h("div", { class: "note" }, h("p", {}, h("strong", {}, found.same ? T.photo.same : T.photo.notSame)),
    h("p", {}, T.photo.apart(found.distance, found.threshold.distance), found.false_accepts === null ? "" : ` ${T.photo.strangers(found.false_accepts)}`));
}

function naming(face) {
  const input = h("input", { type: "text", value: face.identity ?? "", placeholder: T.photo.namePlaceholder, maxlength: 1000, autocomplete: "off" });
  const told = h("div", { role: "status" });
  return h("form", { onsubmit: async (event) => {
    event.preventDefault();
    try {
      const name = input.value.trim();
      await call("PATCH", `faces/${face.id}`, { json: { identity: name || null } });
      dialog.querySelector("h2").textContent = T.photo.title(name);
      fill(told, h("p", { class: "good" }, T.photo.named(name)));
      changed();
    } catch (error) {
      fill(told, trouble(error));
    }
  } }, field(T.photo.name, h("div", { class: "row" }, input, h("button", {}, T.save))), told);
}

function rows(face) {
  const origin = (name) => T.photo.origin[face.origins[name] ?? ""];
  const said = [
    [T.photo.rows.path, face.path],
    face.person ? [T.people.person, h("a", { href: link("people", { person: face.person }) }, face.identity || T.people.title({ number: face.person }))] : null,
    face.pose === null ? null : [T.photo.rows.pose, `${T.pose(face.pose)} (${origin("pose")})`],
    face.illumination === null ? null : [T.photo.rows.illumination, `${T.light(face.illumination)} (${origin("illumination")})`],
    face.expression ? [T.photo.rows.expression, `${face.expression} (${origin("expression")})`] : null,
    distances.has(face.id) ? [T.photo.rows.distance, distances.get(face.id).toFixed(3)] : null,
  ].filter(Boolean);
  return h("dl", {}, said.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function hiding(face) {
  const told = h("div");
  const ask = h("button", { type: "button", class: "danger", "aria-describedby": "hide-how", onclick: async () => {
    ask.disabled = true;
    const after = changed;
    try {
      await hide([face], () => after(face.id));
      leave();
    } catch (error) {
      ask.disabled = false;
      fill(told, trouble(error));
    }
  } }, T.hide.one);
  return h("div", { class: "end column" }, h("div", {}, ask), h("small", { id: "hide-how" }, T.hide.how), told);
}
