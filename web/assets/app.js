// What makes the pages quicker to use: keys, tabs, copying, the countdown
// before the number, and news. Every page works without it. Live news asks for
// the same page again and replaces pieces of it, so that the server alone
// decides what is said.
"use strict";

const $ = (s, r = document) => r.querySelector(s);
const $$ = (s, r = document) => [...r.querySelectorAll(s)];
const root = document.documentElement;
root.classList.add("js");

const say = (text) => {
  const s = $("#say");
  if (!s) return;
  s.textContent = text;
  setTimeout(() => { if (s.textContent === text) s.textContent = ""; }, 4000);
};

// ---- tabs ----

for (const list of $$("[role=tablist]")) {
  const tabs = $$("[role=tab]", list);
  const panel = (t) => document.getElementById(t.getAttribute("aria-controls"));
  const pick = (t) => tabs.forEach((x) => {
    const on = x === t;
    x.setAttribute("aria-selected", on);
    x.tabIndex = on ? 0 : -1;
    panel(x).hidden = !on;
  });
  tabs.forEach((t, i) => {
    const p = panel(t);
    p.setAttribute("role", "tabpanel");
    p.setAttribute("aria-labelledby", t.id);
    p.removeAttribute("aria-label");
    t.addEventListener("click", () => pick(t));
    t.addEventListener("keydown", (e) => {
      const d = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!d) return;
      const n = tabs[(i + d + tabs.length) % tabs.length];
      pick(n);
      n.focus();
    });
  });
  list.hidden = false;
  pick(tabs[0]);
}

// ---- clicks, wherever they land: pieces of the page come and go ----

const choose = (b) => {
  const t = document.getElementById(b.dataset.for);
  // Typed text is never replaced, only what is empty or was suggested.
  if (t && (!t.value || t.dataset.auto || t.closest("dialog"))) {
    t.value = b.dataset.value;
    t.dataset.auto = "1";
    t.dispatchEvent(new Event("input", { bubbles: true }));
    t.dataset.auto = "1";
    $$("button", b.parentElement).forEach((x) => x.setAttribute("aria-pressed", x === b));
  }
};
const copy = async (text) => {
  try { await navigator.clipboard.writeText(text); say("Copiato: " + text); } catch { say("Copia non riuscita: selezionare il testo"); }
};
document.addEventListener("click", (e) => {
  const on = (s) => e.target.closest(s);
  let b;
  if ((b = on("[data-copy]"))) copy(b.dataset.copy);
  else if ((b = on("[data-for]"))) choose(b);
  else if ((b = on("[data-more]"))) b.setAttribute("aria-expanded", b.closest(".filters").classList.toggle("open"));
  else if (on("[data-print]")) print();
  else if ((b = on("[data-open]"))) document.getElementById(b.dataset.open)?.showModal();
  else if ((b = on("[data-refuse]")) && $("#rifiuto")) {
    e.preventDefault();
    if (b.dataset.refuse) $("#mot").value = b.dataset.refuse;
    $("#rifiuto").showModal();
    $("#mot").focus();
  } else if ((b = on("[data-close]")) && b.closest("dialog")) { e.preventDefault(); b.closest("dialog").close(); }
  else if (on("[data-show]")) show();
  else if (on("[data-retry]")) { connect(); poll(); }
  else if (on("[data-stay]")) stay();
  for (const d of $$("details.pd-menu[open]")) if (!d.contains(e.target)) d.open = false;
});
document.addEventListener("change", (e) => {
  if (e.target.matches("[data-all]")) $$("[data-one]").forEach((c) => { if (!c.disabled) c.checked = e.target.checked; });
  if (e.target.matches("[data-all],[data-one]")) ticked();
  if (e.target.matches("[data-keys]")) localStorage.setItem("tasti", e.target.checked ? "" : "no");
});
const ticked = () => {
  const b = $("[data-bulk]");
  if (!b) return;
  const n = $$("[data-one]:checked").length;
  b.parentElement.hidden = !n;
  b.textContent = n === 1 ? "Conferma insieme il messaggio scelto…" : `Conferma insieme i ${n} scelti…`;
};
ticked();
if ($("[data-keys]")) $("[data-keys]").checked = localStorage.getItem("tasti") !== "no";

// ---- the form: a draft per message, and the way with ten seconds to undo ----

const form = $("[data-draft]");
if (form) {
  const key = "bozza:" + form.dataset.draft;
  const fields = $$("input[name],textarea[name]", form).filter((f) => f.type !== "hidden");
  const now = () => JSON.stringify(fields.map((f) => f.type === "checkbox" ? f.checked : f.value));
  const fresh = now();
  const kept = sessionStorage.getItem(key);
  if (kept && kept !== fresh && !$("[aria-invalid]", form)) {
    JSON.parse(kept).forEach((v, i) => { if (fields[i]) { if (fields[i].type === "checkbox") fields[i].checked = v; else fields[i].value = v; } });
    say("Ripreso quello che era stato scritto.");
  }
  form.addEventListener("input", (e) => { delete e.target.dataset.auto; sessionStorage.setItem(key, now()); });
  form.addEventListener("submit", () => sessionStorage.removeItem(key));
  if ($("[data-confirm]", form)) {
    const h = document.createElement("input");
    h.type = "hidden"; h.name = "attesa"; h.value = "1";
    form.append(h);
  }
}

// ---- the countdown ----

let ticking;
const countdown = () => {
  clearInterval(ticking);
  const u = $("#attesa");
  if (!u) return;
  $("[data-here]", u).value = location.pathname + location.search;
  if ("held" in u.dataset) return;
  let left = Number(u.dataset.left);
  const end = Date.now() + left * 1000;
  ticking = setInterval(() => {
    left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    $(".sec", u).textContent = left;
    $("progress", u).value = left;
    if (left > 0) return;
    clearInterval(ticking);
    $("[data-undo]", u).disabled = true;
    after(300);
  }, 250);
};
// After the last second the server says what came of it.
const after = (wait) => setTimeout(async () => {
  await refresh(["esito"]);
  if ($("#attesa") && wait < 10000) after(wait * 2);
  else if ($("section.detail")?.dataset.id === done()) location.reload();
}, wait);
const done = () => location.pathname.split("/").pop();
countdown();

// ---- pieces of the page, anew ----

const live = { "X-Protodaemon-Live": "1" };
const fetchPage = async () => {
  const r = await fetch(location.href, { headers: live, cache: "no-store" });
  if (r.status === 401) location.reload();
  if (!r.ok) throw new Error(String(r.status));
  return new DOMParser().parseFromString(await r.text(), "text/html");
};
const replace = (page, ids) => {
  for (const id of ids) {
    const old = document.getElementById(id), fresh = page.getElementById(id);
    if (!old || !fresh || old.outerHTML === fresh.outerHTML) continue;
    if (old.contains(document.activeElement) && old.matches("form,section") && id !== "esito") continue;
    old.replaceWith(document.adoptNode(fresh));
  }
};
// Pieces that may be replaced whenever there is news, without moving anything
// under the hand.
const calm = ["conta", "verdetto", "tessere", "semaforo", "ultimi", "caselle", "storia", "dati-l", "esiti", "protocollato", "avvisi", "calendario", "giorno", "prova"];
const refresh = async (more = []) => {
  const page = await fetchPage();
  replace(page, [...calm, ...more]);
  if (more.includes("esito")) countdown();
  queueNews(page);
  entryNews(page);
  return page;
};

// ---- the queue: rows are greyed and announced, never moved ----

let waitingList, told = 0, tellLater;
const queueNews = (page) => {
  const list = $("#coda"), fresh = page.getElementById("coda");
  if (!list || !fresh) return;
  const ids = (r) => new Set($$("[data-id]", r).map((x) => x.dataset.id));
  const have = ids(list), has = ids(fresh);
  for (const row of $$("[data-id]", list)) {
    if (!has.has(row.dataset.id)) grey(row, gone.get(row.dataset.id) || "Non è più da protocollare");
  }
  const news = [...has].filter((id) => !have.has(id)).length;
  $(".head .count", list).textContent = $(".head .count", fresh).textContent;
  document.title = page.title;
  badge(news > 0);
  waitingList = fresh;
  clearTimeout(tellLater);
  const tell = () => { told = Date.now(); announce("#nuovi", news, "messaggio nuovo – mostra", "messaggi nuovi – mostra"); };
  const shown = Number($("#nuovi [data-show]")?.dataset.show || 0);
  if (news === shown) return;
  const pause = shown ? 10000 - (Date.now() - told) : 0;
  if (pause > 0) tellLater = setTimeout(tell, pause); else tell();
};
const announce = (where, n, one, many) => {
  const box = $(where);
  box.replaceChildren();
  if (!n) return;
  const b = document.createElement("button");
  b.type = "button"; b.className = "newbar"; b.dataset.show = n;
  b.textContent = n === 1 ? "1 " + one : n + " " + many;
  box.append(b);
};
const show = () => {
  if (!waitingList) { location.reload(); return; }
  const top = $("#coda .list")?.scrollTop || 0;
  const chosen = new Set($$("#coda [data-one]:checked").map((c) => c.value));
  $("#coda").replaceWith(document.adoptNode(waitingList));
  waitingList = undefined;
  badge(false);
  $$("#coda [data-one]").forEach((c) => { c.checked = chosen.has(c.value); });
  ticked();
  const list = $("#coda .list");
  if (list) { list.scrollTop = top; list.focus(); }
  // With nothing open, the first message may be opened now.
  if ($(".view-empty")) location.reload();
};
const gone = new Map();
const grey = (row, text) => {
  if (row.classList.contains("gone")) return;
  row.classList.add("gone");
  const l3 = $(".l3", row), s = document.createElement("span");
  s.textContent = text;
  l3.replaceChildren(s);
  const box = $("[data-one]", row);
  box.checked = false; box.disabled = true;
};
const entryNews = (page) => {
  const box = $("#registrate"), last = $(".tbl .num a"), fresh = $(".tbl .num a", page);
  if (!box || !fresh) return;
  const number = (a) => a ? Number(a.textContent) : 0;
  announce("#registrate", Math.max(0, number(fresh) - number(last)), "registrazione nuova – mostra", "registrazioni nuove – mostra");
};
const icon = $("link[rel=icon]");
const badge = (on) => { if (icon && icon.dataset.new) icon.href = on ? icon.dataset.new : icon.dataset.plain; };
if (icon) icon.dataset.plain = icon.href;

// ---- news ----

const book = document.body.dataset.book;
let source, heard = Date.now(), poller, soon;
const sooner = (ids) => {
  clearTimeout(soon?.timer);
  const all = [...new Set([...(soon?.ids || []), ...ids])];
  soon = { ids: all, timer: setTimeout(() => { soon = undefined; refresh(all).catch(() => {}); }, 150) };
};
const interrupted = (on) => {
  const n = $("#interrotto"), v = $("#vivo");
  if (!n || n.hidden === !on) return;
  if (on) $("[data-since]", n).textContent = new Date().toLocaleTimeString("it-IT", { hour: "2-digit", minute: "2-digit" });
  n.hidden = !on;
  v.hidden = on;
  clearInterval(poller);
  if (on) poller = setInterval(poll, 15000);
};
const poll = () => refresh(["esito"]).catch(() => {});
// What was decided elsewhere: the server says by whom, the row turns grey, and
// who has the message open is told at once.
const decided = async (d) => {
  const open = form?.dataset.draft === d.pending;
  if (open || $(`#coda [data-id="${d.pending}"]`)) {
    const r = await fetch(`/${book}/da-protocollare/${d.pending}/detto`, { headers: live, cache: "no-store" });
    const [short, long] = r.ok ? (await r.text()).split("\n") : [];
    if (short) gone.set(d.pending, short);
    if (open && long) tellOpen(long);
  }
  sooner(["esito"]);
};
const tellOpen = (text) => {
  if ($("#deciso")) return;
  const n = document.createElement("div"), t = document.createElement("div");
  n.id = "deciso"; n.className = "note warn"; n.setAttribute("role", "alert");
  const s = document.createElement("strong"), a = document.createElement("a");
  s.textContent = text;
  a.href = location.href; a.textContent = "Mostra l’esito";
  t.append(s, " ", a);
  n.append(t);
  $(".strip").append(n);
  $$("button", form).forEach((b) => { b.disabled = true; });
};
const news = {
  "pending.created": () => sooner([]),
  "pending.changed": decided,
  "pending.confirmed": decided,
  "pending.withdrawn": decided,
  "message.moved": () => sooner(["esito"]),
  "entry.changed": () => sooner(["esito"]),
  "closing.changed": () => sooner([]),
  "mailbox.changed": () => sooner([]),
  "resync": () => sooner(["esito"]),
  "heartbeat": () => {},
};
const connect = () => {
  source?.close();
  source = new EventSource("/api/v1/events");
  const alive = () => { heard = Date.now(); interrupted(false); };
  source.addEventListener("open", () => { alive(); $("#vivo").hidden = false; root.dataset.live = "1"; sooner([]); });
  source.addEventListener("error", () => { if (Date.now() - heard > 3000) interrupted(true); });
  for (const [type, act] of Object.entries(news)) {
    source.addEventListener(type, (e) => {
      alive();
      const d = JSON.parse(e.data);
      if (!d.register || !book || d.organization + "/" + d.register === book || type === "mailbox.changed") act(d);
    });
  }
};
if (document.body.dataset.session) {
  connect();
  setInterval(() => {
    if (Date.now() - heard < 30000) return;
    interrupted(true);
    if (source.readyState === EventSource.CLOSED) connect();
  }, 5000);
}

// ---- the session ----

let warn;
const session = (seconds) => {
  clearTimeout(warn);
  $("#scade").hidden = true;
  warn = setTimeout(() => { $("#scade").hidden = false; }, Math.max(0, seconds - 120) * 1000);
};
const stay = async () => {
  const r = await fetch(location.href, { cache: "no-store" });
  if (!r.ok || r.redirected) { location.reload(); return; }
  session(Number(new DOMParser().parseFromString(await r.text(), "text/html").body.dataset.session));
};
if (document.body.dataset.session) session(Number(document.body.dataset.session));

// ---- keys ----

let goto = 0;
document.addEventListener("keydown", (e) => {
  if ((e.ctrlKey || e.metaKey) && e.key === "Enter") {
    const b = $("[data-confirm]");
    if (b && !b.disabled) { e.preventDefault(); b.click(); }
    return;
  }
  if (e.target.closest("input,textarea,select,dialog") || e.ctrlKey || e.altKey || e.metaKey || localStorage.getItem("tasti") === "no") return;
  const key = e.key.toLowerCase();
  if (Date.now() - goto < 1500) {
    goto = 0;
    const to = { o: 0, p: 1, r: 2, c: 3 }[key], links = $$(".pd-nav a");
    if (to !== undefined && links[to]) links[to].click();
    return;
  }
  const act = {
    j: () => $("[data-next]")?.click(),
    k: () => $("[data-prev]")?.click(),
    x: () => $(".qi.cur [data-one]")?.click(),
    r: () => $("[data-refuse]")?.click(),
    z: () => $("[data-undo]")?.click(),
    g: () => { goto = Date.now(); },
    "/": () => $("#find")?.focus(),
    "?": () => $("#aiuto")?.showModal(),
  }[key] || (/^[1-3]$/.test(key) && (() => $(`[data-key="${key}"]`)?.click()));
  if (act) { e.preventDefault(); act(); }
});

// In the calendar the arrows move by day and the page keys by month.
document.addEventListener("keydown", (e) => {
  const here = e.target.closest(".cal a.d");
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[e.key];
  const month = { PageUp: "prev", PageDown: "next" }[e.key];
  if (!here || e.ctrlKey || e.altKey || e.metaKey || !(by || month)) return;
  e.preventDefault();
  const days = $$(".cal a.d"), to = days[days.indexOf(here) + by];
  if (by && to) to.focus();
  else $(`[rel="${month || (by < 0 ? "prev" : "next")}"]`).click();
});

// Focus after a page was opened by a confirmation, and on results.
const focus = $("[data-focus]") || ($("#attesa") && $("#aperto")) || (new RegExp("/da-protocollare/[^/]+$").test(document.referrer) && $("#done-t"));
if (focus) focus.focus({ preventScroll: true });
