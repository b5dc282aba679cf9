"""Which packages of hubbub are pure: they import no clock, socket or file, and their own tests reach every branch."""

PURE = ("text", "model", "chat", "wire")
