"use strict";
/* Tables sort by their heads, filter by words and become lists where they are too wide, and texts can be
   copied; without this script tables are plain. */
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

const boxes = [...document.querySelectorAll(".scroll")];
for (const box of boxes) {
  const names = [...box.querySelectorAll("thead th")].map((head) => head.textContent);
  for (const row of box.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, place) => {
      cell.dataset.head = names[place];
      cell.classList.toggle("empty", cell.textContent.trim() === "\u2013");
    });
  }
}
/* A table that is wider than its place would cut numbers at the edge: its rows become lists. */
const fit = () => {
  for (const box of boxes) box.classList.remove("stacked");
  const wide = boxes.filter((box) => box.scrollWidth > box.clientWidth);
  for (const box of wide) box.classList.add("stacked");
};
fit();
addEventListener("load", () => requestAnimationFrame(fit));
addEventListener("resize", fit);
addEventListener("hashchange", fit); // what was not shown had no width
const live = document.createElement("p");
live.className = "live";
live.setAttribute("role", "status");
document.body.append(live);
const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement("textarea"); // where the browser keeps its clipboard from files
    field.value = text;
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    if (!isCopied) throw new Error("the browser does not let a page copy");
  }
};
for (const button of document.querySelectorAll("button.copy")) {
  const words = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const text = source.tagName === "PRE" ? source.textContent : source.textContent.trim().replace(/\s+/g, " ");
    try {
      await copyText(text);
      button.textContent = live.textContent = "Copied";
    } catch {
      button.textContent = live.textContent = "Select the text to copy it";
      getSelection().selectAllChildren(source);
    }
    setTimeout(() => {
      button.textContent = words;
      live.textContent = "";
    }, 2000);
  });
}
