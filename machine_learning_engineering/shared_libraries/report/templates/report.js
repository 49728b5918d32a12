"use strict";
(() => {
  const root = document.documentElement;
  const keep = (where, key, value) => { try { where.setItem(key, value); } catch { /* storage may be off */ } };
  const kept = (where, key) => { try { return where.getItem(key); } catch { return null; } };
  root.classList.add("js");

  // theme: as the system has it, until a person chooses
  const themes = ["auto", "light", "dark"];
  const button = document.getElementById("theme");
  const show = (theme) => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  let theme = themes.includes(kept(localStorage, "mle-theme")) ? kept(localStorage, "mle-theme") : "auto";
  show(theme);
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    keep(localStorage, "mle-theme", theme);
    show(theme);
  });

  // one script at a time beside the graph
  const cards = document.querySelector(".cards");
  const choose = (id) => {
    const card = document.getElementById(id);
    if (!cards || !card || !cards.contains(card)) return null;
    cards.querySelectorAll(".current").forEach((one) => one.classList.remove("current"));
    document.querySelectorAll(".box").forEach((box) => {
      const current = box.getAttribute("href") === `#${id}`;
      box.classList.toggle("current", current);
      if (current) box.setAttribute("aria-current", "true"); else box.removeAttribute("aria-current");
    });
    card.classList.add("current");
    return card;
  };
  const follow = () => choose(decodeURIComponent(location.hash.slice(1)));
  if (cards) choose(cards.dataset.chosen);
  follow();
  addEventListener("hashchange", () => {
    const card = follow();
    if (card) { card.scrollIntoView({ block: "nearest" }); card.focus({ preventScroll: true }); }
  });

  // what a mark of a picture is about
  const tip = document.getElementById("tip");
  const tell = (event) => {
    const mark = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.getAttribute("data-tip");
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 8))}px`;
    tip.style.top = `${Math.max(4, event.clientY - box.height - 12)}px`;
  };
  document.addEventListener("pointermove", tell);
  document.addEventListener("pointerdown", tell);

  // on paper, the code that is in view
  addEventListener("beforeprint", () => document.querySelectorAll(".card.current details").forEach((one) => { one.open = true; }));

  // a run that goes on: load again, unless a person wants to read in peace
  const every = Number(root.dataset.live);
  const live = document.getElementById("live");
  if (every && live) {
    let on = kept(sessionStorage, "mle-live") !== "off";
    const say = () => {
      live.setAttribute("aria-pressed", String(on));
      live.textContent = on ? `Reloads every ${every} s` : "Does not reload";
    };
    say();
    live.addEventListener("click", () => { on = !on; keep(sessionStorage, "mle-live", on ? "on" : "off"); say(); });
    setInterval(() => { if (on && !document.hidden) location.reload(); }, every * 1000);
  }
})();
