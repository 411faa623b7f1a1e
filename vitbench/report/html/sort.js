// Headers become buttons that sort their table: figures by value, everything else by name.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const down = header.getAttribute("aria-sort") === "ascending";
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => [key(row.cells[column]), row]);
      keyed.sort((one, other) => (down ? -1 : 1) * compare(one[0], other[0]));
      body.append(...keyed.map((pair) => pair[1]));
    });
  });
}
function key(cell) {
  return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
}
function compare(one, other) {
  const numbers = (typeof one === "number") - (typeof other === "number");
  if (numbers !== 0) return -numbers; // what has no figure comes after what has
  return typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });
}
