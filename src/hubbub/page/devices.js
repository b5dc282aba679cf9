// A code for another device, also as a picture for its camera.
import { html, useEffect, useState } from "./vendor/htm-preact.js";

// The picture of an address as a QR code; null until it is there, and if it cannot be made.
export function Qr({ chat, text, label }) {
  const [found, setFound] = useState(null);
  useEffect(() => { chat.account.ask("qr", { text }).then(setFound); }, [text]);
  if (!found?.path) return null;
  return html`<svg class="qr" viewBox=${`0 0 ${found.size} ${found.size}`} role="img" aria-label=${label}><path d=${found.path} /></svg>`;
}

// The address that opens this page with a code filled in: no server is sent what follows the #.
const addressOf = ({ code, page }) => `${page || location.href.split(/[?#]/)[0]}#link=${code.replace("-", "")}`;

export function Device({ chat }) {
  const [made, setMade] = useState(null);
  const make = async () => setMade(await chat.account.ask("link", {}));
  return html`<p><button onClick=${make}>Add a device</button></p>
    <div role="status">${made?.failed ?? (made && html`<p>Within five minutes, log in on the other device with the code <b>${made.code}</b>,
      or point its camera at the picture.</p>`)}</div>
    ${made?.code && html`<${Qr} chat=${chat} text=${addressOf(made)} label="QR code that opens this page with the code" />`}`;
}
