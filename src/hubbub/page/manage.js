// What one can do with a room and with the page: menus and forms in place of typed commands.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { Codes } from "./codes.js";
import { Qr } from "./devices.js";
import { Dialogue, run } from "./dialogue.js";
import { Members, Notify, Transcript } from "./members.js";

// The address of this page that leads to a room, also for somebody who needs its key.
function addressOf(room, key = "") {
  const name = room.name === "lobby" ? "" : `#${encodeURIComponent(room.name)}${key ? `?key=${encodeURIComponent(key)}` : ""}`;
  return location.href.split(/[?#]/)[0] + name;
}

// --- the address of a room ---

export function Share({ chat, room, close }) {
  const [told, tell] = useState(""), [withKey, setWithKey] = useState(false), [code, showCode] = useState("");
  const address = addressOf(room, code || (withKey ? room.key : "")), field = useRef(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(address);
      tell("Copied.");
    } catch { // only an encrypted page may do it
      field.current.select();
      tell(document.execCommand("copy") ? "Copied." : "Copy the marked address.");
    }
  };
  return html`<${Dialogue} title=${`Share ${room.title}`} close=${close}>
    <p><label for="address">The address of this room${code && ` with the code ${code}`}</label></p>
    <p class="row"><input id="address" ref=${field} readonly value=${address} onFocus=${(event) => event.target.select()} />
      <button class="do" onClick=${copy}>Copy</button></p>
    ${room.key && html`<p><label><input type="checkbox" checked=${withKey} onChange=${() => setWithKey(!withKey)} /> With the room's key: whoever has the
      address can come in</label></p>`}
    <p role="status">${told}</p>
    <${Qr} chat=${chat} text=${address} label="QR code of the address" />
    ${chat.acts.rules(room, "set modes") && room.name !== "lobby" && html`<${Codes} chat=${chat} room=${room} shown=${code} show=${showCode} />`}<//>`;
}

// --- the settings of a room ---

const SETTINGS = {
  moderated: "Only chosen people can speak",
  "invite-only": "Only invited people can join",
  secret: "Hidden: not in the list of rooms",
  "members-only": "Only people in the room can post to it",
  "topic-lock": "Only operators can change the topic",
};
const NUMBERS = { slow: ["Slow mode", "seconds between two messages of a person"], limit: ["Limit", "people at most"] };

function Settings({ chat, room, found, close }) {
  const form = useRef(null), [told, tell] = useState(null), { settings } = found;
  const save = async (event) => {
    event.preventDefault();
    const data = new FormData(form.current), lines = [];
    for (const name of Object.keys(SETTINGS)) if (data.has(name) !== settings[name]) lines.push(`/set ${name} ${data.has(name) ? "on" : "off"}`);
    for (const name of Object.keys(NUMBERS)) if (Number(data.get(name)) !== settings[name]) lines.push(`/set ${name} ${Number(data.get(name)) || "off"}`);
    const key = data.get("key").trim();
    if (key) lines.push(`/set key ${key}`);
    else if (data.has("nokey")) lines.push("/set key off");
    for (const line of lines) {
      const { failed } = await run(chat, room, line);
      if (failed) return tell(failed);
      if (line === `/set key ${key}`) room.key = key;
    }
    close();
  };
  return html`<form ref=${form} onSubmit=${save}>
    ${Object.entries(SETTINGS).map(([name, label]) => html`<label key=${name}><input type="checkbox" name=${name} defaultChecked=${settings[name]} /> ${label}</label>`)}
    ${Object.entries(NUMBERS).map(([name, [label, unit]]) => html`<label key=${name}>${label}: <input class="number" type="number" name=${name} min="0"
      max="1000000" defaultValue=${settings[name]} /> ${unit} (0: none)</label>`)}
    <label for="new-key">${settings.key ? "Another key (the room has one)" : "A key that people must know to join"}</label>
    <input id="new-key" name="key" maxlength="32" autocomplete="off" autocapitalize="off" spellcheck=${false} />
    ${settings.key && html`<label><input type="checkbox" name="nokey" /> Remove the key</label>`}
    <p role="alert">${told}</p><button class="do">Save the settings</button></form>`;
}

// A field with one value, and the command that it stands for.
function Change({ chat, room, command, label, value = "", button, done }) {
  const field = useRef(null), [failed, fail] = useState(""), id = `to-${command}`;
  const send = async (event) => {
    event.preventDefault();
    const text = field.current.value.trim() || (command === "topic" ? "off" : "");
    if (!text) return;
    const answer = await run(chat, room, `/${command} ${text}`);
    fail(answer.failed ?? "");
    if (!answer.failed) done(answer.lines.join(" "));
  };
  return html`<form onSubmit=${send}><label for=${id}>${label}</label>
    <p class="row"><input id=${id} ref=${field} dir="auto" defaultValue=${value} autocapitalize="off" aria-invalid=${Boolean(failed)} />
    <button>${button}</button></p><p role="alert">${failed}</p></form>`;
}

export function RoomDialogue({ chat, room, close, go }) {
  const [told, tell] = useState(""), may = (action) => room.may.includes(action);
  useEffect(() => { chat.rights(room); }, []);
  const leave = () => { close(); chat.link.send({ type: "leave", room: room.name }); };
  return html`<${Dialogue} title=${room.title} close=${close}>
    <p role="status">${told}</p>
    ${may("set topic") ? html`<${Change} chat=${chat} room=${room} command="topic" label="Topic" value=${room.topic} button="Change"
      done=${() => tell("The topic has been changed.")} />` : room.topic && html`<p dir="auto">${room.topic}</p>`}
    ${may("invite") && html`<${Change} chat=${chat} room=${room} command="invite" label="Invite somebody by name" button="Invite" done=${tell} />`}
    ${may("rename") && room.name !== "lobby" && html`<${Change} chat=${chat} room=${room} command="rename" label="Name of the room" value=${room.name} button="Rename"
      done=${close} />`}
    ${may("set modes") && html`<details><summary>Settings</summary><${Settings} chat=${chat} room=${room} found=${room} close=${close} /></details>
      <details><summary>Bans and mutes</summary><${Bans} chat=${chat} room=${room} /></details>
      <${Transcript} chat=${chat} room=${room} />`}
    <${Members} chat=${chat} room=${room} />
    <${Notify} chat=${chat} room=${room} />
    <p class="row"><button onClick=${() => go("share")}>Share the address</button><button onClick=${leave}>Leave the room</button></p><//>`;
}

function Bans({ chat, room }) {
  const [lines, setLines] = useState([]);
  useEffect(() => { run(chat, room, "/bans").then((answer) => setLines(answer.failed ? [answer.failed] : answer.lines)); }, []);
  return html`<ul>${lines.map((line) => html`<li dir="auto">${line}</li>`)}</ul>`;
}

// --- the page ---

const CHOICES = {
  compact: "Compact: a line for each message, with the name in front",
  quiet: "Do not show who joins and leaves",
};

export const Display = ({ chat, close }) => html`<${Dialogue} title="Display" close=${close}>${Object.entries(CHOICES).map(([name, label]) => html`<p><label>
  <input type="checkbox" checked=${Boolean(chat.view[name])} onChange=${(event) => chat.like({ [name]: event.target.checked })} /> ${label}</label></p>`)}<//>`;
