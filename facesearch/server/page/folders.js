// Folders below those that the server was started with, to choose one.
import { get } from "./api.js";
import { field, fill, h, trouble } from "./dom.js";
import { T } from "./text.js";

// label: what the button says of a folder's name; use: what is done with (root, folder).
export function folders(place, about, label, use) {
  const text = T.folders;
  const attempt = async (root, folder, focus = false) => {
    try {
      await browse(root, folder);
      if (focus) place.querySelector("button")?.focus();
    } catch (error) {
      fill(place, trouble(error, () => attempt(root, folder), T.again));
    }
  };
  async function browse(root, folder) {
    const found = (await get("folders", { root, folder })).folders;
    const into = (name) => (folder ? `${folder}/${name}` : name);
    const to = (next) => attempt(root, next, true);
    fill(place, [
      about.roots.length > 1 ? field(text.root, h("select", { onchange: (event) => attempt(Number(event.target.value), "") }, about.roots.map((one, n) => h("option", { value: n, selected: n === root }, one)))) : null,
      h("p", {}, h("strong", {}, [about.roots[root], folder].filter(Boolean).join(" / "))),
      h("ul", { class: "folders", "aria-label": text.inside },
        folder ? h("li", {}, h("button", { type: "button", class: "plain", onclick: () => to(folder.split("/").slice(0, -1).join("/")) }, `↑ ${text.up}`)) : null,
        found.map((one) => h("li", {}, h("button", { type: "button", class: "plain", "aria-label": text.into(one), onclick: () => to(into(one)) }, `${one} ›`))),
        found.length ? null : h("li", { class: "hint" }, text.none)),
      h("button", { type: "button", class: "main", onclick: () => use(root, folder) }, label(folder.split("/").at(-1) || about.roots[root])),
    ]);
  }
  attempt(0, "");
}
