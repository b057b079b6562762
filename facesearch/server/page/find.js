// Find: whom, how they should look, and who was found.
import { address, call, get } from "./api.js";
import { brush } from "./brush.js";
import { dial } from "./dial.js";
import { fill, h, missing, say, trouble } from "./dom.js";
import { empty } from "./empty.js";
import { filters } from "./filters.js";
import { lights } from "./lights.js";
import { setAround } from "./photo.js";
import { go, here, link } from "./state.js";
import { T } from "./text.js";
import { chooser, keep, known, listen } from "./upload.js";

const FIRST = 24; // results
const MOST = 1000;
const SOON = 140; // milliseconds that a drag rests before it is asked

export function open(main, about) {
  if (!about.info) { fill(main, empty(about)); return {}; }
  const values = (name) => about.attributes.find((one) => one.name === name).values;
  const change = (more, options) => { const { params } = here(); go("find", { ...params, ...more, open: undefined, k: undefined }, options); };
  let timer = 0;
  const wish = (more) => (value, { soon = false } = {}) => {
    clearTimeout(timer);
    const act = () => change(more(value));
    if (soon) timer = setTimeout(act, SOON); else act();
  };

  const told = h("div");
  const start = h("section", { class: "start" });
  const whom = h("div", { class: "whom" });
  const stage = h("div", { class: "stage" });
  const found = h("section", { class: "found", "aria-label": T.find.results });
  const turn = dial(values("pose"), wish((pose) => ({ pose: pose ?? undefined })));
  const lamps = lights(values("illumination"), wish((light) => ({ light: light ?? undefined })), () => sweepLights());
  const paint = brush(async (blob) => {
    if (blob) await take(blob, { ...here().params, inpaint: 1 });
    else change({ inpaint: 1 });
  }, () => change({ inpaint: undefined }));
  const chosen = filters(about);
  const distinct = h("input", { type: "checkbox", onchange: (event) => change({ distinct: event.target.checked ? "identity" : undefined }) });
  const controls = h("div", { class: "controls" }, turn.box, lamps.box, paint.box);
  const work = h("div", { class: "work", hidden: true },
    h("div", { class: "left" }, whom, stage, controls),
    h("div", { class: "right" }, h("div", { class: "row between" }, chosen.box, h("label", { class: "check" }, distinct, T.find.everyone)), found));
  fill(main, [told, start, work]);
  setStart();

  const deaf = listen((file) => take(file));
  async function take(file, params = {}) {
    try {
      const number = await keep(file, about.limits.bytes);
      fill(told, []);
      go("find", { pose: params.pose, light: params.light, inpaint: params.inpaint, u: number });
    } catch (error) {
      fill(told, trouble(error));
    }
  }

  function setStart() {
    const strip = h("ul", { class: "strip large" });
    fill(start, [
      h("h1", {}, T.find.heading), h("p", { class: "lead" }, T.find.lead),
      about.demo ? h("p", { class: "note" }, T.galleryTab.demo) : null,
      h("div", { class: "drop" }, h("p", {}, T.find.drop), h("div", { class: "row centre" }, chooser((file) => take(file))), h("small", {}, T.find.notKept, about.photographs ? "" : ` ${T.find.crops}`)),
      h("h2", {}, T.find.begin), strip,
    ]);
    get("faces", { limit: 1 }).then(async (page) => {
      const apart = Math.max(1, Math.floor(page.total / 12));
      const some = await Promise.all(Array.from({ length: Math.min(12, page.total) }, (_, n) => get("faces", { limit: 1, offset: n * apart })));
      fill(strip, some.flatMap((one) => one.faces).map((face) => h("li", {}, h("a", { href: link("find", { of: face.id }) },
        h("img", { src: address(`faces/${face.id}/crop`, { size: 240 }), alt: T.photo.alt(face.identity, face.pose), width: 96, height: 96, onerror: missing }),
        h("span", {}, face.identity || T.unnamed)))));
    }).catch((error) => fill(strip, h("li", {}, trouble(error, setStart, T.again))));
  }

  // --- asking ---

  let asked = ""; // what the last answer is to
  let whose = ""; // of whom the previews are
  let running = null;
  let detected = null; // { number, said }

  function wishes(params) {
    const upload = params.u ? known(params.u) : null;
    return {
      body: upload,
      params: { of: params.of, face: params.face, pose: params.pose, illumination: params.light, inpaint: params.inpaint ? true : undefined },
    };
  }

  async function update(params) {
    const where = chosen.update(params);
    distinct.checked = params.distinct === "identity";
    const nobody = !params.of && !params.u;
    start.hidden = !nobody;
    work.hidden = nobody;
    if (nobody) { asked = whose = ""; running?.abort(); setAround([]); return; }
    if (params.u && !known(params.u)) { fill(told, trouble({ message: T.find.gone })); start.hidden = false; work.hidden = true; asked = ""; return; }
    turn.set(params.pose === undefined ? null : Number(params.pose));
    lamps.set(params.light === undefined ? null : Number(params.light));
    paint.set(Boolean(params.inpaint));
    const now = JSON.stringify([{ ...params, open: undefined }, where]);
    if (now === asked) return;
    asked = now;
    fill(told, []);
    running?.abort();
    running = new AbortController();
    await ask(params, where, running.signal);
  }

  async function ask(params, where, signal) {
    const { body, params: wanted } = wishes(params);
    main.setAttribute("aria-busy", "true");
    stage.classList.add("busy");
    try {
      await showFaces(params, signal);
      const k = Number(params.k) || FIRST;
      const answer = await call("POST", "query", { params: { ...wanted, k, where, distinct: params.distinct }, body, signal });
      showStage(params, answer);
      showFound(params, answer, k);
      preview(params, answer, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      asked = "";
      fill(found, trouble(error, () => update(here().params), T.again));
      if (error.code === "no_face" || error.code === "image" || error.code === "missing_package") fill(stage, []);
    } finally {
      if (!signal.aborted) {
        main.removeAttribute("aria-busy");
        stage.classList.remove("busy");
      }
    }
  }

  // The uploaded photograph with its faces, where it shows more than a crop.
  async function showFaces(params, signal) {
    const another = h("div", { class: "row" }, chooser((file) => take(file), true));
    if (!params.u) { detected = null; fill(whom, another); return; }
    if (detected?.number !== params.u) {
      const said = await call("POST", "faces", { body: known(params.u), signal });
      detected = { number: params.u, said, picture: URL.createObjectURL(known(params.u)) };
    }
    const { said, picture } = detected;
    const count = said.faces.length;
    if (!said.size || said.turns) { fill(whom, another); return; }
    const at = Number(params.face) || 1;
    const share = (value, of) => `${(100 * value) / of}%`;
    fill(whom, [another, count > 1 ? h("p", { class: "hint" }, T.find.fewFaces(count)) : null,
      h("div", { class: "framed whole" }, h("img", { src: picture, alt: T.find.pictured }),
        said.faces.map((face) => h("button", { type: "button", class: face.number === at ? "box chosen" : "box", "aria-pressed": String(face.number === at),
          "aria-label": face.number === at ? T.find.faceChosen(face.number, count) : T.find.face(face.number, count),
          style: { left: share(face.box[0], said.size[0]), top: share(face.box[1], said.size[1]), width: share(face.box[2], said.size[0]), height: share(face.box[3], said.size[1]) },
          onclick: () => change({ face: face.number === 1 ? undefined : face.number }) })))]);
  }

  // --- showing ---

  function showStage(params, answer) {
    const last = answer.steps.at(-1);
    const words = [params.inpaint ? T.find.complete.toLowerCase() : null, params.light === undefined ? null : T.light(params.light), params.pose === undefined ? null : T.pose(Number(params.pose))].filter(Boolean).join(", ");
    const figure = (source, caption, alt) => h("figure", {}, h("img", { src: address(source), alt, width: 240, height: 240, onerror: missing }), h("figcaption", {}, caption));
    fill(stage, [
      figure(answer.source, T.find.given, T.find.given),
      last ? figure(last.picture, T.find.imagined(words), T.find.imagined(words)) : h("figure", {}, h("div", { class: "blank" }, T.find.notImagined)),
    ]);
    stage.append(h("button", { type: "button", class: "jump wide", onclick: () => found.scrollIntoView() }, `${T.find.results}: ${T.find.count(answer.results.length)} ↓`));
    for (const warning of answer.warnings) stage.append(h("p", { class: "hint wide" }, warning));
  }

  function showFound(params, answer, k) {
    const results = answer.results;
    const change = () => { asked = ""; update(here().params); };
    const { body, params: { of, face } } = wishes(params);
    setAround(results.map((one) => one.id), new Map(results.map((one) => [one.id, one.distance])), change, { body, params: { of, face } });
    if (!results.length) { fill(found, h("p", { class: "note" }, T.find.none)); say(T.find.none); return; }
    fill(found, [
      h("h2", {}, T.find.results, " ", h("small", {}, T.find.count(results.length))),
      answer.near === false ? h("p", { class: "note" }, T.find.notHere(answer.far.toFixed(2), answer.usual.toFixed(2))) : null,
      h("ol", { class: "grid" }, results.map((one) => card(one, params))),
      results.length === k && k < MOST ? h("button", { type: "button", onclick: () => go("find", { ...here().params, k: Math.min(2 * k, MOST) }, { replace: true }) }, T.find.more) : null,
    ]);
    say(`${T.find.results}: ${T.find.count(results.length)}`);
  }

  function card(one, params) {
    const pose = one.pose === null ? null : h("span", { class: "tag" }, `${one.pose > 0 ? "+" : ""}${one.pose}°`);
    return h("li", {}, h("a", { class: "result", href: link("find", { ...params, open: one.id }) },
      h("img", { src: address(`faces/${one.id}/crop`, { size: 240 }), alt: T.photo.alt(one.identity, one.pose), width: 140, height: 140, loading: "lazy", onerror: missing }),
      h("span", { class: "who" }, one.identity || T.unnamed, pose),
      h("span", { class: "far" }, one.file === "there" ? T.find.distance(one.distance) : T.find.file[one.file])));
  }

  // --- what the other looks would be ---

  let lit = ""; // of which face and pose the lights are
  async function preview(params, answer, signal) {
    const face = `${params.of}|${params.u}|${params.face}`;
    const mine = `${face}|${params.inpaint}|${params.light}`;
    if (face !== whose.split("&")[0]) paint.show(address(answer.source));
    if (mine !== whose.split("&")[1]) {
      turn.preview(null);
      const pictures = await sweep("pose", { ...params, pose: undefined }, signal);
      if (pictures) { turn.preview(pictures); whose = `${face}&${mine}`; }
    }
    if (lamps.isOpen()) await sweepLights();
  }
  async function sweepLights() {
    const { params } = here();
    const mine = JSON.stringify([params.of, params.u, params.face, params.inpaint, params.pose]);
    if (mine === lit || (!params.of && !known(params.u))) return;
    lit = mine;
    lamps.preview(null);
    const pictures = await sweep("illumination", { ...params, light: undefined }, running?.signal);
    if (pictures && lit === mine) lamps.preview(pictures); else if (!pictures) lit = "";
  }
  async function sweep(attribute, params, signal) {
    const { body, params: wanted } = wishes(params);
    try {
      const said = await call("POST", "sweep", { params: { ...wanted, attribute, k: 1 }, body, signal });
      return said.answers.map((one) => address(one.steps.at(-1).picture, { size: 120 }));
    } catch {
      return null; // only what the other looks would be: the answer itself stands
    }
  }

  return { update, leave: () => { deaf(); running?.abort(); } };
}
