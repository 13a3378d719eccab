// Filters, tabs, keys and the address.
const views = [["matrix", "Matrix", drawGrid], ["failures", `Findings (${data.findings.length})`, drawFailures], ["kernels", `Kernels (${kernels.length})`, drawKernels],
  data.changes && ["changes", `Changes (${data.changes.groups.length})`, drawChanges],
  coverage && ["coverage", coverage.total ? `Coverage (${coverage.counts[1]}/${coverage.total})` : "Coverage", drawCoverage],
  alternatives.length > 0 && ["alternatives", `Alternatives (${alternatives.length})`, drawAlternatives],
  machines.length > 0 && ["machines", `Machines (${machines.length})`, drawMachines],
  privileges.length > 0 && ["privileges", `Privileges (${privileges.length})`, drawPrivileges]].filter(Boolean);

// A choice of several: its menu, and what may be chosen.
const picks = [
  { id: "kernels", noun: "Kernels", set: state.kernels, options: kernels.map((kernel, k) => [k, kernel.name, kernel.ready ? "" : kernel.state]) },
  { id: "verdicts", noun: "Verdicts", set: state.verdicts, options: tally("v").map(([v, n]) => [v, verdicts[v].label, n]) },
  { id: "causes", noun: "Causes", set: state.causes, options: tally("cause").map(([c, n]) => [c, causes[c].label, n]) },
];

function tally(key) {
  const counts = new Map();
  for (const cell of cells) for (const result of cell.programs) if (result[key] !== undefined) counts.set(result[key], (counts.get(result[key]) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

const writeAddress = () => {
  const address = new URLSearchParams();
  if (state.view !== "matrix") address.set("view", state.view);
  if (state.find) address.set("find", state.find);
  for (const k of state.kernels) address.append("kernel", kernels[k].name);
  for (const v of state.verdicts) address.append("verdict", verdicts[v].id);
  for (const c of state.causes) address.append("cause", causes[c].id);
  if (state.failing) address.set("failing", "1");
  if (state.unfold) address.set("all", "1");
  for (const o of state.sources) address.append("source", objects[o].name);
  if (state.open) {
    address.set("object", objects[state.open.o].name);
    address.set("program", objects[state.open.o].programs[state.open.p].name);
    address.set("on", kernels[state.open.k].name);
  }
  const text = `#${address}`;
  if (text !== (location.hash || "#")) history.replaceState(null, "", text === "#" ? location.pathname + location.search : text);
};

// Names, not numbers, so that a link still means the same in the report of another run.
const readAddress = () => {
  const address = new URLSearchParams(location.hash.slice(1));
  const fill = (set, names, find) => { set.clear(); for (const name of names) { const at = find(name); if (at >= 0) set.add(at); } };
  state.view = views.some(([id]) => id === address.get("view")) ? address.get("view") : "matrix";
  state.find = address.get("find") || "";
  fill(state.kernels, address.getAll("kernel"), (name) => kernels.findIndex((one) => one.name === name));
  fill(state.verdicts, address.getAll("verdict"), (id) => verdicts.findIndex((one) => one.id === id));
  fill(state.causes, address.getAll("cause"), (id) => causes.findIndex((one) => one.id === id));
  state.failing = address.has("failing");
  state.unfold = address.has("all");
  fill(state.sources, address.getAll("source"), (name) => objects.findIndex((one) => one.name === name));
  const o = objects.findIndex((one) => one.name === address.get("object")), k = kernels.findIndex((one) => one.name === address.get("on"));
  const p = o < 0 ? -1 : objects[o].programs.findIndex((one) => one.name === address.get("program"));
  state.open = o >= 0 && p >= 0 && k >= 0 ? { o, p, k } : null;
};

const drawBar = () => {
  if ($("find").value !== state.find) $("find").value = state.find;
  $("failing").checked = state.failing;
  $("unfold").checked = state.unfold;
  for (const pick of picks) {
    const button = $(`menu-${pick.id}`);
    button.textContent = pick.set.size ? `${pick.noun}: ${pick.set.size}` : pick.noun;
    button.classList.toggle("on", pick.set.size > 0);
    for (const box of $(`pick-${pick.id}`).querySelectorAll("input")) box.checked = pick.set.has(Number(box.value));
  }
  for (const [id] of views) {
    const here = id === state.view;
    $(`tab-${id}`).setAttribute("aria-selected", String(here));
    $(`tab-${id}`).tabIndex = here ? 0 : -1;
  }
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== `view-${state.view}`;
};

const draw = () => {
  drawBar();
  views.find(([id]) => id === state.view)[2]();
  drawDetail();
  writeAddress();
};

// Changes what is shown. Opening a cell leaves everything else as it stands.
const go = (change, focus) => {
  Object.assign(state, change);
  if ("open" in change && Object.keys(change).length === 1) { drawDetail(); writeAddress(); } else draw();
  if (focus && state.open) $("detail").focus({ preventScroll: true });
};

$("meta").textContent = [data.run.started.replace("T", " ").replace("Z", " UTC"), `libbpf ${data.run.tool.libbpf}`, count(objects.length, "object"), data.run.finished ? "" : "not finished"].filter(Boolean).join(" · ");
$("tabs").append(...views.map(([id, title], at) => el("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `view-${id}`, onclick: () => go({ view: id }), onkeydown: (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  const next = views[(at + by + views.length) % views.length][0];
  go({ view: next });
  $(`tab-${next}`).focus();
} }, title)));
const closeMenus = (but) => { for (const { id } of picks) if (id !== but) { $(`pick-${id}`).hidden = true; $(`menu-${id}`).setAttribute("aria-expanded", "false"); } };
for (const pick of picks) {
  $(`pick-${pick.id}`).append(...pick.options.map(([value, label, n]) => el("label", {}, el("input", { type: "checkbox", value, onchange: (event) => {
    event.target.checked ? pick.set.add(value) : pick.set.delete(value);
    draw();
  } }), label, el("span", { class: "n" }, String(n)))));
  $(`menu-${pick.id}`).addEventListener("click", () => {
    closeMenus(pick.id);
    const box = $(`pick-${pick.id}`);
    box.hidden = !box.hidden;
    $(`menu-${pick.id}`).setAttribute("aria-expanded", String(!box.hidden));
    if (!box.hidden && box.querySelector("input")) box.querySelector("input").focus();
  });
}
document.addEventListener("click", (event) => { if (!event.target.closest(".menu")) closeMenus(); });
let waiting;
$("find").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => go({ find: $("find").value.trim() }), 120); });
$("failing").addEventListener("change", () => go({ failing: $("failing").checked }));
$("unfold").addEventListener("change", () => { state.toggled.clear(); go({ unfold: $("unfold").checked }); });
$("reset").addEventListener("click", () => { for (const { set } of picks) set.clear(); state.toggled.clear(); go({ find: "", failing: false, unfold: false }); });
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input");
  if (event.key === "Escape") {
    const menu = picks.find(({ id }) => !$(`pick-${id}`).hidden);
    if (menu) { closeMenus(); $(`menu-${menu.id}`).focus(); } else if (state.open && !(typing && event.target.value)) closeCell();
  }
  if (event.key === "/" && !typing) { event.preventDefault(); $("find").focus(); }
});
window.addEventListener("beforeprint", drawRest);
window.addEventListener("hashchange", () => { readAddress(); draw(); });
readAddress();
draw();
document.dispatchEvent(new Event("drawn"));
})();
