// Which of several ways to one thing serves on which kernel.
const alternatives = data.alternatives;

const memberName = (group, member) => {
  if (member.name === null) return member.object;
  return group.members.some((other) => other.object !== member.object) ? `${member.object}/${member.name}` : member.name;
};

// A row for the group, which shows where none works, and one for each member.
const groupRows = (group, shown) => {
  const none = (k) => {
    const told = { "-1": ["none", group.declared ? "bad" : "warn"], "-2": ["?", "none"] }[group.service[k]];
    const loads = group.unattachable[k].map((at) => memberName(group, group.members[at]));
    const title = loads.length > 0 && `loads, but cannot attach: ${loads.join(", ")}`;
    return told ? el("td", { class: told[1], title: title || null }, told[0]) : el("td");
  };
  const head = el("tr", { class: "guard" }, el("th", { scope: "row" }, el("strong", {}, group.name)), shown.map(none));
  const rows = group.members.map((member, at) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, memberName(group, member))), shown.map((k) => memberCell(group, member, at, k))));
  return [head, ...rows];
};

// Maps and objects have no cell of their own.
const memberCell = (group, member, at, k) => {
  const serves = group.service[k] === at;
  if (member.o === null || member.p === null) return el("td", { class: serves ? "good serves" : "none" }, serves ? "works" : "–");
  const [look, sign] = signOf(member.o, member.p, k);
  const label = `${say(member.o, member.p, k)}${serves ? "; this alternative works" : ""}`;
  return el("td", { class: `${look}${serves ? " serves" : ""}` }, el("button", { type: "button", title: label, "aria-label": label, onclick: () => openCell(member.o, member.p, k) }, sign));
};

const drawAlternatives = () => {
  const shown = shownKernels(), words = state.find.toLowerCase().split(/\s+/);
  const fits = (group) => {
    const all = [group.name, ...group.members.flatMap((member) => [member.object, member.name])].join("\n").toLowerCase();
    return words.every((word) => all.includes(word)) && (!state.failing || shown.some((k) => group.service[k] === -1));
  };
  const table = (title, groups) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title} alternatives on every kernel` }, el("table", { class: "sides service" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "One of"), shown.map((k) => el("th", { scope: "col" }, kernels[k].name)))),
    el("tbody", {}, groups.flatMap((group) => groupRows(group, shown)))));
  const listing = el("div", { class: "listing wide" });
  const kinds = [[true, "Declared", "The suite declares that one of them suffices. The first that works is framed."], [false, "Proposed", "By their names and sections, these look like alternatives, and not all of them work everywhere. They excuse no failure until a suite declares them."]];
  for (const [declared, title, words] of kinds) {
    const groups = alternatives.filter((group) => group.declared === declared && fits(group));
    if (groups.length > 0) listing.append(el("h2", {}, `${title} (${groups.length})`), el("p", { class: "quiet" }, words), table(title, groups));
  }
  if (!listing.hasChildNodes()) listing.append(el("p", { class: "empty" }, "Nothing matches these filters."));
  $("view-alternatives").replaceChildren(listing);
  if (state.view === "alternatives") $("count").textContent = count(alternatives.filter(fits).length, "group");
};
