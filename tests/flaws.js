// A page → what is wrong with it: text that is too faint, names that are missing, and what is wider than the screen.
() => {
  const flaws = [];
  const all = (query) => [...document.querySelectorAll(query)];
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  // relative luminance and contrast as WCAG 2.2 has them
  const part = (value) => ((value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = numbers(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  for (const each of all("body *")) {
    const says = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!says || each.tagName === "title" || !each.checkVisibility()) continue;
    const style = getComputedStyle(each);
    const front = light(numbers(each instanceof SVGElement ? style.fill : style.color));
    const back = light(behind(each));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) flaws.push(`faint, ${ratio.toFixed(2)}: ${each.tagName} ${each.textContent.slice(0, 40)}`);
  }
  for (const name of ["h1", "main", "header", "footer"]) {
    if (all(name).length !== 1) flaws.push(`${all(name).length} of ${name}`);
  }
  all("h1, h2, h3").reduce((above, heading) => {
    const level = Number(heading.tagName[1]);
    if (level > above + 1) flaws.push(`a heading too deep: ${heading.textContent}`);
    return level;
  }, 0);
  for (const each of all("table")) if (!each.caption) flaws.push("a table without a caption");
  for (const each of all("input:not([type=hidden]), select")) if (!each.labels.length) flaws.push(`no label: ${each.name}`);
  for (const each of all("svg")) {
    if (each.getAttribute("aria-hidden") !== "true" && !each.getAttribute("aria-label")) flaws.push("a mute drawing");
  }
  const names = all("a, button, summary").filter((each) => each.checkVisibility()).map((each) => [each.href || "", each.textContent.trim()]);
  for (const [href, name] of names) {
    if (names.some((other) => other[1] === name && other[0] !== href)) flaws.push(`one name for two links: ${name}`);
  }
  if (new Set(names.map(([, name]) => name)).size < all("summary").length) flaws.push("two summaries with one name");
  for (const each of all("a, button, summary, input:not([type=hidden]), select")) {
    const { width, height } = each.getBoundingClientRect(); // WCAG 2.2: at least 24 px, links within a sentence excepted
    if (each.checkVisibility() && !each.closest(".skip") && (height < 24 || width < 24)) flaws.push(`a target of ${width} × ${height}: ${each.textContent}`);
  }
  const ids = all("[id]").map((each) => each.id);
  flaws.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `the same id twice: ${id}`));
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) flaws.push(`wider than the screen: ${wide}`);
  return flaws;
}
