// ---- drawing

const INK = new Uint32Array(facts.colours.map((text) => packed(parseInt(text.slice(1), 16), OPACITY)));

/** A colour and its opacity as canvases keep them: red in the lowest byte. */
function packed(rgb, opacity) {
  return ((opacity << 24) | ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

function paint() {
  const { width, height } = now, pixels = new ImageData(width, height), ink = new Uint32Array(pixels.data.buffer);
  const outline = packed(0xffffff, 230);
  for (let i = 0, x = 0; i < mask.length; i++, x = x + 1 === width ? 0 : x + 1) {
    const value = mask[i];
    if ((x && mask[i - 1] !== value) || (i >= width && mask[i - width] !== value)) ink[i] = outline;
    else if (value) ink[i] = INK[value];
  }
  layer.width = width;
  layer.height = height;
  layer.getContext("2d").putImageData(pixels, 0, 0);
  draw();
}

function fit() {
  const stage = $("stage");
  view.scale = Math.min(stage.clientWidth / now.width, stage.clientHeight / now.height) || 1;
  view.x = (stage.clientWidth - now.width * view.scale) / 2;
  view.y = (stage.clientHeight - now.height * view.scale) / 2;
}

function draw() {
  const stage = $("stage"), ratio = devicePixelRatio || 1;
  canvas.width = stage.clientWidth * ratio;
  canvas.height = stage.clientHeight * ratio;
  if (!now || !photo) return;
  pen.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y);
  pen.imageSmoothingEnabled = view.scale < 2;
  pen.drawImage(photo, 0, 0, now.width, now.height);
  pen.imageSmoothingEnabled = false;
  if (!hidden) pen.drawImage(layer, 0, 0);
  const colour = label === null ? "#ffffff" : facts.colours[label + 1];
  if (line) {
    pen.strokeStyle = colour;
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = tool === "brush" ? 2 * radius() + 1 : 3 / view.scale;
    pen.beginPath();
    pen.moveTo(line[0][0] + 0.5, line[0][1] + 0.5);
    for (const [x, y] of line) pen.lineTo(x + 0.5, y + 0.5);
    pen.stroke();
  }
  if (cross) {
    const [x, y] = [cross[0] + 0.5, cross[1] + 0.5], arm = 12 / view.scale;
    for (const [width, ink] of [[4, "#000"], [2, colour]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = width / view.scale;
      pen.beginPath();
      pen.moveTo(x - arm, y);
      pen.lineTo(x + arm, y);
      pen.moveTo(x, y - arm);
      pen.lineTo(x, y + arm);
      if (tool === "brush") pen.arc(x, y, radius() + 0.5, 0, 7);
      pen.stroke();
    }
  }
}

const radius = () => Number($("radius").value);
const inside = ([x, y]) => x >= 0 && y >= 0 && x < now.width && y < now.height;

function at(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left - view.x) / view.scale, (event.clientY - box.top - view.y) / view.scale].map(Math.floor);
}

function zoom(factor, x = $("stage").clientWidth / 2, y = $("stage").clientHeight / 2) {
  const scale = Math.min(Math.max(view.scale * factor, 0.1), 40);
  view.x = x - (x - view.x) * (scale / view.scale);
  view.y = y - (y - view.y) * (scale / view.scale);
  view.scale = scale;
  draw();
}

function finish(points) {
  const said = points.filter(inside);
  line = null;
  draw();
  if (!said.length) return;
  const action = { kind: tool, class: className(), points: said };
  act(tool === "brush" ? { ...action, radius: radius() } : action);
}

// ---- hands

const touches = new Map();
let moved = null;

canvas.addEventListener("pointerdown", (event) => {
  if (!now) return;
  canvas.setPointerCapture(event.pointerId);
  touches.set(event.pointerId, [event.clientX, event.clientY]);
  if (touches.size > 1 || event.button) {
    line = null;
    moved = [...touches.values()];
    return draw();
  }
  cross = null;
  line = [at(event)];
  draw();
});

canvas.addEventListener("pointermove", (event) => {
  if (!touches.has(event.pointerId)) return;
  const before = [...touches.values()];
  touches.set(event.pointerId, [event.clientX, event.clientY]);
  const after = [...touches.values()];
  if (moved) {
    const middle = (points, axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
    const spread = (points) => (points.length > 1 ? Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]) : 1);
    view.x += middle(after, 0) - middle(before, 0);
    view.y += middle(after, 1) - middle(before, 1);
    const box = canvas.getBoundingClientRect();
    zoom(spread(after) / spread(before), middle(after, 0) - box.left, middle(after, 1) - box.top);
  } else if (line) {
    const point = at(event), last = line[line.length - 1];
    if ((point[0] !== last[0] || point[1] !== last[1]) && line.length < 5000) line.push(point);
    draw();
  }
});

for (const kind of ["pointerup", "pointercancel"])
  canvas.addEventListener(kind, (event) => {
    touches.delete(event.pointerId);
    if (line && kind === "pointerup") finish(line);
    if (!touches.size) moved = null;
  });

canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

$("stage").addEventListener("keydown", (event) => {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!now || event.ctrlKey || event.metaKey || event.altKey) return;
  if (ways[event.key]) {
    const by = event.shiftKey ? 1 : KEY_STEP, [x, y] = cross || [now.width >> 1, now.height >> 1];
    cross = [Math.min(Math.max(x + ways[event.key][0] * by, 0), now.width - 1), Math.min(Math.max(y + ways[event.key][1] * by, 0), now.height - 1)];
    draw();
  } else if (event.key === "Enter" && cross) finish([cross]);
  else return;
  event.preventDefault();
});

const keys = {
  n: () => step(1), p: () => step(-1), a: () => decide("accept"), x: () => decide("reject"),
  z: () => act({ kind: "undo" }), y: () => act({ kind: "redo" }), b: () => useTool("brush"), c: () => useTool("click"),
  m: () => hide(), t: () => askTags(), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
  "[": () => resize(-2), "]": () => resize(2), "?": () => $("help").showModal(), 0: () => choose(null),
};
for (let digit = 1; digit <= FEW; digit++)
  keys[digit] = () => {
    const button = $("labels").querySelectorAll("button")[digit];
    if (button) button.click();
  };

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=search], select") || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    event.preventDefault();
    act({ kind: event.shiftKey ? "redo" : "undo" });
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

function hide() {
  hidden = !hidden;
  $("hide").setAttribute("aria-pressed", String(hidden));
  draw();
}

function resize(by) {
  $("radius").value = radius() + by;
  draw();
}

function askTags() {
  if (!now) return;
  $("tag-boxes").replaceChildren(...facts.classes.map((name) => {
    const box = document.createElement("label"), input = document.createElement("input");
    input.type = "checkbox";
    input.value = name;
    input.checked = now.tags.includes(name);
    box.append(input, name);
    return box;
  }));
  $("tags-dialog").showModal();
}

$("tags-dialog").addEventListener("close", () => {
  const tags = [...$("tag-boxes").querySelectorAll("input:checked")].map((input) => input.value);
  if (now && $("tags-dialog").returnValue === "ok" && tags.join("\n") !== now.tags.join("\n")) act({ kind: "tags", tags });
  $("tags-dialog").returnValue = "";
});

$("list").addEventListener("scroll", rows);
$("list").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row) open(row.dataset.name);
});
$("list").addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
  if (by) {
    event.preventDefault();
    step(by);
  }
});
for (const id of ["search", "show", "kind"]) $(id).addEventListener("input", filter);
$("filters").addEventListener("submit", (event) => event.preventDefault());
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => useTool(button.dataset.tool));
for (const kind of ["undo", "redo", "reset"]) $(kind).addEventListener("click", () => act({ kind }));
for (const kind of ["accept", "reject"]) $(kind).addEventListener("click", () => decide(kind));
$("hide").addEventListener("click", hide);
$("tags").addEventListener("click", askTags);
$("help-button").addEventListener("click", () => $("help").showModal());
$("radius").addEventListener("input", draw);
addEventListener("resize", () => {
  if (now) fit();
  rows();
  draw();
});

async function begin() {
  $("kind").append(...facts.classes.map((name) => new Option(name, name)));
  try {
    images = await (await ask("/api/images")).json();
    const wanted = location.hash.slice(1);
    filter();
    const first = images.find((image) => written(image.name) === wanted) || shown[0] || images[0];
    if (first) await open(first.name);
    $("stage").focus();
  } catch (error) {
    say(error.message, true);
  }
}

begin();
