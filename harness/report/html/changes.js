// What changed since the baseline, what is worse first.
const tendencies = [["worse", "Worse", "bad"], ["other", "Other changes", "odd"], ["better", "Better", "good"]];

const changeRow = (one, look) => {
  const name = one.object === null ? "" : [one.object, one.program].filter(Boolean).join(" / ");
  const k = one.on[one.on.length - 1];
  const opens = one.o !== null && one.p !== null && k !== undefined;
  const title = name && (opens ? el("button", { type: "button", onclick: () => go({ open: { o: one.o, p: one.p, k } }, true) }, name) : el("strong", {}, name));
  return el("article", { class: "finding" }, el("p", {}, title, one.kernels.length > 0 && el("span", { class: name ? "quiet" : null }, `${name ? " on " : "kernel "}${one.kernels.join(", ")}`)), el("p", {}, el("span", { class: `mark ${look}`, "aria-hidden": "true" }), prose(one.words)));
};

const drawChanges = () => {
  const { baseline, started, groups } = data.changes;
  const shown = new Set(shownKernels()), words = state.find.toLowerCase().split(/\s+/);
  const fits = (one) => {
    const all = [one.object, one.program, one.words, ...one.kernels].join("\n").toLowerCase();
    return (one.on.length === 0 || one.on.some((k) => shown.has(k))) && (!state.failing || one.tendency === "worse") && words.every((word) => all.includes(word));
  };
  const listing = el("div", { class: "listing" }, el("p", {}, "Compared with ", el("strong", {}, baseline), ` of ${started.replace("T", " ").replace("Z", " UTC")}`));
  const mine = groups.filter(fits);
  for (const [id, title, look] of tendencies) {
    const rows = mine.filter((one) => one.tendency === id);
    if (rows.length > 0) listing.append(el("h2", {}, `${title} (${rows.length})`), ...rows.map((one) => changeRow(one, look)));
  }
  if (mine.length === 0) listing.append(el("p", { class: "empty" }, groups.length ? "Nothing matches these filters." : "No differences except times."));
  $("view-changes").replaceChildren(listing);
  if (state.view === "changes") $("count").textContent = `${count(mine.length, "difference")}, ${mine.filter((one) => one.tendency === "worse").length} worse`;
};
