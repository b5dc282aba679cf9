// The tokens of programs that speak or read for the account: the secret of a new one is shown once.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";

const SCOPES = { read: "Read", say: "Speak", private: "Read your private messages", admin: "Act as an operator" };
const date = (seconds) => new Date(seconds * 1000).toLocaleDateString();

function words({ name, scopes, rooms, created, expires }) {
  const where = rooms.length ? `in ${rooms.join(", ")}` : "in all rooms";
  return `${name || "A token"}, ${scopes.join(" and ")} ${where}, since ${date(created)}${expires ? `, until ${date(expires)}` : ""}`;
}

export function Tokens({ account }) {
  const form = useRef(null), top = useRef(null);
  const [found, setFound] = useState(null);
  const [told, tell] = useState("");
  const show = (said) => { if (said.failed) tell(said.failed); else { setFound(said); tell(""); } return said; };
  useEffect(() => { account.ask("tokens").then(show); }, []);
  const make = async (event) => {
    event.preventDefault();
    const data = new FormData(form.current), rooms = data.get("rooms").split(/[\s,]+/).filter(Boolean);
    const said = await account.ask("tokens", { name: data.get("name"), scopes: data.getAll("scope"), rooms, days: Number(data.get("days")) });
    if (!show(said).failed) form.current.reset();
  };
  const end = async (id, name) => {
    show(await account.ask("tokens/end", { ids: [id] }));
    tell(`${name || "The token"} has been ended.`);
    top.current?.focus();
  };
  return html`<details><summary ref=${top}>Tokens for programs</summary>
    <ul>${found?.tokens.map((token) => html`<li key=${token.id}><span>${words(token)}</span>
      <button aria-label=${`End: ${token.name || token.id}`} onClick=${() => end(token.id, token.name)}>End</button></li>`)}</ul>
    <div role="status">${told}${found?.made && html`<p>This is the token. It is shown only now: <code class="token">${found.made}</code></p>`}</div>
    <form ref=${form} onSubmit=${make}>
      <label for="token-name">What it is for</label><input id="token-name" name="name" maxlength="64" autocomplete="off" />
      <label for="token-rooms">Its rooms (none: all rooms)</label><input id="token-rooms" name="rooms" autocomplete="off" autocapitalize="off" spellcheck=${false} />
      <label for="token-days">Days until it expires (0: never)</label>
      <input id="token-days" name="days" type="number" min="0" max="36500" defaultValue="365" />
      <fieldset><legend>What it may do</legend>${Object.entries(SCOPES).map(([scope, label]) => html`<label><input type="checkbox" name="scope"
        value=${scope} defaultChecked=${scope === "read" || scope === "say"} /> ${label}</label>`)}</fieldset>
      <button class="do">Make a token</button></form></details>`;
}
