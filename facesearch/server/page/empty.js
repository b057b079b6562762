// What a newcomer sees where there is no gallery yet.
import { h } from "./dom.js";
import { link } from "./state.js";
import { T } from "./text.js";

export function empty(about) {
  const code = (text) => h("pre", {}, h("code", {}, text));
  return h("section", { class: "start" },
    h("h1", {}, T.empty.title), h("p", { class: "lead" }, T.empty.what),
    about.roots.length
      ? h("p", {}, h("a", { class: "button main", href: link("gallery") }, T.empty.here))
      : [h("p", {}, T.empty.how), code(T.empty.root), h("p", {}, T.empty.or), code(T.empty.index)],
    h("p", {}, T.empty.sample), code(T.empty.demo));
}
