// The reader's account: a name that only its owner can use, on all devices. A cookie that no script can read logs the page in.
import { lazy } from "./lazy.js";
import { html, useState } from "./vendor/htm-preact.js";

const Dialogue = lazy(() => import("./own.js"), "Own");

const KEY = `hubbub logout ${new URL("..", import.meta.url).pathname}`; // several servers may share a host
const WAIT = 40000; // milliseconds that the server may take to check a password
const LOST = "There is no answer from the server. Try again.";
// Commands with what nobody may see; those for NickServ belong to IRC, and are typed here by mistake.
const SECRETS = /^\s*\/((?:un)?register|login|password|oper|link|nickserv|ns|(msg|query|m|w|pm|tell|whisper)\s+nickserv)\b/i;

export const isSecret = (text) => SECRETS.test(text);

export class Account {
  constructor(chat) {
    this.chat = chat;
    this.name = ""; // "" for a guest
    this.registration = "closed"; // who may register: open, invite or closed
    this.guests = "yes";
    this.busy = false; // a login is under way: the chat may know of it before the browser has its cookie
    this.tabs = globalThis.BroadcastChannel && new BroadcastChannel(KEY); // of this browser, which has one cookie
    if (this.tabs) this.tabs.onmessage = () => this.loggedOut();
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

  // Ask for a file: {file}, or {failed}.
  async file(path, body) {
    const options = { method: "POST", cache: "no-store", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
    try {
      const answer = await fetch(new URL(`../api/${path}`, import.meta.url), options);
      return answer.ok ? { file: await answer.blob() } : { failed: (await answer.json()).detail };
    } catch { return { failed: LOST }; }
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
    const { failed } = this.take(await this.ask("logout", {}));
    if (failed) this.chat.refuseLogin("You are still logged in here, because the server does not answer. Come in again later to log out.");
    else this.tabs?.postMessage("");
  }

  // Another tab has logged out: nothing of the account is left in this one either.
  loggedOut() {
    if (!this.name) return;
    this.chat.leave();
    this.load();
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

// The button beside the name, and the dialogue that it opens.
export function Own({ chat }) {
  const [open, setOpen] = useState(false);
  const { account } = chat;
  if (!account.name && account.registration === "closed") return null;
  return html`<button class="own" onClick=${() => setOpen(true)}>${account.name ? "Your account" : "Make this name yours"}</button>
    ${open && html`<${Dialogue} chat=${chat} close=${() => setOpen(false)} />`}`;
}
