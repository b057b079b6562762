// Every state is an address: #/find?of=12&pose=30. Going there, back and forth, is what the browser does.
export const TABS = ["find", "people", "photos", "gallery", "reports"];

export function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const params = Object.fromEntries(new URLSearchParams(query ?? ""));
  return { tab: TABS.includes(path) ? path : "find", params };
}

export function link(tab, params = {}) {
  const known = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  const query = new URLSearchParams(known.map(([name, value]) => [name, String(value)])).toString();
  return `#/${tab}${query ? `?${query}` : ""}`;
}

export function go(tab, params, { replace = false } = {}) {
  const to = link(tab, params);
  if (to === location.hash) return;
  if (replace) {
    history.replaceState(null, "", to);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = to;
  }
}

// The condition that the filters of an address make.
const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
const day = (text) => (/^\d{4}-\d\d-\d\d$/.test(text ?? "") ? text : null);
export function condition({ person, fpose, flight, folder, since, until }) {
  const parts = [];
  if (person === "-") parts.push("identity is null");
  else if (person) parts.push(`identity = ${quoted(person)}`);
  if (fpose) parts.push(`(pose = ${Number(fpose)} or pose is null and decided = ${Number(fpose)})`);
  if (flight) parts.push(`illumination = ${Number(flight)}`);
  if (folder) parts.push(`path like ${quoted(`${folder.replace(/\/+$/, "")}/%`)}`);
  if (day(since)) parts.push(`added >= ${quoted(since)}`);
  if (day(until)) parts.push(`added <= ${quoted(until)}`);
  return parts.join(" and ");
}
export const FILTERS = ["person", "fpose", "flight", "folder", "since", "until"];
