"use strict";
/* Tables sort by their heads and filter by words; without this script they are plain tables. */
const isLetter = (character) => character !== undefined && /\p{L}/u.test(character);
/* A word matches where it begins: "trained" does not match "untrained", but "x6" matches "3x6". */
const matches = (text, word) => {
  for (let place = text.indexOf(word); place >= 0; place = text.indexOf(word, place + 1)) {
    if (!isLetter(word[0]) || !isLetter(text[place - 1])) return true;
  }
  return false;
};
for (const block of document.querySelectorAll("div.table")) {
  const body = block.querySelector("tbody");
  const rows = [...body.rows];
  const heads = [...block.querySelectorAll("th")];
  const tools = block.querySelector(".tools");
  const status = block.querySelector(".found");
  const input = block.querySelector("input");
  const valueOf = (row, place, isNumber) => {
    const cell = row.cells[place];
    const data = cell.querySelector("data");
    if (isNumber) return data === null ? null : Number(data.value);
    const words = cell.textContent.trim();
    return words === "\u2013" ? null : words;
  };
  const compare = (place, isNumber, sign) => (a, b) => {
    const [x, y] = [valueOf(a, place, isNumber), valueOf(b, place, isNumber)];
    if (x === null || y === null) return (x === null) - (y === null); // empty cells come last, both ways
    return sign * (isNumber ? x - y : x.localeCompare(y, "en", { numeric: true }));
  };
  heads.forEach((head, place) => {
    const isNumber = head.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const isUp = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", isUp ? "descending" : "ascending");
      body.append(...[...rows].sort(compare(place, isNumber, isUp ? -1 : 1)));
    });
  });
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, place) => {
      row.hidden = !words.every((word) => matches(texts[place], word));
      count += row.hidden ? 0 : 1;
    });
    status.textContent = words.length ? `${count} of ${rows.length} rows` : "";
  });
  tools.hidden = false;
}
