// Faces that somebody does not want here: erased, left out from then on, and back again at a word.
import { call, get } from "./api.js";
import { fill, h, say, trouble } from "./dom.js";
import { T } from "./text.js";

const PATIENCE = 20_000; // milliseconds that the undo is offered; the tab Gallery offers it for good
let offer = null;

// Hide these faces, as the API tells of them; how many. changed() when it is done, and when it is undone.
export async function hide(faces, changed) {
  const done = await call("DELETE", "faces", { json: { ids: faces.map((face) => face.id) } });
  changed();
  offerUndo(done, faces, changed);
  return done.faces;
}

export const bringBack = (names) => call("POST", "hidden/back", { json: { names } });

function offerUndo(done, faces, changed) {
  withdraw();
  const told = h("span", {}, T.hide.done(done.faces));
  const undo = h("button", { type: "button", hidden: done.hidden.length === 0, onclick: async () => {
    clearTimeout(timer);
    undo.disabled = true;
    told.textContent = T.hide.undoing;
    try {
      const back = await bringBack(done.hidden);
      await relabel(back.faces, faces);
      withdraw();
      say(T.hide.back(back.faces.length));
      changed();
    } catch (error) {
      fill(offer, [trouble(error), close]);
    }
  } }, T.hide.undo);
  const close = h("button", { type: "button", class: "plain", "aria-label": T.close, title: T.close, onclick: withdraw }, "✕");
  offer = h("div", { class: "offer", role: "status" }, told, undo, close);
  document.body.append(offer);
  const timer = setTimeout(withdraw, PATIENCE);
}

function withdraw() {
  offer?.remove();
  offer = null;
}

// What a hand said of them was erased with them: it is said again.
async function relabel(ids, faces) {
  const before = new Map(faces.map((face) => [`${face.path}#${face.number}`, face]));
  await Promise.all(ids.map(async (id) => {
    const face = await get(`faces/${id}`);
    const was = before.get(`${face.path}#${face.number}`);
    const said = Object.keys(was?.origins ?? {}).filter((name) => was.origins[name] === "hand");
    if (said.length) await call("PATCH", `faces/${id}`, { json: Object.fromEntries(said.map((name) => [name, was[name]])) });
  }));
}
