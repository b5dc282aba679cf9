// The reader's account: a name that only its owner can use, on all devices. A cookie that no script can read logs the page in.
import { Device } from "./devices.js";
import { Tokens } from "./tokens.js";
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";

const WAIT = 40000; // milliseconds that the server may take to check a password
const LOST = "There is no answer from the server. Try again.";
const WIRES = { websocket: "Browser or program", line: "Terminal", irc: "IRC client" };
// Commands with what nobody may see; those for NickServ belong to IRC, and are typed here by mistake.
const SECRETS = /^\s*\/((?:un)?register|login|password|link|nickserv|ns|(msg|query|m|w|pm|tell|whisper)\s+nickserv)\b/i;

export const isSecret = (text) => SECRETS.test(text);

export class Account {
  constructor(chat) {
    this.chat = chat;
    this.name = ""; // "" for a guest
    this.registration = "closed"; // who may register: open, invite or closed
    this.guests = "yes";
    this.busy = false; // a login is under way: the chat may know of it before the browser has its cookie
  }

  async ask(path, body) {
    const options = { cache: "no-store", signal: AbortSignal.timeout?.(WAIT) };
    if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
    try {
      const answer = await fetch(new URL(`../api/${path}`, import.meta.url), options);
      const said = await answer.json();
      return answer.ok ? said : { failed: said.detail, code: said.code };
    } catch { return { failed: LOST, code: "" }; }
  }

  async enter(path, body) {
    this.busy = true;
    const said = await this.ask(path, body);
    this.busy = false;
    return this.take(said);
  }

  take(said) {
    if (!said.failed) Object.assign(this, { name: said.name, registration: said.registration, guests: said.guests });
    this.chat.changed();
    return said;
  }

  async load() { return this.take(await this.ask("account")); }

  // Log in and come by that name; without a name, `secret` is a code.
  async logIn(name, secret) {
    const said = await this.enter("login", { name, secret });
    if (!said.failed) this.chat.comeAs(said.name);
    return said;
  }

  // Register a name: at the door the one in the form, in the chat the one in use.
  async register(name, secret, code = "") {
    const { chat } = this, inside = chat.phase === "here";
    const said = await this.enter("register", { name, secret, code, resume: inside ? chat.resume : "" });
    if (!said.failed && !inside) chat.comeAs(said.name);
    return said;
  }

  async logOut() {
    this.chat.leave();
    this.take(await this.ask("logout", {}));
  }

  // Close the account for ever.
  async unregister(secret, takeBack) {
    const said = await this.ask("unregister", { secret, take_back: takeBack });
    if (!said.failed) this.take(said);
    return said;
  }

  // Do what a typed command asks for; return whether it is one of these.
  command(name, rest) {
    const [, first, more] = /^(\S*)\s*(.*)/.exec(rest);
    const invited = this.registration === "invite";
    if (name === "register" && rest) this.tell(this.register(this.chat.nick, invited ? more : rest, invited ? first : ""));
    else if (name === "logout" && this.name) this.logOut();
    else if (name === "login" && rest) this.tell(this.logIn(more ? first : "", more || first));
    else return false;
    return true;
  }

  async tell(asked) {
    const { failed, name } = await asked;
    this.chat.note([failed ?? `You are logged in as ${name}.`], Boolean(failed));
  }
}

const Secret = ({ field, label, fresh, error }) => html`<label for="secret">${label}</label>
  <input id="secret" ref=${field} type="password" maxlength="300" autocomplete=${fresh ? "new-password" : "current-password"}
    aria-describedby="why" aria-invalid=${Boolean(error)} />`;

const Invitation = ({ field }) => html`<label for="invitation">Invitation code</label>
  <input id="invitation" ref=${field} maxlength="40" autocomplete="one-time-code" autocapitalize="characters" spellcheck=${false} />`;

// What a form at the door asks for besides the name: the password of a registered one, or a new one to register it.
export function Credentials({ chat, mode, secret, invitation }) {
  const fresh = mode === "register";
  useEffect(() => { if (mode) secret.current?.focus(); }, [mode]);
  if (!mode) return null;
  return html`${fresh && chat.account.registration === "invite" && html`<${Invitation} field=${invitation} />`}
    <${Secret} field=${secret} label=${fresh ? "New password" : "Password or code"} fresh=${fresh} error=${chat.error} />`;
}

// The button beside the name, and the dialogue that it opens.
export function Own({ chat }) {
  const [open, setOpen] = useState(false);
  const { account } = chat;
  if (!account.name && account.registration === "closed") return null;
  return html`<button class="own" onClick=${() => setOpen(true)}>${account.name ? "Your account" : "Make this name yours"}</button>
    ${open && html`<${Dialogue} chat=${chat} close=${() => setOpen(false)} />`}`;
}

function Dialogue({ chat, close }) {
  const node = useRef(null), { account } = chat, isOwner = account.name && !account.busy;
  useEffect(() => { node.current.showModal(); }, []);
  const keys = (event) => { event.stopPropagation(); }; // the page's own keys do nothing meanwhile
  return html`<dialog ref=${node} class="account" aria-labelledby="account" onClose=${close} onKeyDown=${keys}>
    <h1 id="account">${isOwner ? html`Your account <bdi>${account.name}</bdi>` : html`Make <bdi>${chat.nick}</bdi> yours`}</h1>
    ${isOwner ? html`<${Sessions} chat=${chat} />` : html`<${Register} chat=${chat} />`}
    <form method="dialog"><button>Close</button></form></dialog>`;
}

function Register({ chat }) {
  const secret = useRef(null), invitation = useRef(null);
  const [error, setError] = useState("");
  useEffect(() => secret.current.focus(), [error]);
  const send = async (event) => {
    event.preventDefault();
    const { failed } = await chat.account.register(chat.nick, secret.current.value, invitation.current?.value);
    setError(failed ?? "");
  };
  return html`<form onSubmit=${send}>
    <p>With a password, nobody else can use your name, and you can use it on all your devices.</p>
    ${chat.account.registration === "invite" && html`<${Invitation} field=${invitation} />`}
    <${Secret} field=${secret} label="New password" fresh=${true} error=${error} />
    <p id="why" role="alert">${error}</p>
    <button class="do">Register</button></form>`;
}

function Sessions({ chat }) {
  const { account } = chat, top = useRef(null);
  const [found, setFound] = useState(null);
  const [told, tell] = useState("");
  const show = (said) => { if (said.failed) tell(said.failed); else setFound(said); };
  useEffect(() => { account.ask("sessions").then(show); }, []);
  const end = async (id, what) => {
    show(await account.ask("sessions/end", { ids: [id] }));
    tell(`${what} has been logged out.`);
    top.current?.focus();
  };
  const date = (seconds) => new Date(seconds * 1000).toLocaleDateString();
  const row = (id, text, what, own) => html`<li key=${id}><span>${text}</span>
    ${own ? html`<i>this one</i>` : html`<button aria-label=${`Log out: ${what}`} onClick=${() => end(id, what)}>Log out</button>`}</li>`;
  return html`<h2 ref=${top} tabindex="-1">Logged in</h2>
    <ul>${found?.browsers.map(({ id, name, created, current }) => row(id, `${name}, since ${date(created)}`, name, current))}</ul>
    <h2>In the chat now</h2>
    <ul>${found?.sessions.map(({ id, wire, node }) => {
      const what = `${WIRES[wire] ?? wire}${node && `, on ${node}`}`;
      return row(id, what, what, id === chat.tag);
    })}</ul>
    <p role="status">${told}</p>
    <p><button onClick=${() => account.logOut()}>Log out here</button></p>
    <${Device} chat=${chat} />
    <${Tokens} account=${account} />
    <${Closing} account=${account} />`;
}

function Closing({ account }) {
  const secret = useRef(null), takeBack = useRef(null);
  const [error, setError] = useState("");
  const send = async (event) => {
    event.preventDefault();
    setError((await account.unregister(secret.current.value, takeBack.current.checked)).failed ?? "");
  };
  return html`<details><summary>Close this account</summary><form onSubmit=${send}>
    <p>Nobody can ever log in as <bdi>${account.name}</bdi> again.</p>
    <p><label><input type="checkbox" ref=${takeBack} /> Delete all my messages as well</label></p>
    <${Secret} field=${secret} label="Password or code" error=${error} />
    <p id="why" role="alert">${error}</p>
    <button>Close it for ever</button></form></details>`;
}
