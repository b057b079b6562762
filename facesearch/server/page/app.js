// Where the page begins: which tab an address shows, the theme, and the key where the server asks for one.
import { call, get, onKey } from "./api.js";
import { fill, h, trouble } from "./dom.js";
import { closePhoto, showPhoto } from "./photo.js";
import { here, link, TABS } from "./state.js";
import { T } from "./text.js";

const main = document.getElementById("main");
const pages = {
  find: () => import("./find.js"),
  people: () => import("./people.js"),
  photos: () => import("./photos.js"),
  gallery: () => import("./gallery.js"),
  reports: () => import("./reports.js"),
};
let shown = null; // { tab, update, leave }
let about = null;

export async function gallery({ anew = false } = {}) {
  if (!about || anew) about = get("gallery");
  try {
    return await about;
  } catch (error) {
    about = null;
    throw error;
  }
}

async function show() {
  const { tab, params } = here();
  document.title = T.title(tab);
  for (const one of document.querySelectorAll("#tabs a")) {
    if (one.dataset.tab === tab) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  try {
    if (shown?.tab !== tab) {
      shown?.leave?.();
      shown = { tab };
      const mine = shown;
      const page = await pages[tab]();
      const known = await gallery();
      if (shown !== mine) return;
      Object.assign(shown, page.open(main, known));
    }
    await shown.update?.(here().params);
    if (params.open) showPhoto(Number(params.open), tab, params);
    else closePhoto();
  } catch (error) {
    if (error.name === "AbortError") return;
    shown = null;
    fill(main, trouble(error, show, T.again));
  }
}

function theme() {
  const button = document.getElementById("theme");
  const names = ["auto", "light", "dark"];
  let name = names.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto";
  const set = () => {
    document.documentElement.dataset.theme = name;
    button.textContent = { auto: "◐", light: "☀", dark: "☾" }[name];
    button.setAttribute("aria-label", T.theme[name]);
    button.title = T.theme[name];
  };
  button.addEventListener("click", () => {
    name = names[(names.indexOf(name) + 1) % names.length];
    localStorage.setItem("theme", name);
    set();
  });
  set();
}

let asking = null;
onKey(() => {
  asking ??= new Promise((resolve) => {
    const input = h("input", { type: "password", id: "key", autocomplete: "current-password", required: true });
    const wrong = h("div");
    const dialog = h("dialog", { class: "small", "aria-labelledby": "key-title" },
      h("form", { onsubmit: async (event) => {
        event.preventDefault();
        try {
          await call("POST", "session", { json: { key: input.value } });
          dialog.close();
          dialog.remove();
          asking = null;
          resolve();
        } catch (error) {
          fill(wrong, trouble(error));
          input.focus();
        }
      } },
      h("h2", { id: "key-title" }, T.key.title), h("div", { class: "field" }, h("label", { for: "key" }, T.key.label), input), wrong,
      h("div", { class: "row" }, h("button", { class: "main" }, T.key.open))));
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
});

const skip = document.getElementById("skip");
skip.textContent = T.skip;
skip.addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
fill(document.getElementById("tabs"), TABS.map((tab) => h("a", { href: link(tab), "data-tab": tab }, T.tabs[tab])));
theme();
addEventListener("hashchange", show);
show();
