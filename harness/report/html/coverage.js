// Fallback coverage: the guards with what each kernel proves of their sides, and the source lines.
const coverage = data.coverage;

// The signs of a side. They are the letters of `corematrix coverage`.
const sideSay = (sign) => {
  if (sign === "-") return "no";
  if (sign === "?") return "unknown";
  return [..."RVX"].filter((letter) => sign.includes(letter)).map((letter) => ({ R: "resolved", V: "verified", X: "executed" })[letter]).join(", ");
};
const sideLook = (sign) => (/[VX]/.test(sign) ? "good" : sign === "R" ? "warn" : "none");

// The same of a line: its looks, and the words.
const lineSigns = {
  "+": ["live", "live: remains in a loaded program"],
  X: ["ran", "executed: every run executes it"],
  "-": ["dead", "dead: removed by the verifier"],
  "!": ["poisoned", "invalid on this kernel, but never reached"],
  "?": ["unknown", "unknown"],
};

const guardName = (guard) => [el("code", {}, guard.asked), ` ${guard.kind}`];
const sidesTold = ({ total, counts, ran }) => {
  if (total === 0) return "no guard sides";
  return `${counts[1]} of ${count(total, "side")} verified, ${counts[0]} resolved${ran || counts[2] ? `, ${counts[2]} executed` : ""}`;
};
const isUnproven = (o, guard, side) => coverage.unproven.some((one) => one.o === o && one.guard === guard && one.side === side);
const coveredOf = (o) => coverage && coverage.objects.find((one) => one.o === o);

// The guards of an object, or those of one program, with a row for each side.
const guardTable = (covered, shown, program) => {
  const object = objects[covered.o];
  const body = covered.guards.flatMap((guard, number) => {
    if (program !== undefined && !guard.programs.includes(program)) return [];
    const parts = guard.programs.map((p) => object.programs[p].name);
    const all = parts.length === object.programs.length && parts.length > 3 ? ["every program"] : parts;
    const where = [guard.place, guard.function && `in ${guard.function}`, all.join() !== guard.function && all.length > 0 && `part of ${all.join(", ")}`];
    const note = guard.undecided ? `undecided: ${guard.undecided}` : guard.switch ? "a switch in .rodata, which the loader sets" : "";
    const title = el("tr", { class: "guard" }, el("th", { scope: "rowgroup", colspan: shown.length + 1 }, guardName(guard), " ", el("span", { class: "quiet" }, where.filter(Boolean).join(" · ")), note && el("span", { class: "quiet" }, ` · ${note}`)));
    const sides = guard.undecided ? [] : guard.sides.map((side, at) => {
      const signs = textOf(side.signs).split(" ");
      const missing = isUnproven(covered.o, number, at);
      const label = [side.when, side.insns > 0 && el("span", { class: "quiet" }, ` (${count(side.insns, "instruction")})`), missing && el("span", { class: "tag bad" }, "unproven")];
      return el("tr", {}, el("th", { scope: "row" }, label), shown.map((k) => el("td", { class: sideLook(signs[k]), title: `${side.when} on ${kernels[k].name}: ${sideSay(signs[k])}` }, signs[k])));
    });
    return [title, ...sides];
  });
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Guards of ${object.name}` }, el("table", { class: "sides" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Guard and side"), shown.map((k) => el("th", { scope: "col" }, kernels[k].name)))), el("tbody", {}, body)));
};

// The lines of an object, with a sign for each kernel. Lines without code are not in an object, and cannot be shown.
const sourceTable = (covered, shown) => {
  const rows = [];
  covered.lines.forEach(([file, line, text, signs], at) => {
    const before = covered.lines[at - 1];
    if (!before || before[0] !== file) rows.push(el("tr", { class: "file" }, el("th", { scope: "rowgroup", colspan: shown.length + 2 }, covered.files[file])));
    else if (before[1] + 1 < line) rows.push(el("tr", { class: "gap" }, el("td", { colspan: shown.length + 2 })));
    const told = textOf(signs);
    const marks = shown.map((k) => {
      const [look, words] = lineSigns[told[k]] || ["unknown", told[k]];
      return el("td", { class: look, title: `${kernels[k].name}: ${words}` }, told[k]);
    });
    const everywhere = shown.some((k) => "+X".includes(told[k])) ? "" : " nowhere";
    rows.push(el("tr", { class: `line${everywhere}` }, marks, el("th", { scope: "row" }, String(line)), el("td", {}, el("code", {}, textOf(text)))));
  });
  return el("div", { class: "scroll code", tabindex: "0", role: "region", "aria-label": `Source of ${objects[covered.o].name}` }, el("table", { class: "lines" },
    el("thead", {}, el("tr", {}, shown.map((k) => el("th", { scope: "col" }, el("span", {}, kernels[k].name))), el("th", { scope: "col" }, "Line"), el("th", { scope: "col" }, "Source"))), el("tbody", {}, rows)));
};

const coverageLegend = () => {
  const sides = [["good", "R", "resolved: the kernel's answer selects this side"], ["good", "V", "verified: its instructions remain in a loaded program"]];
  if (coverage.counts[2] > 0) sides.push(["good", "X", "executed: a program ran that must have executed it"]);
  sides.push(["warn", "R", "resolved only"], ["none", "-", "neither"], ["none", "?", "unknown"]);
  return el("div", { class: "legend" }, sides.map(([look, sign, words]) => el("span", {}, el("span", { class: look }, sign), ` ${words}`)));
};

const lineLegend = (covered) => {
  const used = new Set(covered.lines.flatMap((line) => [...textOf(line[3])]));
  return el("p", { class: "legend lines-legend" }, Object.entries(lineSigns).filter(([sign]) => used.has(sign)).map(([sign, [look, words]]) => el("span", {}, el("span", { class: look }, sign), ` ${words}`)));
};

// What is inlined several times has several guards at one place, which mostly share their fate.
const unprovenGroups = (missing) => {
  const groups = new Map();
  for (const one of missing) {
    const guard = coveredOf(one.o).guards[one.guard];
    const key = JSON.stringify([one.o, guard.place, guard.kind, guard.asked, one.side]);
    if (!groups.has(key)) groups.set(key, { o: one.o, guard, side: guard.sides[one.side], functions: new Set(), words: new Set() });
    const group = groups.get(key);
    group.functions.add(guard.function);
    one.words.forEach((words) => group.words.add(words));
  }
  return [...groups.values()];
};

const unprovenList = (missing) => {
  if (missing.length === 0) return [];
  const groups = unprovenGroups(missing);
  const byObject = [...new Set(groups.map((group) => group.o))];
  const item = ({ guard, side, functions, words }) => el("li", {}, `${guard.place} `, guardName(guard), ": ", el("strong", {}, side.when),
    functions.size > 1 ? el("span", { class: "quiet" }, ` in ${[...functions].join(", ")}`) : "", [...words].map((line) => el("p", {}, prose(line))));
  return [el("h2", {}, `Unproven sides (${missing.length})`), el("p", { class: "quiet" }, "No kernel of this run verified them. ", el("code", {}, "corematrix coverage RUN --unproven"), " also searches the stored kernels."),
    byObject.map((o) => {
      const mine = groups.filter((group) => group.o === o);
      return el("details", { class: "unproven", open: byObject.length <= 3 }, el("summary", {}, el("strong", {}, objects[o].name), ` ${missing.filter((one) => one.o === o).length}`), el("ul", {}, mine.map(item)));
    })];
};

const sourceButton = (covered) => {
  const open = state.sources.has(covered.o);
  return el("button", { type: "button", class: "plain", "aria-expanded": String(open), "data-source": covered.o, onclick: () => {
    open ? state.sources.delete(covered.o) : state.sources.add(covered.o);
    go({});
    document.querySelector(`[data-source="${covered.o}"]`).focus();
  } }, open ? "Hide source" : `Source (${count(covered.lines.length, "line")})`);
};

const drawCoverage = () => {
  const shown = shownKernels(), words = state.find.toLowerCase().split(/\s+/);
  const missing = coverage.unproven.filter((one) => fitsFind(one.o));
  function fitsFind(o) {
    const covered = coveredOf(o);
    const all = [objects[o].name, ...covered.guards.flatMap((guard) => [guard.asked, guard.kind, guard.function, guard.place])].join("\n").toLowerCase();
    return words.every((word) => all.includes(word));
  }
  const fits = coverage.objects.filter((covered) => fitsFind(covered.o) && (!state.failing || missing.some((one) => one.o === covered.o)));
  const parts = fits.map((covered) => {
    const object = objects[covered.o];
    const told = covered.guards.length === 0 ? "no guards" : `${count(covered.guards.length, "guard")}, ${sidesTold(covered)}`;
    const head = el("header", {}, el("h2", {}, object.name), el("span", { class: "quiet" }, told), covered.lines.length > 0 ? sourceButton(covered) : el("span", { class: "quiet" }, "no line info, so no source view"));
    const open = state.sources.has(covered.o) && covered.lines.length > 0;
    // Side by side as long as there is room for the kernels twice.
    const both = open && shown.length <= 10 && covered.guards.length > 0 ? " both" : "";
    return el("section", { class: `covered${both}`, id: `coverage-${covered.o}`, "aria-label": object.name }, head, object.shape && el("p", { class: "quiet" }, `${object.shape.of} with ${object.shape.settings.join(", ")}`),
      covered.guards.length > 0 && guardTable(covered, shown), open && el("div", { class: "beside" }, lineLegend(covered), sourceTable(covered, shown)));
  });
  const bare = parts.filter((_, at) => fits[at].guards.length === 0), guarded = parts.filter((_, at) => fits[at].guards.length > 0);
  $("view-coverage").replaceChildren(el("div", { class: "listing wide" },
    el("p", {}, el("strong", {}, sidesTold({ ...coverage, ran: false })), coverage.total > 0 && " on at least one kernel. A guard is a place where an object checks what the kernel has, and branches; its sides are the two branches."),
    coverage.total > 0 && coverageLegend(), unprovenList(missing), guarded,
    bare.length > 0 && [el("h2", {}, "Objects without guards"), bare], fits.length === 0 && el("p", { class: "empty" }, "Nothing matches these filters.")));
  if (state.view === "coverage") $("count").textContent = `${count(fits.length, "object")}, ${count(missing.length, "unproven side")}`;
};
