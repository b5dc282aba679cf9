// The fields for what proves that a name is one's own.
import { html, useLayoutEffect } from "./vendor/htm-preact.js";

export const Secret = ({ field, label, fresh, error, value = "" }) => html`<label for="secret">${label}</label>
  <input id="secret" ref=${field} type="password" maxlength="300" autocomplete=${fresh ? "new-password" : "current-password"} defaultValue=${value}
    aria-describedby="why" aria-invalid=${Boolean(error)} />`;

export const Invitation = ({ field }) => html`<label for="invitation">Invitation code</label>
  <input id="invitation" ref=${field} maxlength="40" autocomplete="one-time-code" autocapitalize="characters" spellcheck=${false} />`;

// What a form at the door asks for besides the name: the password of a registered one, or a new one to register it.
export function Credentials({ chat, mode, code, secret, invitation }) {
  const fresh = mode === "register";
  useLayoutEffect(() => secret.current.focus(), [mode]);
  return html`${fresh && chat.account.registration === "invite" && html`<${Invitation} field=${invitation} />`}
    <${Secret} key=${code} field=${secret} label=${fresh ? "New password" : "Password or code"} fresh=${fresh} error=${chat.error} value=${code} />`;
}
