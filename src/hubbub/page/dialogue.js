// A dialogue over the page, and the commands that it stands for.
import { html, useLayoutEffect, useRef } from "./vendor/htm-preact.js";

// The page's own keys do nothing meanwhile.
export function Dialogue({ title, close, children }) {
  const node = useRef(null);
  useLayoutEffect(() => { node.current.showModal(); }, []);
  return html`<dialog ref=${node} class="account" aria-label=${title} onClose=${close} onKeyDown=${(event) => event.stopPropagation()}
    onClick=${(event) => { if (event.target === node.current) node.current.close(); }}>
    <h1 dir="auto">${title}</h1>${children}<form method="dialog"><button>Close</button></form></dialog>`;
}

// Run a command in a room; the promise is of {failed, lines}.
export async function run(chat, room, line) {
  const answer = await chat.ask({ type: "command", room: room.address, line });
  return { failed: answer.failed, lines: answer.lines ?? [] };
}
