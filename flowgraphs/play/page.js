// The page of `semlink play`, and the widget of a notebook: the same script, without a build step.
// `mount(root, ask)` brings what is in `root` to life; `ask(name, body, query, signal)` carries a request and gives bytes.

const SVG = "http://www.w3.org/2000/svg";
const KEPT_BYTES = 96 * 2 ** 20; // of pictures received, for the slider to find again
const REST_MS = 350; // that the slider must rest before the curve fills in
const WALK_MS = 120; // from one picture of a walk to the next, at least
const RECORDED = 100; // pictures of a recording at most
const AWAY = "The server does not answer; trying again.";

// What the server packs: the length of a JSON document, the document, points as floats, levels as bytes.
function unpacked(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  let at = 4 + size;
  const points = head.points.map((count) => {
    const found = new Float32Array(buffer, at, 2 * count);
    at += 8 * count;
    return found;
  });
  return { ...head, points, levels: new Uint8Array(buffer, at), psnr_db: Number(head.psnr_db), bytes: buffer.byteLength };
}

// The specification of a channel, as --channel takes it.
const specOf = (part) => part.name + Object.entries(part.values).map(([key, value], i) => `${i ? "," : ":"}${key}=${value}`).join("");
function parsed(text, entries) {
  const [name, given] = [text.split(":", 1)[0], text.slice(text.indexOf(":") + 1)];
  const values = {}, options = entries[name]?.options ?? {};
  for (const item of text.includes(":") ? given.split(",") : []) {
    const [key, ...rest] = item.trim().split("=");
    if (rest.length) values[key] = rest.join("=");
    else {
      const fits = ([, one]) => one.words.includes(key) || (one.kind === "antennas" && /^\d+x\d+$/.test(key)) || (one.kind === "coherence" && /^(block|fast)$/.test(key));
      const found = Object.entries(options).find(fits);
      if (found) values[found[0]] = key;
    }
  }
  return { name, values };
}

// In which order a curve fills in: the ends, the middle, the middles of what is left.
function bisected(count) {
  const order = [], seen = new Set();
  const take = (i) => { if (!seen.has(i)) { seen.add(i); order.push(i); } };
  take(0); take(count - 1);
  for (let step = count; step >= 1; step /= 2) for (let at = step / 2; at < count; at += step) take(Math.round(Math.min(at, count - 1)));
  for (let i = 0; i < count; i++) take(i);
  return order;
}

function element(name, attributes, parent, text) {
  const svg = name === "svg" || parent instanceof SVGElement;
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const told = (value, digits) => (value === Infinity ? "∞" : known(value) ? value.toFixed(digits) : "–");

function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw * 0.999), found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + 1e-9 * step; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

// Lines of {colour, points: [[x, y], …], dash} over axes with titles; an infinite y stands at the top.
function drawLines(svg, lines, { x: [x0, x1], titles, marker, least }) {
  svg.replaceChildren();
  const width = Math.max(260, svg.clientWidth), height = Math.max(160, svg.clientHeight);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const ys = lines.flatMap((line) => line.points.map((one) => one[1])).filter(Number.isFinite);
  let [y0, y1] = ys.length ? [Math.min(...ys), Math.max(...ys)] : [0, 40];
  y0 = Math.min(y0, least[0]); y1 = Math.max(y1, least[1]);
  const box = { left: 44, right: width - 10, top: 10, bottom: height - 40 };
  const X = (value) => box.left + ((value - x0) / (x1 - x0 || 1)) * (box.right - box.left);
  const Y = (value) => (value === Infinity ? box.top : box.bottom - ((value - y0) / (y1 - y0 || 1)) * (box.bottom - box.top));
  for (const tick of ticks(x0, x1, width / 75)) {
    element("line", { x1: X(tick), x2: X(tick), y1: box.top, y2: box.bottom, class: "grid" }, svg);
    element("text", { x: X(tick), y: box.bottom + 16, "text-anchor": "middle" }, svg, `${tick}`);
  }
  for (const tick of ticks(y0, y1, 5)) {
    element("line", { x1: box.left, x2: box.right, y1: Y(tick), y2: Y(tick), class: "grid" }, svg);
    element("text", { x: box.left - 6, y: Y(tick) + 4, "text-anchor": "end" }, svg, `${tick}`);
  }
  element("text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, svg, titles[0]);
  element("text", { x: 12, y: (box.top + box.bottom) / 2, transform: `rotate(-90 12 ${(box.top + box.bottom) / 2})`, "text-anchor": "middle" }, svg, titles[1]);
  if (marker !== undefined) element("line", { x1: X(marker), x2: X(marker), y1: box.top, y2: box.bottom, class: "marker" }, svg);
  for (const line of lines) {
    const points = line.points.filter((one) => known(one[1])).map(([x, y]) => [X(x), Y(y)]);
    const shape = { points: points.map((one) => one.join()).join(" "), fill: "none", "data-name": line.name };
    element("polyline", line.colour ? { ...shape, stroke: line.colour, "stroke-width": 2 } : { ...shape, class: "here" }, svg);
    if (line.dots) for (const [x, y] of points) element("circle", { cx: x, cy: y, r: 3, fill: line.colour }, svg);
  }
}

export function mount(root, ask) {
  const $ = (id) => root.querySelector(`#${id}`);
  const play = root.querySelector(".play");
  const colour = (i) => getComputedStyle(play).getPropertyValue(`--c${i % 8}`).trim();
  const state = { about: null, codecs: [], channel: null, stages: [], pictures: new Map(), word: "", rest: 0, pressed: null, x: 0.5, y: 0.5 };
  const answers = new Map(); // by scene, codec and level: what came, the latest last
  const curves = new Map(); // by scene and codec: PSNR by level
  const lanes = new Map(); // by codec: what is under way
  let bytes = 0, filling = null, takes = [], copied = 0;

  const say = (text, wrong = false) => { $("said").textContent = text; $("said").classList.toggle("wrong", wrong); };
  const asked = (name, document, signal) => ask(name, new TextEncoder().encode(JSON.stringify(document)), "", signal);
  const levels = () => state.about.start.levels;
  const level = () => levels()[Number($("slider").value)];
  const spec = () => [state.channel, ...state.stages].map(specOf).join("+");
  const scene = () => ({ picture: $("picture").value, channel: spec(), ratio: $("ratio").value.trim(), seed: Number($("seed").value) });
  // What must be given of the channel and its stages and is not, in words.
  function lacking() {
    const { channels, stages } = state.about;
    const parts = [[state.channel, channels], ...state.stages.map((one) => [one, stages])];
    const missing = parts.flatMap(([part, entries]) => Object.entries(entries[part.name]?.options ?? {})
      .filter(([key, option]) => option.default === null && !(key in part.values)).map(([key, option]) => `${part.name} lacks ${key}: ${option.help}`));
    return missing.join("; ");
  }
  const keyOf = (about, codec, esno) => JSON.stringify([about, codec, esno]);
  const curveOf = (about, codec) => {
    const key = JSON.stringify([about, codec]);
    if (!curves.has(key)) curves.set(key, new Map());
    return curves.get(key);
  };

  function keep(key, answer) {
    if (answers.has(key)) { bytes -= answers.get(key).bytes ?? 0; answers.delete(key); }
    answers.set(key, answer);
    bytes += answer.bytes ?? 0;
    for (const [old, one] of answers) {
      if (bytes <= KEPT_BYTES || old === key) break;
      answers.delete(old);
      bytes -= one.bytes ?? 0;
    }
  }

  // What is shown of a codec is a function of what is there: the slider's own level, else the nearest. Never an older
  // answer over a newer one, in whatever order they come.
  function best(about, codec) {
    const own = answers.get(keyOf(about, codec, level()));
    if (own) return { answer: own, esno: level() };
    let found = null;
    for (const esno of curveOf(about, codec).keys()) {
      const answer = answers.get(keyOf(about, codec, esno));
      if (answer && !answer.wrong && (!found || Math.abs(esno - level()) < Math.abs(found.esno - level()))) found = { answer, esno };
    }
    return found;
  }

  // One request of a codec at a time. When it is answered, what the slider says by then is asked for; when that is there,
  // and the slider rests, a point of the curve: of one codec at a time, so that a core is free for the slider.
  function pump(codec) {
    const about = scene(), lane = lanes.get(codec) ?? { under: null };
    lanes.set(codec, lane);
    if (lane.under || document.hidden || !state.pictures.has(about.picture) || lacking()) return;
    let esno = level(), fill = false, judged = false;
    const own = answers.get(keyOf(about, codec, esno));
    if (own && (walking || own.wrong || performance.now() - state.rest < REST_MS)) return;
    if (own && !own.judged) judged = true; // its SSIM, now that the slider rests
    else if (own) {
      if (filling !== null) return;
      const curve = curveOf(about, codec), next = bisected(levels().length).find((i) => !curve.has(levels()[i]));
      if (next === undefined) return;
      [esno, fill] = [levels()[next], true];
      filling = codec;
    }
    const under = { stop: new AbortController(), fill, about: JSON.stringify(about), begun: performance.now() };
    lane.under = under;
    asked("send", { ...about, codec, esno_db: esno, judged }, under.stop.signal)
      .then((buffer) => {
        const answer = { ...unpacked(buffer), judged };
        keep(keyOf(about, codec, esno), answer);
        curveOf(about, codec).set(esno, answer.psnr_db);
        if (!judged) lane.last = performance.now() - under.begun;
        if (!judged && !fill) takes.push(lane.last);
        if ($("said").textContent === AWAY) say("");
      }, (error) => {
        if (error.name === "AbortError") return;
        if (error instanceof TypeError) { say(AWAY, true); lane.pause = true; return; }
        keep(keyOf(about, codec, esno), { wrong: error.message, bytes: 0 });
        curveOf(about, codec).set(esno, NaN);
      })
      .finally(() => {
        lane.under = null;
        if (fill && filling === codec) filling = null;
        if (lane.pause) { lane.pause = false; setTimeout(look, 1500); return; }
        look();
      });
  }
  // The slowest first, for the others find their place beside it; then the curve that has the fewest points.
  function look() {
    if (!state.about) return;
    draw();
    const about = scene(), slow = (codec) => lanes.get(codec)?.last ?? 1e9, waits = (codec) => !answers.has(keyOf(about, codec, level()));
    const wanted = state.codecs.filter(waits).sort((a, b) => slow(b) - slow(a));
    const filled = state.codecs.filter((codec) => !waits(codec)).sort((a, b) => curveOf(about, a).size - curveOf(about, b).size);
    [...wanted, ...filled].forEach(pump);
  }
  function changed() {
    state.rest = performance.now();
    setTimeout(look, REST_MS + 20);
    const now = JSON.stringify(scene());
    for (const [codec, lane] of lanes) {
      const under = lane.under;
      if (under && (under.fill || under.about !== now || !state.codecs.includes(codec))) under.stop.abort();
    }
    $("spec").textContent = spec();
    look();
    if ($("copy").open) copies();
  }

  // Pictures.
  function paint(canvas, answer, { original, difference }) {
    const [h, w] = answer.shape, sent = state.pictures.get($("picture").value);
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const source = original && sent ? sent.levels : answer.levels, image = new ImageData(w, h), out = image.data;
    const differs = difference && !original && sent && sent.levels.length === source.length;
    for (let i = 0, j = 0; j < source.length; i += 4, j += 3) {
      for (let c = 0; c < 3; c++) out[i + c] = differs ? Math.min(255, 4 * Math.abs(source[j + c] - sent.levels[j + c])) : source[j + c];
      out[i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.classList.toggle("fine", w < 128 || Number($("zoom").value) > 1);
  }
  function constellation(canvas, answer, i) {
    const size = canvas.width, pen = canvas.getContext("2d"), at = (value) => size / 2 + (value * size) / 4;
    pen.clearRect(0, 0, size, size);
    pen.strokeStyle = getComputedStyle(play).getPropertyValue("--line");
    pen.strokeRect(0.5, 0.5, size - 1, size - 1);
    for (const line of [[0, size / 2, size, size / 2], [size / 2, 0, size / 2, size]]) {
      pen.beginPath(); pen.moveTo(line[0], line[1]); pen.lineTo(line[2], line[3]); pen.stroke();
    }
    pen.fillStyle = colour(i);
    pen.globalAlpha = 0.35;
    const [got, ideal] = answer.points;
    for (let k = 0; k < got.length; k += 2) pen.fillRect(at(got[k]) - 1, at(-got[k + 1]) - 1, 2, 2);
    pen.globalAlpha = 1;
    pen.fillStyle = getComputedStyle(play).getPropertyValue("--ink");
    for (let k = 0; k < ideal.length; k += 2) pen.fillRect(at(ideal[k]) - 1.5, at(-ideal[k + 1]) - 1.5, 3, 3);
  }
  function figureOf(parent, name, i) {
    const figure = element("figure", { "data-codec": name }, parent);
    const frame = element("button", { type: "button", class: "frame", "aria-label": name }, figure);
    if (i >= 0) frame.style.setProperty("--edge", `var(--c${i % 8})`);
    const canvas = element("canvas", { width: 256, height: 256 }, frame);
    const caption = element("figcaption", {}, figure), title = element("b", {}, caption);
    if (i >= 0) element("i", {}, title).style.background = `var(--c${i % 8})`;
    title.append(name);
    const press = (on) => (event) => {
      if (event.type.startsWith("key") && event.key !== " " && event.key !== "Enter") return;
      if (event.type.startsWith("key")) event.preventDefault();
      state.pressed = on ? figure : null;
      look();
      if (parent === $("walk-gallery")) drawWalk();
    };
    for (const type of ["pointerdown", "keydown"]) frame.addEventListener(type, press(true));
    for (const type of ["pointerup", "pointerleave", "keyup", "blur"]) frame.addEventListener(type, (event) => { if (state.pressed) press(false)(event); });
    frame.addEventListener("pointermove", (event) => {
      const box = frame.getBoundingClientRect();
      centre((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
    frame.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
      if (!step || Number($("zoom").value) === 1) return;
      event.preventDefault();
      centre(state.x + step[0], state.y + step[1]);
    });
    return Object.assign(figure, { frame, canvas, caption });
  }
  function centre(x, y) {
    [state.x, state.y] = [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
    play.style.setProperty("--x", `${100 * state.x}%`);
    play.style.setProperty("--y", `${100 * state.y}%`);
  }
  function figuresFor(parent, first) {
    const names = JSON.stringify(state.codecs);
    if (parent.dataset.codecs === names) return;
    parent.dataset.codecs = names;
    parent.replaceChildren();
    if (first) element("div", { class: "words" }, figureOf(parent, "sent", -1).caption);
    state.codecs.forEach((codec, i) => {
      const figure = figureOf(parent, codec, i);
      figure.words = element("div", { class: "words" }, figure.caption);
      if (!first) return;
      figure.points = element("canvas", { width: 104, height: 104, role: "img", "aria-label": `constellation of ${codec}, received symbols` }, figure.caption);
      const details = element("details", {}, figure.caption);
      element("summary", {}, details, "what is known, what was spent");
      figure.notes = element("dl", {}, details);
    });
  }
  function draw() {
    const about = scene(), sent = state.pictures.get(about.picture);
    $("level").textContent = `${level()} dB`;
    $("slider").setAttribute("aria-valuetext", `${level()} dB`);
    if (!sent) return;
    figuresFor($("gallery"), true);
    const [original, ...figures] = $("gallery").children;
    if (original.shown !== sent) { original.shown = sent; paint(original.canvas, sent, {}); }
    original.caption.lastChild.textContent = `${about.picture.split("/").pop()}, ${sent.shape[1]}×${sent.shape[0]}`;
    const missing = lacking(), shown = (codec) => (missing ? { answer: { wrong: missing }, esno: level() } : best(about, codec));
    figures.forEach((figure, i) => drawOne(figure, shown(state.codecs[i]), i));
    drawCurve(about);
  }
  function drawOne(figure, found, i) {
    figure.frame.classList.toggle("old", !found || found.esno !== level());
    if (!found || found.answer.wrong) {
      figure.words.textContent = found?.answer.wrong ?? "under way";
      figure.words.className = found ? "words wrong" : "words";
      if (found) figure.canvas.getContext("2d").clearRect(0, 0, figure.canvas.width, figure.canvas.height);
      figure.shown = null;
      return;
    }
    const { answer, esno } = found, how = { original: state.pressed === figure, difference: $("view").value === "difference" };
    const shown = JSON.stringify([how, $("zoom").value, $("picture").value, play.dataset.theme]);
    figure.dataset.esno = esno;
    if (figure.shown === answer && figure.how === shown && figure.at === esno) return;
    Object.assign(figure, { shown: answer, how: shown, at: esno });
    paint(figure.canvas, answer, how);
    constellation(figure.points, answer, i);
    figure.frame.classList.toggle("lost", answer.failed);
    figure.frame.setAttribute("aria-label", `${state.codecs[i]} at ${esno} dB: ${answer.failed ? "failed, " : ""}${told(answer.psnr_db, 1)} dB PSNR. Hold for what was sent`);
    figure.words.className = "words";
    figure.words.replaceChildren();
    element("div", { class: "big" }, figure.words, `${told(answer.psnr_db, 2)} dB PSNR`);
    element("div", {}, figure.words, `SSIM ${answer.judged ? told(answer.ssim, 4) : "…"}${esno === level() ? "" : `, at ${esno} dB`}`);
    const uses = Object.values(answer.uses).reduce((sum, one) => sum + one, 0);
    element("div", {}, figure.words, `${uses} channel uses${answer.mode ? `, ${answer.mode}` : ""}`);
    element("div", { class: answer.failed ? "wrong" : "" }, figure.words, answer.failed ? "failed" : "arrived");
    figure.notes.replaceChildren();
    const spent = Object.entries(answer.uses).map(([name, count]) => `${name} ${count}`).join(", ");
    for (const [name, text] of Object.entries({ "channel uses": `${spent}; ratio ${answer.ratio.toFixed(4)}`, ...answer.notes })) {
      element("dt", {}, figure.notes, name);
      element("dd", {}, figure.notes, text);
    }
  }
  function drawCurve(about) {
    const lines = state.codecs.map((codec, i) => ({ name: codec, colour: `var(--c${i % 8})`, dots: true,
      points: [...curveOf(about, codec)].sort((a, b) => a[0] - b[0]) }));
    const ends = [levels()[0], levels().at(-1)];
    drawLines($("curve"), lines, { x: ends, titles: ["Es/N0 (dB)", "PSNR (dB)"], marker: level(), least: [10, 30] });
    const count = lines.reduce((sum, line) => sum + line.points.length, 0);
    const median = takes.length ? takes.slice(-50).sort((a, b) => a - b)[Math.floor(Math.min(50, takes.length) / 2)] : null;
    $("timing").textContent = median === null ? "" : `${count} points of the curves; a codec's picture came after ${Math.round(median)} ms (median of the last ${Math.min(50, takes.length)})`;
  }

  // Controls, of the catalogue.
  function optionsOf(parent, part, entries, done) {
    parent.replaceChildren();
    for (const [key, option] of Object.entries(entries[part.name]?.options ?? {})) {
      const units = state.about.units[option.unit]?.join(", ") ?? option.unit;
      const label = element("label", { title: option.help }, parent, `${key}${units ? ` (${units})` : ""}`);
      const take = (value) => { if (value) part.values[key] = value; else delete part.values[key]; done(); };
      const usual = option.default === null ? "must be given" : option.default || "none";
      if (option.words.length) {
        const select = element("select", { "data-option": key }, label);
        element("option", { value: "" }, select, `${usual}`);
        for (const word of option.words) element("option", { value: word }, select, word);
        select.value = part.values[key] ?? "";
        select.addEventListener("change", () => take(select.value));
      } else {
        const input = element("input", { "data-option": key, placeholder: usual, autocomplete: "off", title: option.help, inputmode: option.kind === "count" ? "numeric" : "text" }, label);
        input.value = part.values[key] ?? "";
        input.addEventListener("change", () => take(input.value.trim()));
      }
    }
  }
  function showChannel() {
    $("channel").value = state.channel.name;
    $("channel-help").textContent = state.about.channels[state.channel.name]?.help ?? "";
    optionsOf($("options"), state.channel, state.about.channels, changed);
    $("stages").replaceChildren();
    state.stages.forEach((stage, i) => {
      const box = element("fieldset", {}, $("stages"));
      element("legend", {}, box, `${stage.name}: ${state.about.stages[stage.name].help}`);
      optionsOf(element("div", { class: "options" }, box), stage, state.about.stages, changed);
      const gone = element("button", { type: "button" }, box, `Remove ${stage.name}`);
      gone.addEventListener("click", () => { state.stages.splice(i, 1); showChannel(); changed(); $("add-stage").focus(); });
    });
  }
  function showCodecs() {
    $("codecs").replaceChildren();
    state.codecs.forEach((codec, i) => {
      const row = element("li", {}, $("codecs"));
      element("i", {}, row).style.borderColor = `var(--c${i % 8})`;
      element("span", {}, row, codec);
      const gone = element("button", { type: "button", "aria-label": `Remove ${codec}` }, row, "Remove");
      gone.disabled = state.codecs.length === 1;
      gone.addEventListener("click", () => { state.codecs = state.codecs.filter((one) => one !== codec); showCodecs(); changed(); $("codec").focus(); });
    });
  }
  function addCodec() {
    const name = $("codec").value.trim();
    if (!name || state.codecs.includes(name)) return say(name ? `${name} is there already.` : "Which codec? Its name goes into the field.", true);
    if (state.codecs.length >= state.about.most_codecs) return say(`${state.about.most_codecs} codecs at most: remove one first.`, true);
    state.codecs = [...state.codecs, name];
    $("codec").value = "";
    say("");
    showCodecs();
    changed();
  }
  // A picture that was not kept is there again: what was refused for want of it is asked for anew.
  function forgive(picture) {
    const of = (key) => JSON.parse(key)[0].picture === picture;
    for (const [key, one] of answers) if (one.wrong && of(key)) answers.delete(key);
    for (const [key, curve] of curves) if (of(key)) for (const [esno, psnr] of curve) if (Number.isNaN(psnr)) curve.delete(esno);
  }
  async function choosePicture() {
    const name = $("picture").value;
    try {
      if (!state.pictures.has(name)) state.pictures.set(name, unpacked(await asked("pixels", { picture: name })));
    } catch (error) {
      return say(error.message, true);
    }
    changed();
  }
  async function drop(file) {
    if (!file) return;
    say(`Reading ${file.name} …`);
    try {
      const query = `?name=${encodeURIComponent(file.name)}&side=${$("side").value}`;
      if (file.size > 64 * 2 ** 20) throw new Error(`${file.name} has ${Math.round(file.size / 2 ** 20)} MiB; at most 64 can be sent to the server`);
      const reply = JSON.parse(new TextDecoder().decode(await ask("drop", new Uint8Array(await file.arrayBuffer()), query)));
      if (![...$("picture").options].some((one) => one.value === reply.picture)) element("option", { value: reply.picture }, $("picture"), reply.picture);
      $("picture").value = reply.picture;
      forgive(reply.picture);
      say("");
      await choosePicture();
    } catch (error) {
      say(error instanceof TypeError ? "The server does not answer." : error.message, true);
    }
  }
  function save(content, kind, name) {
    const link = element("a", { download: name, href: URL.createObjectURL(new Blob([content], { type: kind })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
  async function copies() {
    const sent = state.pictures.get($("picture").value), number = ++copied;
    try {
      const found = JSON.parse(new TextDecoder().decode(await asked("copy", { ...scene(), codecs: state.codecs, esno_db: level() })));
      if (number !== copied) return; // a newer one is under way
      $("command").textContent = found.command;
      $("python").textContent = found.python;
      $("copy-note").textContent = sent?.word.endsWith(".png") && sent.word === $("picture").value && !sent.word.includes("/") ? `Save the picture as it is sent, as ${sent.word}, where you run this.` : "What is shown at the slider's Es/N0, bit for bit.";
    } catch (error) {
      $("copy-note").textContent = error.message;
    }
  }
  async function copyText(id) {
    try {
      await navigator.clipboard.writeText($(id).textContent);
      say("Copied.");
    } catch {
      getSelection().selectAllChildren($(id));
      say("Selected: copy it with the keyboard.");
    }
  }

  // A walk: every codec's picture of a step, then the next step.
  let walking = false, recording = null;
  const walk = { step: 0, run: 0, rows: [], good: new Map(), last: null, stop: new AbortController() };
  function restart() {
    Object.assign(walk, { step: 0, run: walk.run + 1, rows: [], last: null });
    walk.good.clear();
    $("walk-said").textContent = "";
    drawWalk();
  }
  async function stride() {
    const run = walk.run, about = { ...scene(), channel: $("walked").value }, codecs = [...state.codecs], step = walk.step;
    const wish = { ...about, esno_db: level(), step, doppler: Number($("doppler").value) };
    const got = await Promise.all(codecs.map((codec) => asked("step", { ...wish, codec }, walk.stop.signal).then(unpacked)));
    if (run !== walk.run || step !== walk.step) return; // begun anew, or another has taken this step
    walk.step = (step + 1) % state.about.steps;
    walk.rows.push({ step: (walk.rows.at(-1)?.step ?? -1) + 1, here: got[0].here_db, psnr: got.map((one) => one.psnr_db), codecs });
    if (walk.rows.length > 150) walk.rows.shift();
    codecs.forEach((codec, i) => { if (!got[i].failed) walk.good.set(codec, { answer: got[i], step }); });
    walk.last = { got, codecs, step };
    $("walk-said").textContent = `picture ${step}: Es/N0 ${told(got[0].here_db, 1)} dB here, ${level()} dB on average`;
    drawWalk();
    if (recording) record();
  }
  function drawWalk() {
    figuresFor($("walk-gallery"), false);
    if (walk.last) [...$("walk-gallery").children].forEach((figure, i) => {
      const answer = walk.last.got[walk.last.codecs.indexOf(state.codecs[i])];
      if (!answer) return;
      const good = walk.good.get(state.codecs[i]), frozen = answer.failed && $("hold").checked && good;
      paint(figure.canvas, frozen ? good.answer : answer, { original: state.pressed === figure, difference: $("view").value === "difference" });
      figure.frame.classList.toggle("lost", answer.failed);
      figure.frame.classList.toggle("old", Boolean(frozen));
      figure.words.textContent = frozen ? `frozen since picture ${good.step}` : `${answer.failed ? "failed" : "arrived"}, ${told(answer.psnr_db, 1)} dB PSNR`;
      figure.words.className = answer.failed ? "words wrong" : "words";
      figure.dataset.step = frozen ? good.step : walk.last.step;
    });
    const rows = walk.rows, first = rows[0]?.step ?? 0;
    const of = (codec) => rows.map((row) => [row.step, row.psnr[row.codecs.indexOf(codec)] ?? NaN]);
    const lines = [{ name: "Es/N0", points: rows.map((row) => [row.step, row.here]) }, ...state.codecs.map((codec, i) => ({ name: codec, colour: `var(--c${i % 8})`, points: of(codec) }))];
    if ($("walk").open) drawLines($("walk-curve"), lines, { x: [first, Math.max(first + 20, rows.at(-1)?.step ?? 0)], titles: ["picture", "PSNR; Es/N0 dotted (dB)"], least: [0, 30] });
  }
  async function run() {
    const own = walk.stop; // Pause and Walk in haste begin another before this one has seen it
    while (walking && walk.stop === own) {
      const begun = performance.now();
      try {
        await stride();
      } catch (error) {
        if (error.name !== "AbortError") say(error instanceof TypeError ? "The server does not answer." : error.message, true);
        if (walk.stop === own) walked(false);
      }
      await new Promise((done) => setTimeout(done, Math.max(0, WALK_MS - (performance.now() - begun))));
    }
  }
  function walked(on) {
    if (on === walking) return;
    walking = on;
    $("walk-play").textContent = on ? "Pause" : "Walk";
    $("walk-play").setAttribute("aria-pressed", on);
    if (on) { walk.stop = new AbortController(); run(); } else look();
  }
  function record() {
    const figures = [...$("walk-gallery").children], side = figures[0].canvas, wide = Math.max(2, Math.min(256, side.width, Math.floor(1600 / figures.length), Math.floor((1560 * side.width) / side.height)) & ~1);
    const high = Math.round((wide * side.height) / side.width), sheet = document.createElement("canvas");
    [sheet.width, sheet.height] = [wide * figures.length, high + 34];
    const pen = sheet.getContext("2d", { willReadFrequently: true });
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, sheet.width, sheet.height);
    pen.font = "11px sans-serif";
    figures.forEach((figure, i) => {
      pen.drawImage(figure.canvas, i * wide, 0, wide, high);
      pen.fillStyle = "#1b1f24";
      pen.fillText(state.codecs[i], i * wide + 4, high + 13, wide - 8);
      pen.fillStyle = figure.words.classList.contains("wrong") ? "#b33c00" : "#5c6670";
      pen.fillText(figure.words.textContent, i * wide + 4, high + 28, wide - 8);
    });
    const pixels = pen.getImageData(0, 0, sheet.width, sheet.height).data, rgb = new Uint8Array(sheet.width * sheet.height * 3);
    for (let i = 0, j = 0; i < pixels.length; i += 4) for (let c = 0; c < 3; c++) rgb[j++] = pixels[i + c];
    if (recording.frames.length && recording.size !== `${sheet.width}x${sheet.height}`) return recorded(false);
    Object.assign(recording, { size: `${sheet.width}x${sheet.height}`, width: sheet.width, height: sheet.height });
    recording.frames.push(rgb);
    $("walk-record").textContent = `Stop recording (${recording.frames.length})`;
    if (recording.frames.length >= RECORDED || (recording.frames.length + 1) * rgb.length > 60 * 2 ** 20) recorded(false);
  }
  async function recorded(on) {
    const done = recording;
    recording = on ? { frames: [] } : null;
    $("walk-record").textContent = on ? "Stop recording (0)" : "Record";
    $("walk-record").setAttribute("aria-pressed", on);
    if (on) { walked(true); return; }
    if (!done?.frames.length) return;
    const all = new Uint8Array(done.frames.length * done.frames[0].length);
    done.frames.forEach((frame, i) => all.set(frame, i * frame.length));
    try {
      save(await ask("gif", all, `?width=${done.width}&height=${done.height}&ms=${WALK_MS}`), "image/gif", "walk.gif");
      say(`Saved ${done.frames.length} pictures as walk.gif.`);
    } catch (error) {
      say(error.message, true);
    }
  }

  function wire() {
    const on = (id, type, act) => $(id).addEventListener(type, act);
    on("slider", "input", changed);
    for (const id of ["view", "zoom"]) on(id, "change", () => {
      play.style.setProperty("--zoom", $("zoom").value);
      look();
      drawWalk();
    });
    on("seed", "change", () => { $("seed").value = Math.min(state.about.most_seed, Math.max(0, Math.round(Number($("seed").value) || 0))); changed(); });
    on("again", "click", () => { $("seed").value = (Number($("seed").value) + 1) % (state.about.most_seed + 1); changed(); });
    on("ratio", "change", changed);
    on("picture", "change", choosePicture);
    on("file", "change", () => drop($("file").files[0]).then(() => { $("file").value = ""; }));
    on("save", "click", async () => {
      try { save(await asked("saved", { picture: $("picture").value }), "image/png", $("picture").value.split("/").pop().replace(/(\.\w+)?$/, ".png")); } catch (error) { say(error.message, true); }
    });
    on("channel", "change", () => { state.channel = { name: $("channel").value, values: {} }; showChannel(); changed(); });
    on("add-stage", "click", () => { state.stages.push({ name: $("stage").value, values: {} }); showChannel(); changed(); });
    on("add-codec", "click", addCodec);
    on("codec", "keydown", (event) => { if (event.key === "Enter") addCodec(); });
    on("walk-play", "click", () => walked(!walking));
    on("walk-step", "click", async () => { walked(false); try { await stride(); } catch (error) { say(error.message, true); } });
    on("walk-restart", "click", restart);
    on("walk-record", "click", () => recorded(!recording));
    for (const id of ["walked", "doppler"]) on(id, "change", restart);
    on("hold", "change", drawWalk);
    on("walk", "toggle", () => { if (!$("walk").open) walked(false); drawWalk(); });
    on("copy", "toggle", () => { if ($("copy").open) copies(); });
    for (const id of ["command", "python"]) on(`copy-${id}`, "click", () => copyText(id));
    on("theme", "click", () => {
      const dark = play.dataset.theme ? play.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      play.dataset.theme = dark ? "light" : "dark";
      look();
      drawWalk();
    });
    play.addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
    play.addEventListener("dragleave", () => $("drop").classList.remove("over"));
    play.addEventListener("drop", (event) => { event.preventDefault(); $("drop").classList.remove("over"); drop(event.dataTransfer.files[0]); });
    addEventListener("resize", () => { look(); drawWalk(); });
    document.addEventListener("visibilitychange", () => { if (document.hidden) walked(false); else look(); });
  }

  function furnish(about) {
    state.about = about;
    const { start } = about, fill = (id, entries) => entries.forEach(([value, label]) => element("option", { value }, $(id), label));
    fill("picture", about.pictures.map((name) => [name, name.split("/").pop()]));
    fill("side", about.sides.map((side) => [side, `${side} pixels a side`]));
    const [first, ...others] = start.channel.split(/\+(?=[A-Za-z])/);
    state.channel = parsed(first, about.channels);
    if (!about.channels[state.channel.name]) state.channel = { name: first, values: {} }; // of one's own, from the command line
    state.stages = others.map((text) => parsed(text, about.stages));
    fill("channel", [...new Set([...Object.keys(about.channels), state.channel.name])].map((name) => [name, name]));
    fill("stage", Object.entries(about.stages).map(([name, one]) => [name, `${name}: ${one.help}`]));
    fill("ratios", about.ratios.map((ratio) => [ratio]));
    fill("codec-names", Object.entries(about.codecs));
    fill("walked", about.walked.map((name) => [name, name]));
    if (about.walked.includes(state.channel.name)) $("walked").value = state.channel.name;
    [$("ratio").value, $("seed").value, state.codecs] = [start.ratio, start.seed, start.codecs];
    $("slider").max = start.levels.length - 1;
    const at = start.levels.findIndex((one) => one >= 10);
    $("slider").value = at < 0 ? start.levels.length - 1 : at;
    showChannel();
    showCodecs();
    wire();
    say("");
    choosePicture();
  }
  asked("catalogue", {}).then((buffer) => furnish(JSON.parse(new TextDecoder().decode(buffer))), (error) => say(error.message, true));
}

// Over HTTP, as a page.
async function overHttp(name, body, query = "", signal = undefined) {
  const reply = await fetch(`${name}${query}`, { method: "POST", body, signal });
  if (!reply.ok) throw new Error((await reply.text()).trim());
  return reply.arrayBuffer();
}
const page = document.getElementById("play");
if (page && !page.dataset.widget && location.protocol === "http:" && document.querySelector('script[src="page.js"]')) mount(document, overHttp);

// Within a notebook, by anywidget.
function overModel(model) {
  const waiting = new Map();
  let count = 0;
  model.on("msg:custom", (message, buffers) => {
    const wait = waiting.get(message.number);
    waiting.delete(message.number);
    if (!wait) return;
    if (message.wrong) wait.no(new Error(message.wrong));
    else wait.yes(new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength).slice().buffer);
  });
  return (name, body, query = "", signal = undefined) => new Promise((yes, no) => {
    const number = ++count;
    waiting.set(number, { yes, no });
    signal?.addEventListener("abort", () => { waiting.delete(number); no(new DOMException("left", "AbortError")); });
    model.send({ number, name, query: query.replace(/^\?/, "") }, undefined, [body.buffer]);
  });
}
export default {
  render({ model, el }) {
    const root = el.attachShadow({ mode: "open" });
    element("style", {}, root, model.get("_style"));
    const frame = element("div", {}, root);
    frame.innerHTML = model.get("_html");
    mount(root, overModel(model));
  },
};
