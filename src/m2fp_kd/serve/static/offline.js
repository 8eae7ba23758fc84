/**
 * Service worker of a static page: keeps the page's files, so that it opens without a network, and adds the headers
 * that isolate the page, without which WebAssembly has one thread.
 */

importScripts("files.js"); // self.FILES: path -> SHA-256; self.HEADERS: name -> value

const PREFIX = "m2fp-kd ";
const addressOf = (path) => new URL(path, self.registration.scope).href;

/** The cache of this version of the files. */
const NAME = async () => {
  const text = new TextEncoder().encode(JSON.stringify(self.FILES));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return PREFIX + self.registration.scope + " " + Array.from(digest.subarray(0, 8), (byte) => byte.toString(16)).join("");
};

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(self.registration.scope))
    event.respondWith(answer(event.request));
});

async function keep() {
  const cache = await caches.open(await NAME());
  await cache.addAll(Object.keys(self.FILES).map((path) => new Request(addressOf(path), { cache: "no-cache" })));
}

async function takeOver() {
  const [name, names] = [await NAME(), await caches.keys()];
  const old = names.filter((one) => one.startsWith(PREFIX + self.registration.scope + " ") && one !== name);
  await Promise.all(old.map((one) => caches.delete(one)));
  await self.clients.claim();
}

async function answer(request) {
  const { pathname, origin } = new URL(request.url);
  const address = pathname.endsWith("/") ? `${origin}${pathname}index.html` : `${origin}${pathname}`;
  const kept = await (await caches.open(await NAME())).match(address);
  return kept ? isolated(kept) : fetch(request);
}

function isolated(response) {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(self.HEADERS)) headers.set(name, value);
  return new Response(response.body, { status: response.status, headers });
}
