// Filters and orders the examples. Everything is in the page already: nothing is fetched, nothing is built from text.
"use strict";
(() => {
  const STEP = 20;
  const at = (id) => document.getElementById(id);
  const controls = ["by-row", "by-type", "by-task", "by-score", "order", "holds"].map(at);
  const [row, type, task, score, order, holds] = controls;
  const list = at("list"), more = at("more"), count = at("count");
  const cards = [...list.children].map((card) => {
    const answers = [...card.querySelectorAll("dd.answer")].map((dd) => ({ row: dd.dataset.row, score: +dd.dataset.score }));
    return { card, answers, first: answers[0].score, text: card.textContent.toLowerCase() };
  });
  let limit = STEP;

  // The answer that counts: the chosen row's, or the last one.
  const meant = (one) => (row.value ? one.answers.find((answer) => answer.row === row.value) : one.answers.at(-1));
  const gain = (one) => meant(one).score - one.first;
  const scored = {
    wrong: (one) => meant(one).score === 0,
    partly: (one) => meant(one).score > 0 && meant(one).score < 1,
    right: (one) => meant(one).score >= 1,
    gained: (one) => gain(one) > 0,
    lost: (one) => gain(one) < 0,
  };
  const ordered = {
    worst: (a, b) => meant(a).score - meant(b).score,
    best: (a, b) => meant(b).score - meant(a).score,
    gained: (a, b) => gain(b) - gain(a),
    lost: (a, b) => gain(a) - gain(b),
  };

  function show() {
    const words = holds.value.trim().toLowerCase();
    const found = cards.filter((one) =>
      meant(one) &&
      (!type.value || one.card.dataset.type === type.value) &&
      (!task.value || one.card.dataset.task === task.value) &&
      (!score.value || scored[score.value](one)) &&
      one.text.includes(words)).sort(ordered[order.value]);
    const shown = new Set(found.slice(0, limit));
    for (const one of cards) one.card.hidden = !shown.has(one);
    for (const one of shown) {
      list.append(one.card);
      for (const part of one.card.querySelectorAll(".answer, .marks i")) {
        const name = part.dataset.row || part.title;
        part.classList.toggle("aside", row.value !== "" && name !== row.value);
      }
    }
    more.hidden = found.length <= limit;
    count.value = `${shown.size} of ${found.length} shown; ${cards.length} in all`;
  }

  for (const control of controls) control.addEventListener("input", () => { limit = STEP; show(); });
  more.addEventListener("click", () => { limit += STEP; show(); });
  list.parentElement.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  show();
})();
