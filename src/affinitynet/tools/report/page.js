"use strict";
const cards = JSON.parse(document.getElementById("cards").textContent);
const kinds = cards.kinds;
const byId = (id) => document.getElementById(id);
const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const percent = (value) => (value === null ? "" : `IoU ${(100 * value).toFixed(1)} %`);

function picturesOf(number) {
  const [photo, ...layers] = byId(`p${number}`).textContent.split("\n");
  const source = (kind, text) => `data:image/${kind};base64,${text}`;
  return { photo: source("webp", photo), layers: layers.map((text) => text && source("png", text)) };
}

function picture(pictures, layer, name) {
  const box = element("span", { className: "picture" });
  box.append(element("img", { src: pictures.photo, alt: layer < 0 ? name : `${kinds[layer].title} of ${name}` }));
  if (layer >= 0 && pictures.layers[layer]) {
    box.append(element("img", { src: pictures.layers[layer], alt: "", className: kinds[layer].sharp ? "sharp" : "" }));
  }
  return box;
}

function fill(row, number) {
  const card = cards.images[number];
  const pictures = picturesOf(number);
  const cells = row.querySelector(".cells");
  for (let layer = -1; layer < kinds.length; layer++) {
    if (layer >= 0 && !pictures.layers[layer]) continue;
    const title = layer < 0 ? "image" : kinds[layer].title;
    cells.append(element("span", { className: "cell" }, element("small", { textContent: title }), picture(pictures, layer, card.name)));
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const cells = entry.target.querySelector(".cells");
    const filled = cells.childElementCount > 0;
    if (entry.isIntersecting && !filled) fill(entry.target, Number(entry.target.dataset.number));
    if (!entry.isIntersecting && filled) {
      cells.style.minHeight = `${cells.offsetHeight}px`;
      cells.replaceChildren();
    }
  }
}, { rootMargin: "600px" });

let shown = [];

function list() {
  const sort = byId("sort").value, wanted = byId("class").value, split = byId("split").value;
  const text = byId("search").value.toLowerCase();
  shown = cards.images.map((_, number) => number).filter((number) => {
    const card = cards.images[number];
    const tagged = !wanted || (wanted === "/none" ? !card.tags.length : card.tags.includes(wanted));
    return tagged && (!split || card.split === split) && card.name.toLowerCase().includes(text);
  });
  const key = {
    iou: (card) => card.iou ?? 2,
    "iou-best": (card) => -(card.iou ?? -1),
    doubt: (card) => -card.doubt,
    name: () => 0,
  }[sort];
  shown.sort((a, b) => key(cards.images[a]) - key(cards.images[b]) || cards.images[a].name.localeCompare(cards.images[b].name));
  seen.disconnect();
  byId("rows").replaceChildren(...shown.map(rowOf));
  for (const row of byId("rows").children) seen.observe(row);
  byId("count").textContent = `${shown.length} of ${cards.images.length}`;
}

function factsOf(card) {
  return [card.tags.join(", ") || "no tag", card.split, percent(card.iou), `doubt ${card.doubt.toFixed(2)}`].filter(Boolean);
}

function rowOf(number, place) {
  const card = cards.images[number];
  const facts = element("span", { className: "facts" }, element("strong", { textContent: card.name }));
  facts.append(...factsOf(card).map((fact) => element("span", { textContent: fact })));
  const button = element("button", { type: "button", className: "row" }, facts, element("span", { className: "cells" }));
  button.addEventListener("click", () => open(place));
  const row = element("li", {}, button);
  row.dataset.number = number;
  return row;
}

let place = 0;
let layer = Math.max(0, kinds.findIndex((kind) => kind.id === "mask"));

function open(at) {
  if (!shown.length) return;
  place = Math.min(Math.max(at, 0), shown.length - 1);
  const card = cards.images[shown[place]];
  const pictures = picturesOf(shown[place]);
  byId("large-name").textContent = card.name;
  byId("large-facts").textContent = factsOf(card).join(" · ");
  const box = picture(pictures, layer, card.name);
  box.firstChild.addEventListener("load", (event) => {
    box.style.setProperty("--ratio", event.target.naturalWidth / event.target.naturalHeight);
  });
  byId("stage").replaceChildren(box);
  [...byId("layers").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i - 1 === layer)));
  byId("previous").disabled = place === 0;
  byId("next").disabled = place === shown.length - 1;
  if (!byId("large").open) byId("large").showModal();
}

function choose(chosen) {
  layer = chosen;
  open(place);
}

byId("layers").append(...["image", ...kinds.map((kind) => kind.title)].map((title, i) => {
  const button = element("button", { type: "button", textContent: title });
  button.addEventListener("click", () => choose(i - 1));
  return button;
}));
byId("previous").addEventListener("click", () => open(place - 1));
byId("next").addEventListener("click", () => open(place + 1));
byId("close").addEventListener("click", () => byId("large").close());
byId("large").addEventListener("close", () => byId("rows").children[place]?.firstChild.focus());
document.addEventListener("keydown", (event) => {
  if (!byId("large").open) return;
  if (event.key === "ArrowLeft") open(place - 1);
  else if (event.key === "ArrowRight") open(place + 1);
  else if (/^[1-9]$/.test(event.key) && Number(event.key) <= kinds.length + 1) choose(Number(event.key) - 2);
  else return;
  event.preventDefault();
});
byId("choose").addEventListener("input", list);
byId("choose").addEventListener("submit", (event) => event.preventDefault());
list();
