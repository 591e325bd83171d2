"use strict";
const PERIOD_MS = 1000;
const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);

function made(name, text, parent) {
  const one = document.createElement(name);
  if (text !== undefined) one.textContent = text;
  if (parent) parent.append(one);
  return one;
}

function drawn(parent, name, attributes, text) {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  if (text !== undefined) one.textContent = text;
  parent.append(one);
}

function draw(id, times, lines) {
  const svg = at(id), width = svg.clientWidth, height = svg.clientHeight, left = 44, bottom = 18;
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const most = Math.max(1e-9, ...lines.flatMap((line) => line.values.filter((value) => value !== null)));
  const last = times.length ? times[times.length - 1] : 0, first = last - Math.max(60, last - (times[0] ?? 0));
  const x = (time) => left + ((time - first) / (last - first)) * (width - left - 4);
  const y = (value) => height - bottom - (value / most) * (height - bottom - 8);
  for (const share of [0, 0.5, 1]) {
    drawn(svg, "path", { class: "grid", d: `M${left} ${y(share * most)}H${width}` });
    const digits = most < 10 ? 1 : 0;
    drawn(svg, "text", { x: left - 6, y: y(share * most) + 4, "text-anchor": "end" }, (share * most).toFixed(digits));
  }
  drawn(svg, "text", { x: left, y: height - 2 }, `${Math.round(last - first)} s ago`);
  drawn(svg, "text", { x: width, y: height - 2, "text-anchor": "end" }, "now");
  for (const line of lines) {
    let path = "";
    let pen = "M";
    line.values.forEach((value, i) => {
      if (value !== null) path += `${pen}${x(times[i]).toFixed(1)} ${y(value).toFixed(1)}h0.01`;
      pen = value === null ? "M" : "L";
    });
    drawn(svg, "path", { class: line.name, d: path });
  }
}

function showNumbers(status, history) {
  const latest = history[history.length - 1] ?? [];
  const numbers = {
    "users": status.users, "answers a second": latest[1], "waiting": status.queue, "under way": status.under_way,
    "p95, ms": latest[3], "served": status.served, "refused": status.refused, "in a batch": status.batch_mean,
    "from cache": status.cached, "memory, MiB": status.memory_bytes / 2 ** 20,
  };
  at("numbers").replaceChildren();
  for (const [name, value] of Object.entries(numbers)) {
    const cell = made("div", undefined, at("numbers"));
    made("dt", name, cell);
    made("dd", Number.isFinite(value) ? String(Math.round(value * 10) / 10) : "–", cell);
  }
}

function showUsers(users) {
  at("users").replaceChildren();
  for (const user of users.slice(0, 64)) {
    const row = made("tr", undefined, at("users"));
    for (const name of ["user", "requests", "served", "refused", "waiting", "mean_ms", "p95_ms", "cached", "cached_mean_ms"])
      made("td", name.endsWith("_ms") ? (user[name] ? user[name].toFixed(1) : "–") : user[name], row);
  }
}

function figureOf(image) {
  const figure = document.createElement("figure");
  figure.dataset.number = image.number;
  const pair = made("div", undefined, figure);
  pair.className = "pair";
  for (const what of image.sent ? ["sent", "received"] : ["received"]) {
    const picture = made("img", undefined, pair);
    picture.src = `image/${image.number}/${what}`;
    picture.alt = `${what}, of ${image.user}`;
  }
  const quality = image.failed ? ", failed" : image.psnr_db === null ? "" : `, ${image.psnr_db.toFixed(1)} dB`;
  made("figcaption", `${image.user}: ${image.codec}, ${image.ms} ms${quality}`, figure);
  return figure;
}

function showImages(images) {
  const known = new Map([...at("images").children].map((one) => [one.dataset.number, one]));
  at("images").replaceChildren(...images.map((image) => known.get(String(image.number)) ?? figureOf(image)));
  at("none").hidden = images.length > 0;
}

function show(state) {
  const times = state.history.map((row) => row[0]);
  const column = (i) => state.history.map((row) => row[i]);
  showNumbers(state.status, state.history);
  draw("rate", times, [{ name: "p50", values: column(1) }]);
  draw("latency", times, [{ name: "p50", values: column(2) }, { name: "p95", values: column(3) }]);
  showUsers(state.users);
  showImages(state.images);
}

async function look() {
  setTimeout(look, PERIOD_MS);
  let state;
  try {
    state = await (await fetch("state", { signal: AbortSignal.timeout(5 * PERIOD_MS) })).json();
  } catch {
    at("away").hidden = false;
    return;
  }
  at("away").hidden = true;
  show(state);
}

look();
