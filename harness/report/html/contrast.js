// For a test: every text of every view whose contrast with its ground is below 4.5:1 (WCAG AA), light and dark, and each kind of cell under the
// pointer, open, filtered out and in the strip of the evidence. Body of a function.
const channels = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return [r, g, b, a]; };
const over = ([r, g, b, a], under) => [r, g, b].map((one, at) => one * a + under[at] * (1 - a));
const light = (colour) => { const [r, g, b] = colour.map((one) => { const part = one / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const contrast = (one, other) => { const [low, high] = [light(one), light(other)].sort((a, b) => a - b); return (high + 0.05) / (low + 0.05); };
// What a text and its ground look like, with the opacity of the element and of all around it.
const paint = (node) => {
  if (!node) return [255, 255, 255];
  const under = paint(node.parentElement), style = getComputedStyle(node);
  return over([...over(channels(style.backgroundColor), under), Number(style.opacity)], under);
};
const ratio = (node) => {
  const ground = paint(node);
  let alpha = 1;
  for (let one = node; one; one = one.parentElement) alpha *= Number(getComputedStyle(one).opacity);
  const [r, g, b, a] = channels(getComputedStyle(node).color);
  return contrast(over([r, g, b, a * alpha], ground), ground);
};
// A script cannot hover, so that each rule about the pointer is made one about a class.
for (const sheet of [...document.styleSheets]) for (const rule of [...sheet.cssRules]) if ((rule.selectorText || "").includes(":hover")) sheet.insertRule(rule.cssText.replaceAll(":hover", ".hovered"), sheet.cssRules.length);
const darken = (dark) => {
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  for (const sheet of document.styleSheets) for (const rule of sheet.cssRules) if (rule.media && (rule.was || rule.media.mediaText).includes("prefers-color-scheme")) { rule.was = rule.was || rule.media.mediaText; rule.media.mediaText = dark ? "all" : "not all"; }
};
const low = new Set(), looks = new Set();
let measured = 0;
const measure = (node, what) => {
  measured += 1;
  const found = ratio(node);
  if (found < 4.5) low.add(`${what} ${node.tagName.toLowerCase()}.${node.className} in .${node.parentElement.className}: ${found.toFixed(2)}`);
};
const hasText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()) && node.checkVisibility();
const everything = (what) => all("body *").filter((node) => !["SCRIPT", "STYLE"].includes(node.tagName) && hasText(node)).forEach((node) => measure(node, what));
const wear = (node, name, what) => { node.classList.add(name); measure(node, what); node.classList.remove(name); };
for (const scheme of ["light", "dark"]) {
  darken(scheme === "dark");
  for (const tab of all("[role=tab]")) { tab.click(); everything(`${scheme} ${tab.id}`); }
  document.getElementById("tab-matrix").click();
  const kinds = new Map(all(".grid .cell").map((cell) => [cell.className, cell.dataset.at]));
  for (const [kind, at] of kinds) {
    looks.add(kind.replace(/^cell /, ""));
    const cell = () => document.querySelector(`.grid .cell[data-at="${at}"]`);
    wear(cell(), "hovered", `${scheme}, hovered`);
    wear(cell(), "dim", `${scheme}, filtered out`);
    cell().click();
    measure(cell(), `${scheme}, open`);
    wear(cell(), "hovered", `${scheme}, open and hovered`);
    everything(`${scheme}, evidence of ${kind}`);
  }
}
return { low: [...low].sort(), looks: [...looks], measured };
