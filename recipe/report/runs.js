// Sorts the rows by a column; once more, the other way round. What has no value stays below.
"use strict";
(() => {
  const table = document.getElementById("runs"), body = table.tBodies[0];
  const value = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent;
  let last = -1, down = false;
  [...table.querySelectorAll("thead button")].forEach((button, at) => button.addEventListener("click", () => {
    down = at === last ? !down : true;
    last = at;
    const order = (a, b) => {
      const [one, other] = [value(a, at), value(b, at)];
      if (one === "" || other === "") return (one === "") - (other === "");
      const numbers = one !== "" && other !== "" && !isNaN(one) && !isNaN(other);
      return (numbers ? one - other : one.localeCompare(other)) * (down ? -1 : 1);
    };
    body.append(...[...body.rows].sort(order));
  }));
})();
