// Photos: all of them, of which only those that can be seen are in the page.
import { address, call, get } from "./api.js";
import { fill, h, missing, say, trouble } from "./dom.js";
import { empty } from "./empty.js";
import { filters } from "./filters.js";
import { hide } from "./hide.js";
import { compared, likeness, setAround } from "./photo.js";
import { here, link } from "./state.js";
import { T } from "./text.js";

const PAGE = 120; // photos that are fetched at a time
const CELL = 132; // pixels, at least
const GAP = 8;
const KEPT = 60; // pages in memory

export function open(main, about) {
  if (!about.info) { fill(main, empty(about)); return {}; }
  const chosen = filters(about);
  const count = h("small", {});
  const sheet = h("ul", { class: "sheet", "aria-label": T.photosTab.grid });
  const told = h("div");
  const select = h("button", { type: "button", "aria-pressed": "false", onclick: () => { selecting = !selecting; if (!selecting) picked.clear(); showPicked(); draw(true); } }, T.photosTab.select);
  const bar = h("div", { class: "picked", hidden: true });
  fill(main, [h("h1", {}, T.photosTab.heading, " ", count), h("div", { class: "row between" }, chosen.box, select), bar, told, sheet]);

  let where = null;
  let total = 0;
  let pages = new Map(); // number -> faces, or a promise of them
  let selecting = false;
  const picked = new Map(); // faces by id
  let drawn = "";

  async function update(params) {
    const now = chosen.update(params);
    if (now === where) return;
    where = now;
    await load();
  }
  async function load() {
    pages = new Map();
    drawn = "";
    fill(told, h("p", { class: "hint" }, T.loading));
    try {
      const first = await get("photos", { where, limit: PAGE });
      total = first.total;
      pages.set(0, first.faces);
      count.textContent = T.photos(total);
      fill(told, total ? [] : h("p", { class: "note" }, T.photosTab.none));
      draw();
    } catch (error) {
      where = null;
      fill(told, trouble(error, () => update(here().params), T.again));
    }
  }

  function columns() {
    const wide = sheet.clientWidth || main.clientWidth;
    const across = Math.max(2, Math.floor((wide + GAP) / (CELL + GAP)));
    return { across, cell: (wide - GAP * (across - 1)) / across };
  }

  function draw(anew = false) {
    const { across, cell } = columns();
    const row = cell + GAP;
    const rows = Math.ceil(total / across);
    sheet.style.height = `${Math.max(0, rows * row - GAP)}px`;
    const top = sheet.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor(-top / row) - 2);
    const to = Math.min(rows, Math.ceil((innerHeight - top) / row) + 2);
    const state = `${from} ${to} ${across} ${cell} ${total}`;
    if (state === drawn && !anew) return;
    drawn = state;
    const focused = document.activeElement?.dataset?.at;
    const cells = [];
    const order = [];
    for (let at = from * across; at < Math.min(to * across, total); at += 1) {
      const face = faceAt(at);
      if (face) order.push(face.id);
      cells.push(box(face, at, { left: (at % across) * row, top: Math.floor(at / across) * row, cell }));
    }
    fill(sheet, cells);
    setAround(order, new Map(), () => load());
    if (focused !== undefined) sheet.querySelector(`[data-at="${focused}"]`)?.focus({ preventScroll: true });
  }

  function faceAt(at) {
    const number = Math.floor(at / PAGE);
    const page = pages.get(number);
    if (Array.isArray(page)) return page[at % PAGE];
    if (!page) fetchPage(number);
    return null;
  }
  let waiting = 0;
  function fetchPage(number) {
    const mine = pages;
    pages.set(number, "coming");
    clearTimeout(waiting);
    waiting = setTimeout(async () => { // a scroll that goes on passes many by
      const wanted = [...mine].filter(([, page]) => page === "coming").map(([one]) => one);
      for (const one of wanted.slice(0, -4)) mine.delete(one);
      await Promise.all(wanted.slice(-4).map(async (one) => {
        try {
          mine.set(one, (await get("photos", { where, limit: PAGE, offset: one * PAGE })).faces);
        } catch (error) {
          mine.delete(one);
          fill(told, trouble(error, () => draw(true), T.again));
        }
      }));
      for (const old of [...mine.keys()].slice(0, Math.max(0, mine.size - KEPT))) mine.delete(old);
      if (mine === pages) draw(true);
    }, 60);
  }

  function box(face, at, { left, top, cell }) {
    const style = { left: `${left}px`, top: `${top}px`, width: `${cell}px`, height: `${cell}px` };
    if (!face) return h("li", { style, class: "coming" });
    const alt = T.photo.alt(face.identity, face.pose);
    const image = h("img", { src: address(`photos/${face.id}/picture`, { size: 240 }), alt: selecting ? "" : alt, onerror: missing });
    if (selecting) {
      return h("li", { style }, h("label", { class: "pick" }, image,
        h("input", { type: "checkbox", "data-at": at, checked: picked.has(face.id), "aria-label": T.photosTab.pick(alt), onchange: (event) => {
          if (event.target.checked) picked.set(face.id, face); else picked.delete(face.id);
          showPicked();
        } })));
    }
    return h("li", { style }, h("a", { href: link("photos", { ...here().params, open: face.id }), "data-at": at }, image, face.identity ? h("span", {}, face.identity) : null));
  }

  function showPicked() {
    select.setAttribute("aria-pressed", String(selecting));
    select.textContent = selecting ? T.photosTab.selecting : T.photosTab.select;
    bar.hidden = !selecting;
    if (!selecting) { fill(bar, []); return; }
    const name = h("input", { type: "text", "aria-label": T.photosTab.nameAll, placeholder: T.photosTab.nameAll, maxlength: 1000, autocomplete: "off" });
    const act = async (work) => {
      try {
        say(T.galleryTab.changed(await work([...picked.values()])));
        picked.clear();
        showPicked();
        await load();
      } catch (error) {
        fill(told, trouble(error));
      }
    };
    const none = picked.size === 0;
    fill(bar, h("form", { class: "row", onsubmit: (event) => {
      event.preventDefault();
      const labels = { identity: name.value.trim() || null };
      act(async (faces) => (await call("PATCH", "faces", { json: { ids: faces.map((face) => face.id), labels } })).faces);
    } }, h("strong", {}, T.photosTab.selected(picked.size)), name, h("button", { disabled: none }, T.save),
    h("button", { type: "button", class: "danger", disabled: none, onclick: () => act((faces) => hide(faces, load)) }, T.hide.many),
    picked.size === 2 ? h("button", { type: "button", onclick: compare }, T.photosTab.compare) : null));
  }

  async function compare() {
    const [of, other] = picked.keys();
    try {
      fill(told, likeness(await compared({ of, other })));
    } catch (error) {
      fill(told, trouble(error));
    }
  }

  const scrolled = () => draw();
  addEventListener("scroll", scrolled, { passive: true });
  const watch = new ResizeObserver(() => draw());
  watch.observe(main);
  return { update, leave: () => { removeEventListener("scroll", scrolled); watch.disconnect(); } };
}
