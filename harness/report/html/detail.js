// The evidence of one cell.
const openCell = (o, p, k) => go({ open: { o, p, k } }, true);

const closeCell = () => {
  const { o, p, k } = state.open || {};
  go({ open: null });
  const cell = inGrid(`.cell[data-at="${o},${p},${k}"]`);
  if (cell) cell.focus();
};

const copyButton = (label, text, otherwise) => el("button", { type: "button", class: "plain", onclick: (event) => {
  const told = event.target;
  const done = (words) => { told.textContent = words; setTimeout(() => { told.textContent = label; }, 1500); };
  navigator.clipboard ? navigator.clipboard.writeText(text()).then(() => done("Copied"), () => done(otherwise)) : done(otherwise);
} }, label);

const drawDetail = () => {
  const box = $("detail"), at = state.open;
  for (const cell of document.querySelectorAll(".cell[aria-current]")) cell.removeAttribute("aria-current");
  box.hidden = !at;
  if (!at) return box.replaceChildren();
  const { o, p, k } = at, object = objects[o], program = object.programs[p], result = resultOf(o, p, k), cell = cellOf(o, k);
  const button = inGrid(`.cell[data-at="${o},${p},${k}"]`);
  if (button) { button.setAttribute("aria-current", "true"); if (matchMedia("(min-width: 1001px)").matches) button.scrollIntoView({ block: "nearest", inline: "nearest" }); }
  const look = lookOf(result), kernel = kernels[k];
  const close = el("button", { type: "button", class: "plain", "aria-label": "Close", onclick: closeCell }, "Close ✕");
  const link = copyButton("Copy link", () => location.href, "See the address");
  const strip = el("div", { class: "strip", role: "group", "aria-label": "The same program on every kernel" }, kernels.map((one, other) => {
    const [look, sign] = signOf(o, p, other);
    return el("button", { type: "button", class: look, "aria-label": `${one.name} ${fate(o, p, other)}`, "aria-current": other === k ? "true" : null, onclick: () => openCell(o, p, other) },
      el("b", {}, one.name), " ", el("span", {}, sign));
  }));
  box.replaceChildren(
    el("header", {}, el("h2", {}, `${object.name} / ${program.name} `, el("span", { class: "quiet" }, `on ${kernel.name}`)), link, close),
    el("p", { class: "quiet mono" }, [program.section, kernel.identity && kernel.identity.release].filter(Boolean).join(" · ")),
    strip, story(o, p, k, look, result), ...[adviceOf(result), commandsPart(o, p, k), dangerPart(o, p, k), warningPart(p, cell), valuesPart(o, p, k), logPart(result), guardsPart(o, p), beyondPart(o, p, k), statisticsPart(o, p, k), restPart(o, k, cell)].flat().filter(Boolean));
  box.scrollTop = 0;
};

const entry = (term, ...what) => [el("dt", {}, term), el("dd", {}, ...what)];

const story = (o, p, k, look, result) => {
  const program = objects[o].programs[p], kernel = kernels[k];
  const list = el("dl", { class: "what" }, entry("Verdict", el("span", { class: `verdict ${look.look}` }, look.label), result.errno ? ` errno ${result.errno}` : ""));
  const predicted = predictionOf(o, p, k);
  if (predicted) list.append(...entry("Predicted", el("strong", {}, predicted.label), predicted.reason === null ? "" : [": ", prose(textOf(predicted.reason))], el("p", { class: "quiet" }, `From the BTF of ${kernel.types ? kernel.types.release : "the kernel"} alone. Nothing was loaded.`)));
  const cause = result.cause === undefined ? null : causes[result.cause].label;
  const subject = textOf(result.subject), line = textOf(result.line), reason = textOf(result.reason);
  if (cause) list.append(...entry("Cause", el("strong", {}, cause), subject && ": ", subject && el("code", {}, subject)));
  if (program.story) list.append(...entry("Since", prose(program.story)));
  if (line) list.append(...entry("Evidence", el("code", {}, line)));
  if (reason && reason !== line) list.append(...entry("Reason", prose(reason)));
  if (isExcused(result)) list.append(...entry("Excused", prose(textOf(result.excuse))));
  if (result.near !== undefined) list.append(...entry("Close to a limit", ...result.near.map((one) => el("p", {}, "It ", prose(textOf(one))))));
  if (result.attach !== undefined) list.append(...entry("Attach", prose(textOf(result.attach))));
  if (result.ran !== undefined) list.append(...entry("Run", prose(textOf(result.ran))));
  if (result.time !== undefined) list.append(...entry("Cost", prose(textOf(result.time))));
  if (!kernel.ready && kernel.reason) list.append(...entry("Kernel", `${kernel.state}: ${kernel.reason}`, kernel.hint ? el("p", { class: "quiet" }, kernel.hint) : ""));
  const source = sourceOf(o, p, k, result);
  if (source) list.append(...entry("Source", el("span", { class: "mono" }, [source.place, result.insn !== undefined && `instruction ${result.insn}`].filter(Boolean).join(", ")), source.text && el("code", { class: "source" }, source.text)));
  return list;
};

// Kernels before 6.8 print no line; another kernel's word about the same text does.
const sourceOf = (o, p, k, result) => {
  if (result.insn === undefined && result.text === undefined) return null;
  if (result.place !== undefined) return { place: textOf(result.place), text: textOf(result.text) };
  const other = kernels.map((_, j) => resultOf(o, p, j)).find((one) => one.place !== undefined && one.text === result.text);
  return { place: other ? textOf(other.place) : "", text: textOf(result.text) };
};

const adviceOf = (result) => result.advice !== undefined && [el("h3", {}, "Explanation and advice"), el("pre", { class: "advice", tabindex: "0" }, textOf(result.advice))];

// What the kernel complained of while this program was in flight, or before the first and after the last one.
const warningPart = (p, cell) => {
  const told = cell.warnings.filter((warning) => warning.program === null || warning.program === p);
  return told.length > 0 && [el("h3", {}, "Kernel warnings ", el("small", {}, "logged by the kernel, which went on")), told.map((warning) =>
    el("details", {}, el("summary", {}, el("code", {}, textOf(warning.headline)), warning.count > 1 && ` ${warning.count} times`, warning.noise && " (emulation can cause this)", warning.program === null && " (before or after the programs of this object)"),
      el("pre", { tabindex: "0" }, textOf(warning.text))))];
};

const dangerPart = (o, p, k) => {
  const part = (dangers, ...title) => dangers.length === 0 ? [] : [el("h3", {}, ...title), dangers.map((danger) =>
    el("p", {}, prose(textOf(danger.words)), danger.place && ` at ${danger.place}`, danger.text && el("code", { class: "source" }, danger.text)))];
  const told = toldDangers(o, p, k);
  return [
    ...effectsOf(dangersOf(o, p, k)).flatMap((effect) =>
      part(told.filter((danger) => danger.effect === effect), "Silent dangers ", el("small", {}, `it loads, but ${effect} on this kernel`))),
    ...part(told.filter((danger) => !danger.here), "Fails elsewhere ", el("small", {}, "it loads here, but not on other kernels")),
  ];
};

const kindOf = (line, evidence) => {
  if (evidence && line.trim() === evidence) return "words";
  if (/^;/.test(line)) return "src";
  if (/^…/.test(line)) return "folded";
  if (/^\d+: \(|^\d+: </.test(line)) return "";
  if (/^\s*(\d+: )?(R\d+(_\w+)?=|fp-\d|from \d|last_idx|regs=|mark_precise|caller|callee|func#|propagating|Live regs|parent )/.test(line)) return "state";
  if (/^(processed |verification time|stack depth|subprog |max_states|insns_self)/.test(line)) return "state";
  return line.trim() ? "words" : "";
};

const logPart = (result) => {
  if (result.log === undefined) return null;
  const log = el("pre", { class: "log", tabindex: "0", "aria-label": "Verifier log" });
  const found = el("span", { class: "quiet", role: "status" });
  let marks = [], at = 0;
  const draw = (word) => {
    marks = [];
    const nodes = textOf(result.log).split("\n").flatMap((line) => {
      const row = el("span", { class: kindOf(line, textOf(result.line).trim()) });
      const lower = line.toLowerCase(), low = word.toLowerCase();
      let from = 0;
      for (let to; low && (to = lower.indexOf(low, from)) >= 0; from = to + low.length) {
        const mark = el("mark", {}, line.slice(to, to + low.length));
        marks.push(mark);
        row.append(line.slice(from, to), mark);
      }
      row.append(line.slice(from));
      return [row, "\n"];
    });
    log.replaceChildren(...nodes);
    at = -1;
    found.textContent = word ? count(marks.length, "match").replace("matchs", "matches") : "";
    if (word) step(1); else log.scrollTop = log.scrollHeight;
  };
  const step = (by) => {
    if (marks.length === 0) return;
    if (marks[at]) marks[at].classList.remove("at");
    at = (at + by + marks.length) % marks.length;
    marks[at].classList.add("at");
    log.scrollTop += marks[at].getBoundingClientRect().top - log.getBoundingClientRect().top - log.clientHeight / 3;
    found.textContent = `${at + 1} of ${marks.length}`;
  };
  const input = el("input", { type: "search", placeholder: "Search the log (Enter: next)", "aria-label": "Search the log", oninput: () => draw(input.value), onkeydown: (event) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
  } });
  draw("");
  // It can be scrolled only once it is on the page.
  requestAnimationFrame(() => { log.scrollTop = log.scrollHeight; });
  const file = textOf(result.file);
  const before = result.omitted ? `${count(result.omitted, "line")} before it omitted; ` : "";
  return [el("h3", {}, "Verifier log ", el("small", {}, `${before}loops folded`)), el("div", { class: "logbar" }, input, found), log, file && el("p", { class: "quiet" }, "Complete log: ", el("code", {}, `zstdcat ${file}`))];
};

const valuesPart = (o, p, k) => {
  const object = objects[o], mine = object.programs[p].relocations;
  if (mine.length === 0) return null;
  const outcomesOf = (relocation) => kernels.map((_, j) => { const number = data.rows[cellOf(o, j).row][relocation]; return number === undefined || number < 0 ? null : data.outcomes[number]; });
  const eventful = mine.filter((relocation) => {
    const told = outcomesOf(relocation).filter(Boolean);
    return told.some((one) => one[0] === 3) || new Set(told.filter((one) => one[0] !== 4).map((one) => one[1])).size > 1;
  });
  const box = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Relocations on every kernel" });
  const draw = (list) => box.replaceChildren(list.length === 0 ? el("p", { class: "quiet" }, "All of them have the same value on every kernel.") : el("table", { class: "values" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Relocation"), kernels.map((one, j) => el("th", { scope: "col", class: j === k ? "here" : null }, one.name)))),
    el("tbody", {}, list.map((relocation) => {
      const asked = object.relocations[relocation];
      return el("tr", {}, el("th", { scope: "row" }, el("code", {}, asked.asked || "(never reached)"), el("br"), el("span", { class: "quiet" }, [asked.kind, asked.place].filter(Boolean).join(" at "))),
        outcomesOf(relocation).map((one, j) => el("td", { class: [one ? `r${one[0]}` : "r4", j === k ? "here" : ""].join(" "), title: one ? textOf(one[2]) : "not tried" }, one ? textOf(one[1]) : "–")));
    }))));
  draw(eventful);
  const all = el("button", { type: "button", class: "plain", "aria-pressed": "false", onclick: () => {
    const on = all.getAttribute("aria-pressed") === "false";
    all.setAttribute("aria-pressed", String(on));
    all.textContent = on ? "Only differences" : `All ${mine.length}`;
    draw(on ? mine : eventful);
  } }, `All ${mine.length}`);
  return [el("h3", {}, "CO-RE relocations ", el("small", {}, `${eventful.length} of ${mine.length} differ between kernels or fail`), eventful.length < mine.length && all), box];
};

const LIMITS = ["of instructions", "of stack", "of tail calls", "of size"];

const statisticsPart = (o, p, k) => {
  const told = kernels.map((_, j) => resultOf(o, p, j));
  if (!told.some((one) => one.stats || one.size)) return null;
  const limits = LIMITS.map((name, at) => [name, at]).filter(([, at]) => told.some((one) => one.shares && one.shares[at] !== null));
  const share = (value) => el("td", { class: value > 80 ? "num warn" : "num" }, value === null || value === undefined ? "–" : `${value} %`);
  const columns = ["instructions", "states", "peak", "per insn", "stack", "µs"];
  const number = (value) => el("td", { class: "num" }, value === null || value === undefined ? "–" : value.toLocaleString("en"));
  return [el("h3", {}, "What the verifier counted"), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Statistics" }, el("table", { class: "values" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Kernel"), columns.map((name) => el("th", { scope: "col", class: "num" }, name)), el("th", { scope: "col", class: "num" }, "xlated"), el("th", { scope: "col", class: "num" }, "jited"), el("th", { scope: "col", class: "num" }, "load ms"), limits.map(([name]) => el("th", { scope: "col", class: "num", title: "share of the kernel's limit" }, name)))),
    el("tbody", {}, told.map((one, j) => el("tr", {}, el("th", { scope: "row", class: j === k ? "here" : null }, kernels[j].name), columns.map((_, at) => number(one.stats && one.stats[at])), number(one.size && one.size[0]), number(one.size && one.size[1]), number(one.ms), limits.map(([, at]) => share(one.shares && one.shares[at])))))))];
};

// The guards that are part of the program, and the way to their sides and lines.
const guardsPart = (o, p) => {
  const covered = coveredOf(o);
  if (!covered) return null;
  const mine = covered.guards.filter((guard) => guard.programs.includes(p));
  const shown = kernels.map((_, k) => k);
  const show = covered.lines.length > 0 && el("button", { type: "button", class: "plain", onclick: () => {
    state.sources.add(o);
    go({ view: "coverage", find: "", open: null });
    $(`coverage-${o}`).scrollIntoView();
    document.querySelector(`[data-source="${o}"]`).focus({ preventScroll: true });
  } }, "Source lines");
  if (mine.length === 0) return show && [el("h3", {}, "Coverage ", el("small", {}, "no guards"), show)];
  return [el("h3", {}, "Guards ", el("small", {}, `${mine.length} in this program`), show), guardTable(covered, shown, p)];
};

// What happened after loading, on every kernel, if a kernel was asked.
const beyondPart = (o, p, k) => {
  const told = kernels.map((_, j) => resultOf(o, p, j));
  const ran = told.some((one) => one.ran !== undefined);
  if (!ran && !told.some((one) => one.attach !== undefined)) return null;
  const words = (number) => el("td", { class: "words-cell" }, number === undefined ? "–" : prose(textOf(number)));
  return [el("h3", {}, ran ? "Attached and run" : "Attached"), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attaching on every kernel" }, el("table", { class: "values" },
    el("thead", {}, el("tr", {}, ["Kernel", "Attach", ran && "Run"].filter(Boolean).map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, told.map((one, j) => el("tr", {}, el("th", { scope: "row", class: j === k ? "here" : null }, kernels[j].name), words(one.attach), ran && words(one.ran))))))];
};

// Words as a shell takes them.
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

// The directory of this page, as it is named from the directory where `reports` lies; `RUN` where the page is not on a disk.
const runFolder = () => {
  if (location.protocol !== "file:") return "RUN";
  const folder = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "");
  return folder.replace(/^.*\/(?=reports\/[^/]+$)/, "");
};

const commandsPart = (o, p, k) => {
  const words = [runFolder(), kernels[k].name, objects[o].name, objects[o].programs[p].name].map((word) => (word === "RUN" ? word : quoted(word))).join(" ");
  const line = (text, label) => el("div", { class: "command" }, el("code", { "aria-label": label }, text), copyButton("Copy", () => text, "Select it"));
  return [el("h3", {}, "Reproduce and explain"), line(`corematrix repro ${words}`, "Command that reproduces this cell"), blames(resultOf(o, p, k)) && line(`corematrix explain ${words}`, "Command that explains this cell")];
};

const restPart = (o, k, cell) => {
  const object = objects[o], list = el("dl", { class: "what" });
  if (object.shape) list.append(...entry("Shape", `${object.shape.of} with `, object.shape.settings.map((setting, at) => [at > 0 && ", ", el("code", {}, setting)]).flat()));
  if (object.loader) list.append(...entry("Loaded by", object.loader, cell.loader ? el("p", { class: "quiet" }, textOf(cell.loader[0])) : null, (cell.loader ? cell.loader.slice(1) : []).map((number) => el("p", { class: "quiet" }, textOf(number)))));
  if (object.loading.length) list.append(...entry("Loader", "its own loader sets ", object.loading.map((setting, at) => [at > 0 && ", ", el("code", {}, setting)]).flat()));
  list.append(...entry("Object", el("span", {}, `${object.name}, ${object.size.toLocaleString("en")} bytes`), el("p", { class: "quiet mono" }, object.origin), el("p", { class: "quiet mono" }, `sha256 ${object.sha256}`)));
  if (object.broken) list.append(...entry("Broken", object.broken));
  if (cell.whole !== null) list.append(...entry("Whole", cell.whole ? (objects[o].programs.some((_, p) => blames(resultOf(o, p, k))) ? "Its maps and relocations succeed, but a loader that loads every program stops at the failing one." : "The object loads as a whole.") : "The object does not load as a whole", !cell.whole && cell.why !== null ? `: ${textOf(cell.why)}` : "", cell.whole_excuse !== null ? `; excused: ${textOf(cell.whole_excuse)}` : ""));
  for (const [term, numbers] of [["Externs", cell.externs], ["Unavailable features", cell.downgrades], ["Notes", cell.notes]])
    if (numbers.length) list.append(...entry(term, numbers.map((number) => el("div", {}, textOf(number)))));
  return [el("h3", {}, "The object on this kernel"), list];
};
