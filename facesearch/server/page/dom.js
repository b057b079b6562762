// Elements without a framework. Text is always text: nothing that comes from a file becomes markup.
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "htmlFor" || name === "className") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  fill(made, children, false);
  return made;
}

export function fill(place, children, clear = true) {
  if (clear) place.replaceChildren();
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    place.append(child instanceof Node ? child : String(child));
  }
  return place;
}

export function say(text) {
  document.getElementById("said").textContent = text;
}

// A box that tells what went wrong, and how to mend it.
export function trouble(error, again, label) {
  return h("div", { class: "note bad", role: "alert" },
    h("p", {}, h("strong", {}, error.message), error.hint ? ` – ${error.hint}` : ""),
    again ? h("button", { type: "button", onclick: again }, label) : null);
}

let numbers = 0;
export const unique = (name) => `${name}-${(numbers += 1)}`;

export function field(label, input, hint) {
  const labelled = input.matches("input, select") ? input : input.querySelector("input, select");
  const id = labelled.id || (labelled.id = unique("f"));
  return h("div", { class: "field" }, h("label", { for: id }, label), input, hint ? h("small", {}, hint) : null);
}

export const missing = (event) => { event.target.classList.add("missing"); };
