"use strict";
// Verdicts: {id: {id, row, verdict, by, at, note}}, in the browser's storage under this sample's name. Without storage
// (a browser may refuse it to files) they last as long as the page, which says so.
const KEY = "statllama-review-" + document.body.dataset.sample;
const NAME = "statllama-review-by";
const cards = [...document.querySelectorAll("article")];
const by = document.getElementById("by");
const only = document.getElementById("only");
let verdicts = Object.create(null), stored = true;

function load() {
  try {
    Object.assign(verdicts, JSON.parse(localStorage.getItem(KEY) || "{}"));
    by.value = localStorage.getItem(NAME) || "";
  } catch { stored = false; }
}
function keep() {
  try {
    localStorage.setItem(KEY, JSON.stringify(verdicts));
    localStorage.setItem(NAME, by.value);
  } catch { stored = false; }
  document.getElementById("unstored").hidden = stored;
}
function show() {
  let done = 0;
  for (const card of cards) {
    const known = verdicts[card.dataset.id];
    done += known ? 1 : 0;
    card.classList.toggle("judged", Boolean(known));
    for (const button of card.querySelectorAll("button[data-verdict]"))
      button.setAttribute("aria-pressed", String(Boolean(known) && known.verdict === button.dataset.verdict));
    card.hidden = only.checked && Boolean(known) && !card.contains(document.activeElement);
  }
  document.getElementById("done").textContent = done;
  document.getElementById("bar").value = done;
  document.getElementById("save").disabled = !done;
}
function decide(card, verdict) {
  verdicts[card.dataset.id] = {
    id: card.dataset.id, row: card.dataset.row, verdict, by: by.value.trim(), at: new Date().toISOString(),
    note: card.querySelector("input").value.trim(),
  };
  keep(); show();
}
function lines() {
  return cards.map(card => verdicts[card.dataset.id]).filter(Boolean).map(v => JSON.stringify(v) + "\n").join("");
}
function near() {
  const focused = document.activeElement && document.activeElement.closest("article");
  const middle = card => { const box = card.getBoundingClientRect(); return box.bottom > innerHeight / 3; };
  return focused || cards.find(card => !card.hidden && middle(card));
}

for (const card of cards) {
  for (const button of card.querySelectorAll("button[data-verdict]"))
    button.addEventListener("click", () => decide(card, button.dataset.verdict));
  card.querySelector("input").addEventListener("change", event => {
    const known = verdicts[card.dataset.id];
    if (known) { known.note = event.target.value.trim(); known.at = new Date().toISOString(); keep(); }
  });
}
by.addEventListener("change", keep);
only.addEventListener("change", show);
document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines()], {type: "application/x-ndjson"}));
  link.download = "verdicts-" + document.body.dataset.sample + ".jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
document.addEventListener("keydown", event => {
  const verdict = {k: "keep", d: "drop", u: "unsure"}[event.key];
  if (!verdict || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea")) return;
  const card = near();
  if (!card) return;
  decide(card, verdict);
  const next = cards.slice(cards.indexOf(card) + 1).find(other => !verdicts[other.dataset.id]);
  if (next) { next.focus({preventScroll: true}); next.scrollIntoView({block: "start"}); show(); }
});
load(); keep();
for (const card of cards) if (verdicts[card.dataset.id]) card.querySelector("input").value = verdicts[card.dataset.id].note || "";
show();
