// What failed, and the kernels.
const drawFailures = () => {
  const shown = new Set(shownKernels()), words = state.find.toLowerCase().split(/\s+/);
  const fits = (one) => {
    const all = [one.object === null ? "" : objects[one.object].name, one.story, one.rule, ...one.programs, one.text || ""].join("\n").toLowerCase();
    const cause = causes.findIndex((known) => known.label === one.rule);
    return (one.kernels.length === 0 || one.kernels.some((k) => shown.has(k))) && (state.causes.size === 0 || state.causes.has(cause)) && words.every((word) => all.includes(word));
  };
  const groups = [["error", "Failures"], ["warning", "Warnings: loads but reads wrong data or cannot attach, or could not be judged"], ["note", "Notes: the suite allows it, or no change of the object can help"]];
  const listing = el("div", { class: "listing" });
  let told = 0;
  for (const [level, title] of groups) {
    const mine = data.findings.filter((one) => one.level === level && fits(one));
    told += mine.length;
    if (mine.length === 0) continue;
    listing.append(el("h2", {}, `${title} (${mine.length})`), ...mine.map((one) => {
      const o = one.object, p = o === null ? -1 : objects[o].programs.findIndex((program) => program.name === one.programs[0]);
      const k = one.kernels[one.kernels.length - 1];
      const name = o === null ? "matrix" : objects[o].name;
      const title = p >= 0 && k !== undefined ? el("button", { type: "button", onclick: () => go({ open: { o, p, k } }, true) }, name) : el("strong", {}, name);
      return el("article", { class: "finding" }, el("p", {}, el("span", { class: `tag ${level === "error" ? "bad" : level === "warning" ? "warn" : "odd"}` }, one.rule), title), el("p", {}, prose(one.story)),
        one.place && el("p", { class: "place" }, el("code", {}, one.place), " ", one.text && el("code", {}, one.text)));
    }));
  }
  if (told === 0) listing.append(el("p", { class: "empty" }, data.findings.length ? "Nothing matches these filters." : "Nothing failed."));
  $("view-failures").replaceChildren(listing);
  if (state.view === "failures") $("count").textContent = count(told, "finding");
};

// Boots one by one, restores by their number and median: there is one for each cell.
const times = (kernel) => {
  const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
  const restored = [...kernel.restored].sort((a, b) => a - b);
  const told = [kernel.hello.length > 0 && `booted in ${kernel.hello.map(seconds).join(", ")}`, restored.length > 0 && `restored ${restored.length}×, median ${(restored[restored.length >> 1] / 1000).toFixed(2)} s`].filter(Boolean);
  return told.length ? told.map((line) => el("p", {}, line)) : "–";
};

const drawKernels = () => {
  const body = shownKernels().map((k) => {
    const kernel = kernels[k], identity = kernel.identity || {};
    const loaded = objects.map((_, o) => cellOf(o, k).programs.filter(passes).length).reduce((a, b) => a + b, 0);
    const total = objects.map((object) => object.programs.length).reduce((a, b) => a + b, 0);
    const short = (hash) => (hash ? el("code", { title: hash }, hash.slice(0, 12)) : "none");
    return el("tr", {}, el("th", { scope: "row" }, kernel.name, kernel.optional && el("span", { class: "quiet" }, " optional")),
      el("td", {}, el("span", { class: `tag ${kernel.ready ? "good" : "odd"}` }, kernel.state), kernel.reason && el("p", {}, prose(kernel.reason)), kernel.hint && el("p", { class: "quiet" }, prose(kernel.hint)), kernel.notes.map((note) => el("p", { class: "quiet" }, prose(note))),
        kernel.console.length > 0 && el("details", {}, el("summary", {}, "Console"), el("pre", { class: "log" }, kernel.console.join("\n")))),
      el("td", { class: "tight" }, kernel.types ? "nothing loaded" : `${loaded} of ${total} load`), el("td", {}, el("code", {}, identity.release || (kernel.types && kernel.types.release) || "–"), el("p", { class: "quiet" }, kernel.source)),
      el("td", { class: "tight" }, "image ", short(identity.image_sha256), el("br"), "config ", short(identity.config_sha256), el("br"), "BTF ", short(identity.btf_sha256 || (kernel.types && kernel.types.sha256))),
      el("td", { class: "tight" }, times(kernel)));
  });
  const tool = data.run.tool;
  const facts = [["corematrix", tool.corematrix], ["libbpf", tool.libbpf], ["virtme-ng", tool.virtme_ng], ["QEMU", `${tool.qemu} with ${tool.accel} (${tool.accel_reason})`], ...(tool.isolation ? [["isolation", tool.isolation === "shared" ? "shared: objects that are only loaded may share a guest that proves itself clean" : "cell: a guest for each cell"]] : []), ["started", data.run.started], ["finished", data.run.finished || "never"]];
  $("view-kernels").replaceChildren(el("div", { class: "listing wide" }, el("h2", {}, "Kernels"), el("table", { class: "facts" },
    el("thead", {}, el("tr", {}, ["Kernel", "State", "Programs", "Release and source", "Identity", "Start"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, body)),
    el("h2", {}, "Run"), el("table", { class: "facts" }, el("tbody", {}, facts.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value))))),
    data.run.notices.length > 0 && [el("h2", {}, "Notices"), ...data.run.notices.map((notice) => el("p", {}, prose(notice)))]));
  if (state.view === "kernels") $("count").textContent = count(body.length, "kernel");
};
