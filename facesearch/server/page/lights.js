// The twenty lights on a hemisphere, as seen from the face's front, each with what the face looks like in it.
import { h, missing } from "./dom.js";
import { T } from "./text.js";

// Where each stands, degrees from the front and above the eyes: number 0 is the room alone. A test compares this with
// the renderer that the networks learned from.
export const LAMPS = [
  null, [-90, 12], [-67, 12], [-45, 12], [-30, 12], [-15, 12], [0, 12], [15, 12], [30, 12], [45, 12], [67, 12], [90, 12],
  [-60, 48], [-30, 48], [0, 48], [30, 48], [60, 48], [-45, -25], [0, -30], [45, -25],
];
const words = (number) => `${T.light(number)}, ${T.lightFrom(...(LAMPS[number] ?? [null, 0]))}`;

export function lights(values, choose, wanted) {
  let chosen = null;
  let pictures = [];
  const order = values.filter((number) => LAMPS[number]).sort((a, b) => LAMPS[b][1] - LAMPS[a][1] || LAMPS[a][0] - LAMPS[b][0]);
  const lamp = (number) => {
    const [azimuth, elevation] = LAMPS[number];
    return h("button", { type: "button", role: "radio", class: "lamp", "aria-checked": "false", "aria-label": words(number), title: words(number),
      style: { left: `${50 + (azimuth / 90) * 46}%`, top: `${50 - (elevation / 60) * 46}%` } });
  };
  const buttons = new Map(order.map((number) => [number, lamp(number)]));
  const room = h("button", { type: "button", class: "plain", "aria-pressed": "false", title: words(0) }, T.find.room);
  const leave = h("button", { type: "button", class: "plain", "aria-pressed": "true", onclick: () => choose(null) }, T.find.keepLight);
  const look = h("img", { class: "look", alt: "", width: 120, height: 120, onerror: missing });
  const named = h("figcaption", {});
  const dome = h("div", { class: "dome", role: "radiogroup", "aria-label": T.find.light }, [...buttons.values()]);
  const details = h("details", { class: "card" }, h("summary", {}, h("h2", {}, T.find.light)),
    h("p", { class: "hint" }, T.find.lightHow),
    h("div", { class: "lit" }, dome, h("figure", {}, look, named)), h("div", { class: "row" }, leave, room));
  details.addEventListener("toggle", () => { if (details.open) wanted(); });

  let looked = null; // the one whose look is shown
  const show = (number) => {
    looked = number;
    const picture = pictures[values.indexOf(number)];
    look.hidden = !picture;
    if (picture) { look.src = picture; look.alt = words(number); }
    named.textContent = number === null ? "" : words(number);
  };
  for (const [number, button] of [[0, room], ...buttons]) {
    button.addEventListener("click", () => choose(number));
    button.addEventListener("pointerenter", () => show(number));
    button.addEventListener("focus", () => show(number));
    button.addEventListener("pointerleave", () => show(chosen));
  }
  dome.addEventListener("keydown", (event) => {
    const at = order.findIndex((number) => buttons.get(number) === document.activeElement);
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (by === undefined || at < 0) return;
    event.preventDefault();
    const to = order[(at + by + order.length) % order.length];
    buttons.get(to).focus();
    choose(to);
  });

  function set(number) {
    chosen = number;
    for (const [one, button] of buttons) {
      button.setAttribute("aria-checked", String(one === number));
      button.tabIndex = one === number || (!buttons.has(number) && one === order[0]) ? 0 : -1;
    }
    room.setAttribute("aria-pressed", String(number === 0));
    leave.setAttribute("aria-pressed", String(number === null));
    if (number !== null) details.open = true;
    show(number);
  }
  function preview(addresses) {
    pictures = addresses ?? [];
    show(looked);
  }
  set(null);
  return { box: details, set, preview, isOpen: () => details.open };
}
