// The ssh keys that log in to the account; they are added over ssh, because only there somebody can sign with them.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";

const date = (seconds) => new Date(seconds * 1000).toLocaleDateString();

export function SshKeys({ account }) {
  const top = useRef(null);
  const [keys, setKeys] = useState([]);
  const [told, tell] = useState("");
  const show = (said) => { if (said.failed) tell(said.failed); else setKeys(said.keys); return said; };
  useEffect(() => { account.ask("keys").then(show); }, []);
  const end = async (id) => {
    if (!show(await account.ask("keys/end", { ids: [id] })).failed) tell("The key is removed.");
    top.current?.focus();
  };
  return html`<details><summary ref=${top}>ssh keys</summary>
    <ul>${keys.map(({ id, kind, added }) => html`<li key=${id}><span><code>${id}</code>, ${kind}, since ${date(added)}</span>
      <button aria-label=${`Remove: ${id}`} onClick=${() => end(id)}>Remove</button></li>`)}</ul>
    <div role="status">${told}</div>
    <p>To add one, connect with ssh, and type there the code of another device: <code>/link CODE</code>.</p></details>`;
}
