// The codes that let people into a room for a while, in the dialogue that shares its address.
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { ofClass, survey } from "./classroom.js";
import { run } from "./dialogue.js";
import { timeOf, whenOf } from "./text.js";

const LIFETIMES = { "1h": "1 hour", "1d": "1 day", "7d": "1 week" };

// `show`: with a code, the address and its picture are those that have it.
export function Codes({ chat, room, shown, show }) {
  const [lifetime, live] = useState("1d"), [people, limit] = useState(""), [told, tell] = useState("");
  useEffect(() => survey(chat, room), []);
  const act = async (line) => {
    const { failed, lines } = await run(chat, room, line);
    tell(failed ?? lines[0] ?? "");
    survey(chat, room);
    return failed ? "" : /[A-Z]{4}-[A-Z]{4}/.exec(lines[0] ?? "")?.[0] ?? "";
  };
  const make = async (event) => {
    event.preventDefault();
    const code = await act(`/invite code ${lifetime} ${people && `${people} uses`}`);
    if (code) show(code);
  };
  const end = async (code) => {
    await act(`/codes end ${code}`);
    if (code === shown) show("");
  };
  return html`<h2>Codes</h2><p>A code lets people in for a while, without the room's key: they type it in the field to join a room.</p>
    <form class="row" onSubmit=${make}><label>For <select value=${lifetime} onChange=${(event) => live(event.target.value)}>${Object.entries(LIFETIMES).map(([value, words]) =>
      html`<option value=${value}>${words}</option>`)}</select></label>
      <label>and <input class="number" type="number" min="1" max="500" placeholder="all" aria-label="Number of people" value=${people} onInput=${(event) => limit(event.target.value)} /> people</label>
      <button class="do">Make a code</button></form>
    <p role="status">${told}</p>
    <ul>${ofClass(room).codes.map(({ code, expires, most, used }) => html`<li key=${code}><span><b class="code">${code}</b> until ${expires * 1000 - Date.now() > 72e6 ? whenOf(expires) : timeOf(expires)}${
      most > 0 && `, ${used} of ${most} used`}</span>
      <span class="row"><button aria-pressed=${code === shown} aria-label=${`Show the address with the code ${code}`} onClick=${() => show(code === shown ? "" : code)}>Show</button>
      <button aria-label=${`End the code ${code}`} onClick=${() => end(code)}>End</button></span></li>`)}</ul>`;
}
