// The API's own description, as a page: nothing of it comes from elsewhere.
import { fill, h, trouble } from "./dom.js";

const place = document.getElementById("api");
const named = (schema, all) => (schema?.$ref ? all[schema.$ref.split("/").at(-1)] : schema);

function kind(schema, all) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return schema.anyOf.map((one) => kind(one, all)).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
  if (schema.type === "array") return `list of ${kind(schema.items, all) || "anything"}`;
  return schema.format ? `${schema.type} (${schema.format})` : schema.type ?? "anything";
}
const table = (rows) => h("table", {}, h("tbody", {}, rows.map(([name, type, about]) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", {}, type), h("td", {}, about ?? "")))));

function route(path, method, said, all) {
  const body = said.requestBody?.content ?? {};
  const json = named(body["application/json"]?.schema, all);
  const answer = Object.entries(said.responses).find(([status]) => status.startsWith("2"));
  const shape = Object.values(answer?.[1].content ?? {})[0]?.schema;
  return h("details", { class: "route" }, h("summary", {}, h("code", { class: `method ${method}` }, method.toUpperCase()), " ", h("code", {}, path), " ", h("span", {}, (said.description ?? said.summary ?? "").split(/(?<=\.)\s/)[0])),
    h("p", {}, said.description ?? ""),
    said.parameters?.length ? [h("h3", {}, "In the address"), table(said.parameters.map((one) => [one.name, `${kind(one.schema, all)}${one.required ? ", needed" : ""}`, one.description ?? one.schema?.description]))] : null,
    json ? [h("h3", {}, "Body (JSON)"), h("p", {}, json.description ?? ""), table(Object.entries(json.properties ?? {}).map(([name, one]) => [name, kind(one, all), one.description]))] : null,
    Object.keys(body).length && !json ? [h("h3", {}, "Body"), h("p", {}, said.requestBody.description ?? "", " ", Object.keys(body).join(", "))] : null,
    h("h3", {}, "Answer"), h("p", {}, answer ? `${answer[0]}: ${Object.keys(answer[1].content ?? {}).join(", ") || "nothing"} ${kind(shape, all)}` : ""),
    h("p", { class: "hint" }, Object.entries(said.responses).filter(([status]) => !status.startsWith("2")).map(([status, one]) => `${status}: ${one.description}`).join(" ")));
}

try {
  const said = await (await fetch("openapi.json")).json();
  const all = said.components?.schemas ?? {};
  fill(place, [h("p", {}, said.info.description),
    Object.entries(said.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => route(path, method, one, all))),
    h("h2", {}, "What goes over the wire"),
    Object.entries(all).map(([name, one]) => h("details", { class: "route" }, h("summary", {}, h("code", {}, name), " ", h("span", {}, one.description?.split(/(?<=\.)\s/)[0] ?? "")),
      table(Object.entries(one.properties ?? {}).map(([field, about]) => [field, kind(about, all), about.description]))))]);
} catch (error) {
  fill(place, trouble({ message: `The description cannot be read (${error.message}).` }));
}
