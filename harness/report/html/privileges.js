// The least privileges with which programs load.
const privileges = data.privileges;

const drawPrivileges = () => {
  const shown = shownKernels(), words = state.find.toLowerCase().split(/\s+/);
  const fits = (row) => words.every((word) => `${row.object}\n${row.program || ""}\n${row.words}`.toLowerCase().includes(word));
  const rows = privileges.filter(fits);
  const listing = el("div", { class: "listing wide" });
  if (rows.length === 0) listing.append(el("p", { class: "empty" }, "Nothing matches these filters."));
  else listing.append(
    el("p", { class: "quiet" }, "Found by loading with many sets of capabilities: if any of these is missing, the load fails. *: a BPF token of a user namespace suffices."),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Least privileges on every kernel" }, el("table", { class: "sides needs" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Program"), shown.map((k) => el("th", { scope: "col" }, kernels[k].name)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row", title: row.words }, row.program ? `${row.object}/${row.program}` : `${row.object} (whole object)`), shown.map((k) => el("td", { class: "none" }, row.on[k]))))))));
  $("view-privileges").replaceChildren(listing);
  if (state.view === "privileges") $("count").textContent = count(rows.length, "row");
};
