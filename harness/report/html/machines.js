// What other machines than the kernel's own changed: a table of objects and kernels for each.
const machines = data.machines;

const machineCell = (row, k) => {
  const n = row.counts[k];
  if (n < 0) return el("td", { class: "none" }, "–");
  if (n === 0) return el("td", { class: "good" }, "same");
  const words = `${count(n, "program")} changed`;
  return el("td", { class: "warn" }, el("button", { type: "button", title: words, "aria-label": words, onclick: () => openCell(row.row, row.first[k] || 0, k) }, `${n} changed`));
};

const drawMachines = () => {
  const shown = shownKernels(), words = state.find.toLowerCase().split(/\s+/);
  const fits = (machine) => {
    const all = [machine.name, machine.settings, ...machine.lines].join("\n").toLowerCase();
    return words.every((word) => all.includes(word)) && (!state.failing || machine.rows.some((row) => shown.some((k) => row.counts[k] > 0)));
  };
  const listing = el("div", { class: "listing wide" }, el("p", { class: "quiet" }, "Each object with these machine settings, compared with the same object without them."));
  const mine = machines.filter(fits);
  for (const machine of mine) {
    listing.append(el("h2", {}, machine.name), el("p", { class: "quiet" }, prose(machine.settings)),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Effects of ${machine.name} on every kernel` }, el("table", { class: "sides service" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Object"), shown.map((k) => el("th", { scope: "col" }, kernels[k].name)))),
        el("tbody", {}, machine.rows.map((row) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, objects[row.object].name)), shown.map((k) => machineCell(row, k))))))),
      machine.lines.map((line) => el("p", {}, prose(line))));
  }
  if (mine.length === 0) listing.append(el("p", { class: "empty" }, "Nothing matches these filters."));
  $("view-machines").replaceChildren(listing);
  if (state.view === "machines") $("count").textContent = count(mine.length, "machine");
};
