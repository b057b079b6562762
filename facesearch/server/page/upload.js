// How a photograph comes in: dropped, pasted, chosen, or taken with the camera. It stays in this page's memory.
import { fill, h } from "./dom.js";
import { T } from "./text.js";

const files = new Map(); // by number, so that an address can name one
let last = 0;
const LARGE = 6_000_000; // pixels, beyond which a photograph is made smaller before it is sent
const SIDE = 2400;

export const known = (number) => files.get(Number(number)) ?? null;

export async function keep(blob, most) {
  if (blob.type && !blob.type.startsWith("image/")) throw new Error(T.find.noPicture);
  const smaller = await shrunk(blob);
  if (smaller.size > most) throw new Error(T.find.tooLarge(Math.floor(most / 1e6)));
  files.set((last += 1), smaller);
  return last;
}

// The same, upright and no longer than SIDE, where the browser can read it.
async function shrunk(blob) {
  let picture;
  try {
    picture = await createImageBitmap(blob);
  } catch {
    return blob; // the server may read what the browser cannot
  }
  const share = SIDE / Math.max(picture.width, picture.height);
  if (picture.width * picture.height <= LARGE || share >= 1) return blob;
  const canvas = new OffscreenCanvas(Math.round(picture.width * share), Math.round(picture.height * share));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
}

export function listen(take) {
  const cover = h("div", { class: "cover", hidden: true }, T.find.dropping);
  document.body.append(cover);
  let depth = 0;
  const has = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const on = {
    dragenter: (event) => { if (has(event)) { depth += 1; cover.hidden = false; event.preventDefault(); } },
    dragover: (event) => { if (has(event)) event.preventDefault(); },
    dragleave: () => { depth = Math.max(0, depth - 1); cover.hidden = depth === 0; },
    drop: (event) => {
      depth = 0;
      cover.hidden = true;
      if (!has(event)) return;
      event.preventDefault();
      if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    },
    paste: (event) => {
      const file = [...(event.clipboardData?.files ?? [])][0];
      if (file) { event.preventDefault(); take(file); }
    },
  };
  for (const [name, handler] of Object.entries(on)) addEventListener(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(on)) removeEventListener(name, handler);
    cover.remove();
  };
}

export function chooser(take, again = false) {
  const input = h("input", { type: "file", accept: "image/*,.heic,.heif,.avif", class: "unseen", tabindex: "-1", "aria-hidden": "true", onchange: () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  } });
  const choose = h("button", { type: "button", class: again ? "" : "main", onclick: () => input.click() }, again ? T.find.another : T.find.choose);
  const camera = h("button", { type: "button", onclick: () => photograph(take) }, T.find.camera);
  if (navigator.mediaDevices?.getUserMedia) return [input, choose, camera];
  return [input, choose, again || isSecureContext ? null : h("small", {}, T.find.cameraInsecure)]; // browsers give it to nobody
}

async function photograph(take) {
  const video = h("video", { autoplay: true, muted: true, playsinline: true, "aria-label": T.find.cameraView });
  const told = h("div", { role: "status" });
  let stream = null;
  const end = () => { stream?.getTracks().forEach((track) => track.stop()); dialog.close(); dialog.remove(); };
  const shoot = h("button", { type: "button", class: "main", disabled: true, onclick: () => {
    const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => { end(); take(blob); }, "image/jpeg", 0.95);
  } }, T.find.cameraTake);
  const dialog = h("dialog", { class: "camera", "aria-label": T.find.camera }, video, told,
    h("div", { class: "row" }, shoot, h("button", { type: "button", onclick: end }, T.cancel)));
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); end(); });
  document.body.append(dialog);
  dialog.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    if (!dialog.open) { end(); return; }
    video.srcObject = stream;
    await video.play();
    shoot.disabled = false;
    shoot.focus();
  } catch {
    fill(told, h("p", { class: "note bad" }, T.find.cameraFailed));
  }
}
