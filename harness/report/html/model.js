// The record as the page works with it, and small tools to build elements. Text of the record is only ever set as text.
(async () => {
"use strict";
const $ = (id) => document.getElementById(id);
// The record is JSON, packed by gzip and base64.
const unpacked = () => {
  const bytes = Uint8Array.from(atob($("data").textContent), (one) => one.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
};
const data = await unpacked().catch((error) => {
  $("trouble").hidden = false;
  $("trouble").textContent = `This browser cannot read the matrix (${error.message}). It takes Chrome 80, Firefox 113, Safari 16.4 or a later one.`;
});
if (!data) return;
const { kernels, objects, verdicts, causes, texts, cells } = data;

// An element with attributes, and children that are elements or texts.
const el = (name, attributes, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
};

const cellOf = (o, k) => cells[o * kernels.length + k];
const resultOf = (o, p, k) => cellOf(o, k).programs[p];
const textOf = (number) => (number === undefined || number === null ? "" : texts[number]);
const lookOf = (result) => verdicts[result.v];
const passes = (result) => lookOf(result).look === "good";
// A failure that a suite allows.
const isExcused = (result) => result.excuse !== undefined;
const blames = (result) => ["bad", "grave"].includes(lookOf(result).look) && !isExcused(result);
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

// The dangers of a program: relocations that it reaches and that read wrong data, and that it cannot attach.
const toldDangers = (o, p, k) => cellOf(o, k).dangers.filter((danger) => danger.programs.includes(p));
const effectsOf = (dangers) => [...new Set(dangers.map((danger) => danger.effect))];
const dangersOf = (o, p, k) => toldDangers(o, p, k).filter((danger) => danger.here);

// What BTF predicts for a program on a kernel that was not booted. It is no result.
const predictionOf = (o, p, k) => { const all = cellOf(o, k).predicted; return all ? all[p] : null; };

// The short words of a result and its looks.
const signOf = (o, p, k) => {
  const predicted = predictionOf(o, p, k);
  if (predicted) return [predicted.fails ? "predicted fails" : "predicted", predicted.short];
  const result = resultOf(o, p, k), { look, short } = lookOf(result);
  if (isExcused(result)) return ["excused", `(${short})`];
  return passes(result) && dangersOf(o, p, k).length > 0 ? ["warn", `${short} !`] : [look, short];
};

// What stands between backticks becomes code.
const prose = (text) => {
  const parts = text.split("`");
  if (parts.length % 2 === 0) return [text];
  return parts.map((part, index) => (index % 2 ? el("code", {}, part) : part));
};

// What is shown, and which cell is open. Everything here is in the address.
const state = { view: "matrix", find: "", kernels: new Set(), verdicts: new Set(), causes: new Set(), failing: false, unfold: false, toggled: new Set(), sources: new Set(), open: null };

const shownKernels = () => kernels.map((_, k) => k).filter((k) => state.kernels.size === 0 || state.kernels.has(k));

// Whether one result is wanted, by verdict and cause.
const wanted = (result) =>
  (state.verdicts.size === 0 || state.verdicts.has(result.v)) && (state.causes.size === 0 || state.causes.has(result.cause));

const narrowed = () => state.verdicts.size > 0 || state.causes.size > 0;

// Whether a program is wanted, by its fate on the kernels shown and by text.
const programShown = (o, p, shown) => {
  const results = shown.map((k) => resultOf(o, p, k));
  if (narrowed() && !results.some(wanted)) return false;
  if (state.failing && !results.some((result, at) => blames(result) || dangersOf(o, p, shown[at]).length > 0)) return false;
  if (!state.find) return true;
  const object = objects[o], program = object.programs[p];
  const told = results.map((result) => [result.reason, result.line, result.subject].map(textOf).join(" "));
  const causesTold = results.map((result) => (result.cause === undefined ? "" : causes[result.cause].label));
  const all = [object.name, program.name, program.section, ...told, ...causesTold].join("\n").toLowerCase();
  return state.find.toLowerCase().split(/\s+/).every((word) => all.includes(word));
};
