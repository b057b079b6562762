// A brush over the face: what is painted black is imagined anew.
import { h } from "./dom.js";
import { T } from "./text.js";

const SIDE = 240;

export function brush(complete, stop) {
  const canvas = h("canvas", { width: SIDE, height: SIDE, tabindex: 0, role: "application", "aria-label": T.find.paint });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const width = h("input", { type: "range", min: 8, max: 80, value: 32, id: "brush-size" });
  let image = null;
  let strokes = [];
  let at = [SIDE / 2, SIDE / 2];
  let painting = false;
  const undo = h("button", { type: "button", class: "plain", onclick: () => { strokes.pop(); draw(); } }, T.find.undo);
  const clear = h("button", { type: "button", class: "plain", onclick: () => { strokes = []; draw(); } }, T.find.clear);
  const done = h("button", { type: "button", class: "main", onclick: () => {
    draw(false);
    canvas.toBlob((blob) => { draw(); complete(strokes.length ? blob : null); }, "image/png");
  } }, T.find.doComplete);
  const back = h("button", { type: "button", onclick: () => stop(), hidden: true }, T.find.stopComplete);
  const details = h("details", { class: "card" }, h("summary", {}, h("h2", {}, T.find.complete)),
    h("p", { class: "hint" }, T.find.completeHow), h("div", { class: "paint" }, canvas,
      h("div", { class: "column" }, h("label", { for: "brush-size" }, T.find.brush), width, h("div", { class: "row" }, undo, clear), done, back)));

  function draw(cursor = document.activeElement === canvas) {
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, SIDE, SIDE);
    if (image) pen.drawImage(image, 0, 0, SIDE, SIDE);
    pen.lineCap = pen.lineJoin = "round";
    for (const { size, points } of strokes) {
      pen.strokeStyle = "#000";
      pen.lineWidth = size;
      pen.beginPath();
      points.forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      if (points.length === 1) pen.lineTo(points[0][0] + 0.1, points[0][1]);
      pen.stroke();
    }
    if (cursor) {
      for (const [colour, more] of [["#000", 0], ["#fff", 1.5]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = 1.5;
        pen.beginPath();
        pen.arc(at[0], at[1], Number(width.value) / 2 + more, 0, 7);
        pen.stroke();
      }
    }
    undo.disabled = clear.disabled = !strokes.length;
  }
  const point = (event) => {
    const all = canvas.getBoundingClientRect();
    return [((event.clientX - all.left) * SIDE) / all.width, ((event.clientY - all.top) * SIDE) / all.height];
  };
  const begin = () => strokes.push({ size: Number(width.value), points: [at] });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    at = point(event);
    painting = true;
    begin();
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    at = point(event);
    if (painting) strokes.at(-1).points.push(at);
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { painting = false; });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => draw());
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-6, 0], ArrowRight: [6, 0], ArrowUp: [0, -6], ArrowDown: [0, 6] }[event.key];
    if (!by && event.key !== " ") return;
    event.preventDefault();
    if (by) at = at.map((value, n) => Math.min(Math.max(value + by[n], 0), SIDE));
    else begin();
    draw();
  });

  // The face to paint on, by its address.
  async function show(address) {
    strokes = [];
    image = null;
    draw();
    const picture = new Image();
    picture.src = address;
    try { await picture.decode(); } catch { return; }
    image = picture;
    draw();
  }
  function set(on) {
    back.hidden = !on;
    if (on) details.open = true;
  }
  return { box: details, show, set };
}
