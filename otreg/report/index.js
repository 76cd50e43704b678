// Sorting of the table of results: by the column whose head is pressed, up first, then down.
"use strict";

(function () {
  const table = document.getElementById("results");
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);

  function sort(column, kind, down) {
    const value = (row) => row.cells[column].dataset.value;
    const compare = (a, b) => {
      const [one, two] = [value(a), value(b)];
      // Rows without a figure come last, whichever way.
      if (one === "" || two === "") return (one === "") - (two === "");
      const order = kind === "number" ? Number(one) - Number(two) : one.localeCompare(two, "en", { numeric: true });
      return down ? -order : order;
    };
    body.append(...Array.from(body.rows).sort(compare));
  }

  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(column, button.dataset.kind, down);
    });
  });
})();
