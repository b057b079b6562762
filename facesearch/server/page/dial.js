// The seven poses along an arc, each as the face would look: chosen by click, by arrow keys, or by dragging.
import { h, missing } from "./dom.js";
import { T } from "./text.js";

const REACH = 44; // percent of the width to each side
const DEEP = 34; // percent of the height that the ends lie lower

export function dial(poses, choose) {
  let value = null;
  const most = Math.max(...poses.map(Math.abs));
  const place = (pose) => ({ left: `${50 + (REACH * pose) / most}%`, top: `${DEEP * (pose / most) ** 2}%` });
  const buttons = poses.map((pose) => h("button", { type: "button", role: "radio", class: "stop", "aria-checked": "false", "aria-label": T.pose(pose), title: T.pose(pose), style: place(pose) },
    h("span", { class: "degrees" }, `${pose > 0 ? "+" : ""}${pose}°`)));
  const asIs = h("button", { type: "button", class: "plain", "aria-pressed": "true", onclick: () => choose(null) }, T.find.asIs);
  const arc = h("div", { class: "arc", role: "radiogroup", "aria-label": T.find.turn }, buttons);
  const box = h("section", { class: "card", "aria-labelledby": "turn-title" },
    h("div", { class: "row between" }, h("h2", { id: "turn-title" }, T.find.turn), asIs), h("p", { class: "hint" }, T.find.turnHow), arc);

  const focus = (at) => { buttons[at].focus(); choose(poses[at]); };
  buttons.forEach((button, at) => button.addEventListener("click", () => choose(poses[at])));
  arc.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: poses.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    focus(Math.min(Math.max(to, 0), poses.length - 1));
  });

  const nearest = (event) => {
    const all = arc.getBoundingClientRect();
    const wanted = ((100 * (event.clientX - all.left)) / all.width - 50) * (most / REACH);
    return poses.reduce((best, pose) => (Math.abs(pose - wanted) < Math.abs(best - wanted) ? pose : best));
  };
  let dragging = false;
  arc.addEventListener("pointerdown", (event) => { dragging = event.isPrimary && event.button === 0; });
  arc.addEventListener("pointermove", (event) => {
    if (!dragging) return;
    if (!arc.hasPointerCapture(event.pointerId)) arc.setPointerCapture(event.pointerId);
    const pose = nearest(event);
    if (pose !== value) { set(pose); choose(pose, { soon: true }); }
  });
  for (const name of ["pointerup", "pointercancel"]) arc.addEventListener(name, () => { dragging = false; });

  function set(pose) {
    value = pose;
    const at = poses.indexOf(pose);
    buttons.forEach((button, n) => {
      button.setAttribute("aria-checked", String(n === at));
      button.tabIndex = n === at || (at < 0 && poses[n] === 0) ? 0 : -1;
    });
    asIs.setAttribute("aria-pressed", String(at < 0));
  }
  // pictures: addresses of the face at each pose, in their order
  function preview(pictures) {
    buttons.forEach((button, n) => {
      button.querySelector("img")?.remove();
      if (pictures?.[n]) button.prepend(h("img", { src: pictures[n], alt: "", width: 60, height: 60, draggable: "false", onerror: missing }));
    });
  }
  set(null);
  return { box, set, preview };
}
