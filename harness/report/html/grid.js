// The heat map: programs down, kernels across.
const fate = (o, p, k) => {
  const result = resultOf(o, p, k), [, sign] = signOf(o, p, k);
  const cause = result.cause === undefined ? "" : `, ${causes[result.cause].label}`;
  const danger = effectsOf(dangersOf(o, p, k)).map((effect) => `, ${effect}`).join("");
  const excuse = isExcused(result) ? `; excused: ${textOf(result.excuse)}` : "";
  const predicted = predictionOf(o, p, k);
  if (predicted) return `${sign}, predicted from BTF: ${predicted.label}${predicted.reason === null ? "" : `: ${textOf(predicted.reason)}`}`;
  // What stands on a button begins its name, so that it can be called by it.
  return `${sign}, ${lookOf(result).label}${cause}${danger}${excuse}`;
};
const say = (o, p, k) => `${objects[o].name}, ${objects[o].programs[p].name} on ${kernels[k].name}: ${fate(o, p, k)}`;

const isOpen = (o, p, k) => state.open && state.open.o === o && state.open.p === p && state.open.k === k;

const cellButton = (o, p, k) => {
  const [look, sign] = signOf(o, p, k);
  const dim = narrowed() && !wanted(resultOf(o, p, k)) ? " dim" : "";
  const label = say(o, p, k);
  return el("button", {
    type: "button", class: `cell ${look}${dim}`, "data-at": `${o},${p},${k}`, "aria-label": label,
    title: label, tabindex: "-1", "aria-current": isOpen(o, p, k) ? "true" : null,
  }, sign);
};

const sumOf = (o, k) => {
  const cell = cellOf(o, k), total = cell.programs.length;
  const loaded = cell.programs.filter(passes).length;
  if (cell.predicted) return el("span", { class: "sum predicted" }, `~${cell.predicted.filter((one) => one.resolves).length}/${total}`);
  if (cell.programs.every((result) => lookOf(result).look === "none")) return el("span", { class: "sum" }, "–");
  const whole = cell.whole === false && loaded === total ? "*" : "";
  const part = cell.programs.some((result) => !passes(result) && !isExcused(result)) || (whole && cell.whole_excuse === null);
  const allowed = (loaded < total || whole) && !part;
  return el("span", { class: `sum${part ? " part" : ""}` }, allowed ? `(${loaded}/${total}${whole})` : `${loaded}/${total}${whole}`);
};

// An object is unfolded where something in it differs from loading, unless its reader said otherwise.
const isUnfolded = (o, rows, shown) => {
  const eventful = rows.some((p) => shown.some((k) => {
    const look = lookOf(resultOf(o, p, k)).look;
    const predicted = predictionOf(o, p, k);
    return (look !== "good" && look !== "none") || dangersOf(o, p, k).length > 0 || Boolean(predicted && predicted.fails);
  }));
  const unfolded = state.unfold || eventful || Boolean(state.find);
  return state.toggled.has(o) ? !unfolded : unfolded;
};

const objectStory = (o, shown) => {
  const k = shown.find((one) => cellOf(o, one).whole === false && cellOf(o, one).programs.every(passes));
  return objects[o].broken || (k !== undefined && `the object as a whole does not load on ${kernels[k].name}: ${textOf(cellOf(o, k).why)}`) || "";
};

const programStory = (o, p, shown) => {
  if (objects[o].programs[p].story) return objects[o].programs[p].story;
  const failed = [...shown].reverse().map((k) => resultOf(o, p, k)).find(blames);
  const danger = shown.flatMap((k) => dangersOf(o, p, k))[0];
  const predicted = shown.map((k) => predictionOf(o, p, k)).find((one) => one && one.fails);
  if (!failed && !danger && predicted) return `predicted: ${predicted.label}: ${textOf(predicted.reason)}`;
  if (failed || danger) return failed ? textOf(failed.reason) : textOf(danger.words);
  // What could not be judged has a reason, too.
  const open = [...shown].reverse().find((k) => !passes(resultOf(o, p, k)) && resultOf(o, p, k).reason !== undefined);
  return open === undefined ? "" : `${kernels[open].name}: ${textOf(resultOf(o, p, open).reason)}`;
};

// Of a large matrix the first rows are drawn at once and the others while the browser has nothing else to do, each time twice as many: the
// layout of the whole table costs more than a row.
const AT_ONCE = 4000;
let rest = null;
const drawRows = (body, rows, columns) => {
  let at = 0, portion = Math.max(20, Math.ceil(AT_ONCE / Math.max(1, columns)));
  const draw = (number) => { body.append(...rows.slice(at, at + number).map((row) => row())); at += number; };
  const mine = { whole: () => draw(rows.length) };
  const later = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  const more = () => {
    if (rest !== mine) return;
    draw(portion);
    portion *= 2;
    if (at < rows.length) later(more, { timeout: 1000 });
    else rest = null;
  };
  rest = mine;
  more();
};
const drawRest = () => { if (rest) { rest.whole(); rest = null; } };
const inGrid = (selector) => {
  if (!document.querySelector(selector)) drawRest();
  return document.querySelector(selector);
};

const drawGrid = () => {
  const shown = shownKernels(), view = $("view-matrix");
  // The remaining room shows why, and since when.
  const why = (text) => el("td", { class: "last" }, text && el("span", { title: text }, text.replaceAll("`", "")));
  const head = el("tr", {}, el("th", { scope: "col" }, "Program"), shown.map((k) => el("th", { scope: "col" },
    el("button", { type: "button", class: kernels[k].ready ? null : kernels[k].types ? "types" : "off", title: `${kernels[k].name}: ${kernels[k].state}${kernels[k].identity ? `, ${kernels[k].identity.release}` : kernels[k].types ? `, BTF of ${kernels[k].types.release}` : ""}`, onclick: () => go({ view: "kernels" }) }, kernels[k].name))), el("th", { scope: "col", class: "last" }, "Reason"));
  const body = el("tbody"), rows = [];
  let programs = 0, failing = 0;
  objects.forEach((object, o) => {
    const mine = object.programs.map((_, p) => p).filter((p) => programShown(o, p, shown));
    if (mine.length === 0 && !(object.programs.length === 0 && !state.find && !narrowed())) return;
    programs += mine.length;
    failing += mine.filter((p) => shown.some((k) => blames(resultOf(o, p, k)))).length;
    const unfolded = isUnfolded(o, mine, shown);
    const fold = () => el("button", { type: "button", class: "fold", "aria-expanded": String(unfolded), title: object.broken ? `${object.name}: ${object.broken}` : object.name, onclick: () => {
      state.toggled.has(o) ? state.toggled.delete(o) : state.toggled.add(o);
      drawGrid();
      inGrid(`[data-object="${o}"] .fold`).focus();
    } }, object.broken ? `${object.name} (cannot be read)` : object.name);
    rows.push(() => el("tr", { class: "object", "data-object": o }, el("th", { scope: "row" }, fold()), shown.map((k) => el("td", {}, sumOf(o, k))), why(objectStory(o, shown))));
    if (!unfolded) return;
    for (const p of mine) {
      const name = object.programs[p].name;
      rows.push(() => el("tr", {}, el("th", { scope: "row" }, el("span", { class: "name", title: `${name}  (${object.programs[p].section})` }, name)), shown.map((k) => el("td", {}, cellButton(o, p, k))), why(programStory(o, p, shown))));
    }
  });
  const table = el("table", { class: shown.length > 12 ? "grid narrow" : "grid" }, el("caption", { hidden: true }, "Programs and kernels"), el("thead", {}, head), body);
  table.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (cell) openCell(...cell.dataset.at.split(",").map(Number));
  });
  table.addEventListener("keydown", walk);
  drawRows(body, rows, shown.length);
  view.replaceChildren(rows.length ? table : el("p", { class: "empty" }, objects.length ? "No program matches these filters." : "This run has no objects."), legend());
  const first = table.querySelector(".cell[aria-current]") || table.querySelector(".cell");
  if (first) first.tabIndex = 0;
  $("count").textContent = `${count(programs, "program")} × ${count(shown.length, "kernel")}, ${failing} failing`;
};

// Arrow keys walk from cell to cell.
const walk = (event) => {
  const cell = event.target.closest(".cell");
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e3], End: [0, 1e3] };
  const step = steps[event.key];
  if (!cell || !step) return;
  event.preventDefault();
  const rows = [...document.querySelectorAll(".grid tbody tr")].filter((row) => row.querySelector(".cell"));
  const cellsOf = (row) => [...row.querySelectorAll(".cell")];
  const limit = (number, length) => Math.max(0, Math.min(length - 1, number));
  const row = rows.findIndex((one) => one.contains(cell)), column = cellsOf(rows[row]).indexOf(cell);
  const line = cellsOf(rows[limit(row + step[0], rows.length)]);
  const next = line[limit(column + step[1], line.length)];
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
};

const legend = () => {
  const seen = new Set(cells.flatMap((cell) => cell.predicted ? [] : cell.programs.map((result) => result.v)));
  const foreseen = [...new Map(cells.flatMap((cell) => cell.predicted || []).map((one) => [one.short, one])).values()];
  const predicted = foreseen.map((one) => el("span", {}, el("span", { class: one.fails ? "predicted fails" : "predicted" }, one.short), ` predicted from BTF: ${one.label}`));
  const signs = verdicts.map((verdict, v) => seen.has(v) && el("span", {}, el("span", { class: verdict.look }, verdict.short), ` ${verdict.label}`));
  const effects = effectsOf(cells.flatMap((cell) => cell.dangers).filter((danger) => danger.here));
  const danger = effects.length > 0 && el("span", {}, el("span", { class: "warn" }, "ok !"), ` loads, but ${effects.join(" or ")}`);
  const whole = cells.some((cell) => cell.whole === false) && el("span", {}, el("span", {}, "2/2*"), " each program loads, but not the object as a whole");
  const excused = cells.some((cell) => cell.programs.some(isExcused) || cell.whole_excuse !== null) && el("span", {}, el("span", { class: "excused" }, "(…)"), " fails, but the suite allows it");
  return el("div", { class: "legend" }, signs, predicted, danger, excused, whole);
};
