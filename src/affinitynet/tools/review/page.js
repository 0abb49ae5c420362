"use strict";
const facts = FACTS;
const ROW = 46, FEW = 9, OPACITY = 115, KEY_STEP = 10;
const $ = (id) => document.getElementById(id);
const canvas = $("canvas"), pen = canvas.getContext("2d"), layer = document.createElement("canvas");
let images = [], shown = [], current = null, now = null, mask = null, photo = null;
let tool = "click", label = null, hidden = false, cross = null, line = null, busy = Promise.resolve();
const view = { scale: 1, x: 0, y: 0 };
const pictures = new Map(), versions = new Map();

// ---- the server

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { "X-Token": facts.token, "Content-Type": "application/json" } });
  } catch {
    throw new Error("not saved: affinitynet review does not answer any more; start it again");
  }
  if (!answer.ok) {
    const error = new Error((await answer.json()).error);
    error.status = answer.status;
    throw error;
  }
  return answer;
}

/** A name in letters that an address can hold: file names need not be text. */
const written = (name) => encodeURIComponent(JSON.stringify(name).slice(1, -1));
const about = (path, name) => `/api/${path}?name=${written(name)}`;
const stateOf = async (name) => (await ask(about("state", name))).json();

async function unpacked(state) {
  const bytes = Uint8Array.from(atob(state.mask), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function picture(name) {
  if (!pictures.has(name)) {
    pictures.set(name, ask(about("picture", name)).then((answer) => answer.blob()).then(createImageBitmap));
    pictures.get(name).catch(() => pictures.delete(name));
    if (pictures.size > 12) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(name);
}

function say(text, bad = false) {
  $("said").textContent = text;
  $("said").classList.toggle("bad", bad);
}

// ---- the list

function filter() {
  const text = $("search").value.toLowerCase(), which = $("show").value, kind = $("kind").value;
  shown = images.filter((image) =>
    image.name.toLowerCase().includes(text) && (!kind || image.tags.includes(kind)) &&
    (which === "all" || (which === "open" ? !image.verdict || image.name === current : image.verdict === which)));
  const done = images.filter((image) => image.verdict).length;
  $("count").textContent = `${shown.length} shown, ${done} of ${images.length} reviewed`;
  $("space").style.height = `${shown.length * ROW}px`;
  rows();
}

function rows() {
  const list = $("list"), first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const visible = shown.slice(first, first + Math.ceil(list.clientHeight / ROW) + 10);
  $("rows").style.top = `${first * ROW}px`;
  $("rows").replaceChildren(...visible.map((image) => {
    const row = document.createElement("div"), name = document.createElement("span"), more = document.createElement("span");
    row.className = "row";
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(image.name === current));
    row.dataset.name = image.name;
    name.textContent = image.name;
    more.className = "soft";
    more.textContent = [image.tags.join(", ") || "nothing", image.verdict].filter(Boolean).join(" · ");
    row.append(name, more);
    return row;
  }));
}

function noted(state) {
  const image = images.find((one) => one.name === state.name);
  image.tags = state.tags;
  image.verdict = state.verdict;
  filter();
}

function step(by) {
  const place = shown.findIndex((image) => image.name === current);
  const next = shown[Math.min(Math.max(place + by, 0), shown.length - 1)];
  if (next && next.name !== current) open(next.name);
}

async function open(name) {
  current = name;
  now = mask = photo = line = cross = null;  // until they are those of this image, nothing can be done to it
  draw();
  location.hash = written(name);
  filter();
  const place = shown.findIndex((image) => image.name === name), list = $("list");
  if (place * ROW < list.scrollTop || (place + 1) * ROW > list.scrollTop + list.clientHeight)
    list.scrollTop = Math.max(0, (place - 2) * ROW);
  $("name").textContent = name;
  try {
    const [state, bitmap] = await Promise.all([busy.then(() => stateOf(name)), picture(name)]);
    if (name !== current) return;
    photo = bitmap;
    await take(state, true);
    ask(about("prepare", name)).catch(() => {});
    const next = shown[place + 1];
    if (next) picture(next.name).catch(() => {});
  } catch (error) {
    say(error.message, true);
  }
}

// ---- one image

async function take(state, fresh = false) {
  versions.set(state.name, state.version);
  noted(state);
  const bytes = await unpacked(state);
  if (state.name !== current || !photo) return;
  now = state;
  mask = bytes;
  if (fresh) {
    label = state.tags.length ? facts.classes.indexOf(state.tags[0]) : null;
    fit();
    say("");
  }
  if (label !== null && label >= facts.classes.length) label = null;
  Object.assign(document.body.dataset, { name: state.name, version: state.version });
  $("verdict").textContent = state.verdict || "";
  $("undo").disabled = !state.undo;
  $("redo").disabled = !state.redo;
  buttons();
  paint();
}

/** Do something to the image that is shown, after all that was asked for before; tell whether it was saved. */
function act(action) {
  if (!now) return Promise.resolve(false);
  const name = current, saved = busy.then(() => send(name, action));
  busy = saved;
  return saved;
}

async function send(name, action) {
  const start = performance.now();
  if (name === current) say("…");
  try {
    const body = JSON.stringify({ name, version: versions.get(name), action });
    await take(await (await ask("/api/act", { method: "POST", body })).json());
    document.body.dataset.milliseconds = Math.round(performance.now() - start);
    if (name === current) say("saved");
    return true;
  } catch (error) {
    say(name === current ? error.message : `${name}: ${error.message}`, true);
    if (error.status === 409) await stateOf(name).then(take).catch(() => {});
    return false;
  }
}

async function decide(kind) {
  const name = current, place = shown.findIndex((image) => image.name === name);
  const next = shown[place + 1] || shown[place - 1];
  if ((await act({ kind })) && name === current && next) open(next.name);
}

const className = () => (label === null ? null : facts.classes[label]);

function buttons() {
  if (!now) return;
  const few = facts.classes.length <= FEW;
  const offered = few ? facts.classes : facts.classes.filter((name, i) => now.tags.includes(name) || i === label);
  const made = [null, ...offered].map((name) => {
    const button = document.createElement("button"), colour = document.createElement("i");
    const number = name === null ? null : facts.classes.indexOf(name);
    button.type = "button";
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(number === label));
    button.classList.toggle("absent", name !== null && !now.tags.includes(name));
    colour.style.background = name === null ? "transparent" : facts.colours[number + 1];
    button.append(colour, name === null ? "background" : name);
    button.addEventListener("click", () => choose(number));
    return button;
  });
  if (!few) {
    const more = document.createElement("select");
    more.setAttribute("aria-label", "another class");
    more.append(new Option("another class …", ""), ...facts.classes.map((name, i) => new Option(name, i)));
    more.addEventListener("change", () => more.value && choose(Number(more.value)));
    made.push(more);
  }
  $("labels").replaceChildren(...made);
  for (const button of document.querySelectorAll("[data-tool]"))
    button.setAttribute("aria-checked", String(button.dataset.tool === tool));
}

function choose(number) {
  label = number;
  buttons();
}

function useTool(name) {
  tool = name;
  buttons();
  draw();
}
