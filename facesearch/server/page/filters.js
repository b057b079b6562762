// Which pictures compete, or are shown: person, pose, light, folder, when they came. Their state is part of the address.
import { field, h } from "./dom.js";
import { condition, FILTERS, go, here } from "./state.js";
import { T } from "./text.js";

export function filters(about) {
  const values = (name) => about.attributes.find((one) => one.name === name)?.values ?? [];
  const change = (name) => (event) => {
    const { tab, params } = here();
    const to = event.target.value.trim();
    go(tab, { ...params, [name]: to || undefined, open: undefined });
  };
  const select = (name, options) => h("select", { onchange: change(name) },
    h("option", { value: "" }, T.filters.any), options.map(([value, text]) => h("option", { value }, text)));
  const inputs = {
    person: h("input", { type: "text", placeholder: T.filters.any, autocomplete: "off", onchange: change("person") }),
    fpose: select("fpose", values("pose").map((value) => [value, T.pose(value)])),
    flight: select("flight", values("illumination").map((value) => [value, T.light(value)])),
    folder: h("input", { type: "text", placeholder: T.filters.any, autocomplete: "off", onchange: change("folder") }),
    since: h("input", { type: "date", onchange: change("since") }),
    until: h("input", { type: "date", onchange: change("until") }),
  };
  const unnamed = h("input", { type: "checkbox", onchange: (event) => {
    const { tab, params } = here();
    go(tab, { ...params, person: event.target.checked ? "-" : undefined, open: undefined });
  } });
  const summary = h("summary", {}, T.filters.title);
  const clear = h("button", { type: "button", class: "plain", onclick: () => {
    const { tab, params } = here();
    go(tab, { ...params, ...Object.fromEntries(FILTERS.map((name) => [name, undefined])), open: undefined });
  } }, T.filters.clear);
  const box = h("details", { class: "filters" }, summary, h("div", { class: "fields" },
    field(T.filters.person, inputs.person),
    h("label", { class: "check" }, unnamed, T.filters.unnamedOnly),
    field(T.filters.pose, inputs.fpose), field(T.filters.light, inputs.flight), field(T.filters.folder, inputs.folder),
    field(T.filters.since, inputs.since), field(T.filters.until, inputs.until), clear));
  function update(params) {
    const active = FILTERS.filter((name) => params[name]);
    for (const [name, input] of Object.entries(inputs)) {
      if (document.activeElement !== input) input.value = params[name] === "-" ? "" : params[name] ?? "";
    }
    inputs.person.disabled = params.person === "-";
    unnamed.checked = params.person === "-";
    summary.textContent = active.length ? T.filters.active(active.length) : T.filters.title;
    clear.hidden = !active.length;
    if (active.length) box.open = true;
    return condition(params);
  }
  return { box, update };
}
