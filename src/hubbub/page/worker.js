// Keeps the files of the page itself, so that it also opens without the server. What is said is in offline.js.

const BASE = new URL("./", location.href), KEPT = `hubbub ${BASE.pathname}`;
const FIRST = ["./", "page/app.js", "page/style.css", "page/dialogues.css", "page/icon.svg", "page/icon-mention.svg"];

// Fetch a file and all that it imports.
async function keep(cache, name, known) {
  const address = new URL(name, BASE).href;
  if (known.has(address)) return;
  known.add(address);
  const answer = await fetch(address, { cache: "no-cache" });
  if (!answer.ok) throw new Error(name);
  await cache.put(address, answer.clone());
  if (!name.endsWith(".js")) return;
  const imported = [...(await answer.text()).matchAll(/(?:from|import)\s*\(?"(\.[^"]+\.js)"/g)];
  await Promise.all(imported.map(([, file]) => keep(cache, new URL(file, address).pathname, known)));
}

async function keepAll() {
  const cache = await caches.open(KEPT), known = new Set();
  await Promise.all(FIRST.map((name) => keep(cache, name, known)));
}

// The server's own file; what is kept if the server, or the one behind a proxy, does not answer.
async function answerTo(event) {
  const { request } = event, kept = async () => (await caches.open(KEPT)).match(request, { ignoreSearch: true, ignoreVary: true });
  try {
    const answer = await fetch(request);
    if (answer.ok) event.waitUntil(renew(request.url, answer.clone()));
    return (answer.status >= 500 && (await kept())) || answer;
  } catch (error) {
    const found = await kept();
    if (found) return found;
    throw error;
  }
}

// A browser without space, or one that keeps nothing, still shows the page.
async function renew(url, answer) {
  try {
    await (await caches.open(KEPT)).put(url.split("?")[0], answer);
  } catch { /* an old file, or none, is kept */ }
}

addEventListener("install", (event) => { skipWaiting(); event.waitUntil(keepAll()); });
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { request } = event, { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== BASE.origin) return;
  if (pathname === BASE.pathname || pathname.startsWith(`${BASE.pathname}page/`)) event.respondWith(answerTo(event));
});
