// Comfort only: without it the page shows everything. The state of the filters stands in the address, so that a
// filtered view can be sent to somebody.
"use strict";
(() => {
  const root = document.documentElement;

  const theme = document.getElementById("theme");
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const nameTheme = () => { theme.textContent = isDark() ? "Light theme" : "Dark theme"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
  prefersDark.addEventListener("change", nameTheme);
  nameTheme();

  // A link into folded text opens it.
  const reveal = (id) => {
    const target = id && document.getElementById(id);
    if (!target) return;
    for (let at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
      if (at.classList.contains("finding")) at.hidden = false;
    }
    if (target.classList.contains("finding")) for (const fold of target.querySelectorAll(":scope > details")) fold.open = true;
    target.scrollIntoView();
  };

  const panel = document.querySelector(".filters");
  const cards = [...document.querySelectorAll(".finding")];
  const boxes = panel ? [...panel.querySelectorAll("input[type=checkbox]")] : [];
  const search = document.getElementById("search");
  const texts = cards.map((card) => card.textContent.toLowerCase());

  const chosen = () => {
    const wanted = new Map();
    for (const box of boxes) if (box.checked) wanted.set(box.dataset.filter, [...(wanted.get(box.dataset.filter) || []), box.value]);
    return wanted;
  };
  const apply = () => {
    const wanted = chosen();
    const query = search.value.trim().toLowerCase();
    let shown = 0;
    cards.forEach((card, index) => {
      const kept = [...wanted].every(([key, values]) => values.includes(card.dataset[key])) && texts[index].includes(query);
      card.hidden = !kept;
      if (kept) shown += 1;
    });
    document.getElementById("matches").textContent = `${shown} of ${cards.length} findings`;
  };
  const save = () => {
    const state = new URLSearchParams();
    for (const [key, values] of chosen()) values.forEach((value) => state.append(key, value));
    if (search.value.trim()) state.set("text", search.value.trim());
    const hash = state.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };
  const load = () => {
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) return reveal(hash);
    const state = new URLSearchParams(hash);
    for (const box of boxes) box.checked = state.getAll(box.dataset.filter).includes(box.value);
    search.value = state.get("text") || "";
    apply();
  };
  if (panel) {
    panel.hidden = false;
    const changed = () => { apply(); save(); };
    boxes.forEach((box) => box.addEventListener("change", changed));
    search.addEventListener("input", changed);
    document.getElementById("clear").addEventListener("click", () => {
      boxes.forEach((box) => { box.checked = false; });
      search.value = "";
      changed();
    });
    window.addEventListener("hashchange", load);
    load();
  }

  // Paper has no folds.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((fold) => { fold.open = true; });
  });
  window.addEventListener("afterprint", () => folded.forEach((fold) => { fold.open = false; }));
})();
