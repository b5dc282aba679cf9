// Why there is no connection, in words.

const MOST = 300; // characters of what the server says
const PATIENCE = 10000; // milliseconds that an answer may take
const SILENT = "The server does not answer. It may be stopped, or the way to it may be blocked.";
const DISTRUSTED = `${SILENT} If it has a new certificate, open ${new URL("../api/v1/rooms", import.meta.url)} to see what your browser says about it.`;
const NO_NETWORK = "Your network is down.";
const NO_WEBSOCKETS = "The server answers, but a proxy on the way does not pass WebSockets on.";
// What a proxy says for a server behind it.
const GATEWAY = new Map([[502, "A proxy cannot reach the server (502)."], [503, "The server is not available now (503)."], [504, "The server does not answer the proxy (504)."]]);

// A page that the browser keeps comes without the server, so the browser does not ask whether a new certificate is trusted.
const silent = () => (location.protocol === "https:" && navigator.serviceWorker?.controller ? DISTRUSTED : SILENT);

// A browser tells no script why a WebSocket was refused, so ask the same address by plain HTTP.
export async function refusal(address) {
  if (!navigator.onLine) return NO_NETWORK;
  try {
    // A POST, because a browser names the page's origin in that, as it does for a WebSocket.
    const answer = await fetch(address, { method: "POST", cache: "no-store", signal: AbortSignal.timeout?.(PATIENCE) });
    if (answer.status === 405 || answer.status === 426) return NO_WEBSOCKETS;
    const isText = answer.headers.get("Content-Type")?.startsWith("text/plain");
    const said = isText ? (await answer.text()).trim().slice(0, MOST) : "";
    return said ? `The server refuses the connection: ${said}`
      : GATEWAY.get(answer.status) ?? `The server refuses the connection: ${`${answer.status} ${answer.statusText}`.trim()}`;
  } catch { return navigator.onLine ? silent() : NO_NETWORK; }
}
