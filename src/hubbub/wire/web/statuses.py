"""HTTP: the status of each refusal, by its code. The table is complete: text/refusals.py has the codes."""

from http import HTTPStatus

from hubbub.errors import Refused
from hubbub.model.events import Refusal

_BAD_REQUESTS = (
    "argument-invalid argument-missing argument-too-long bad-frame bad-key bad-value body-broken body-invalid "
    "cannot-rename invite-only line-too-long list-full logged-in-already moderated muted name-in-use name-invalid "
    "name-kept named-already no-name no-such-command no-such-message no-such-name no-such-setting no-text "
    "not-a-room not-allowed not-in-room not-operator not-reading not-there not-yours nothing-to-undo "
    "locked nobody-waits "
    "number-invalid query-invalid room-full room-invalid slow-mode somebody-else there-already time-invalid "
    "too-late too-long too-many-rooms too-many-tokens too-many-words topic-too-long value-invalid weak-password"
)
STATUSES = dict.fromkeys(_BAD_REQUESTS.split(), HTTPStatus.BAD_REQUEST) | {
    "account-closed": HTTPStatus.FORBIDDEN,
    "account-required": HTTPStatus.UNAUTHORIZED,
    "accounts-only": HTTPStatus.FORBIDDEN,
    "banned": HTTPStatus.FORBIDDEN,
    "broker": HTTPStatus.SERVICE_UNAVAILABLE,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "charset-unknown": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "closed": HTTPStatus.FORBIDDEN,
    "hidden": HTTPStatus.NOT_FOUND,
    "method": HTTPStatus.METHOD_NOT_ALLOWED,
    "name-registered": HTTPStatus.CONFLICT,
    "name-taken": HTTPStatus.CONFLICT,
    "not-accepted": HTTPStatus.FORBIDDEN,
    "not-confirmed": HTTPStatus.GATEWAY_TIMEOUT,
    "not-found": HTTPStatus.NOT_FOUND,
    "not-encrypted": HTTPStatus.FORBIDDEN,
    "not-known": HTTPStatus.GATEWAY_TIMEOUT,
    "not-logged-in": HTTPStatus.UNAUTHORIZED,
    "not-stored": HTTPStatus.SERVICE_UNAVAILABLE,
    "registration-closed": HTTPStatus.FORBIDDEN,
    "text-too-long": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "token-limited": HTTPStatus.FORBIDDEN,
    "too-fast": HTTPStatus.TOO_MANY_REQUESTS,
    "too-many": HTTPStatus.SERVICE_UNAVAILABLE,
    "too-many-logins": HTTPStatus.TOO_MANY_REQUESTS,
    "too-many-new-rooms": HTTPStatus.TOO_MANY_REQUESTS,
    "too-slow": HTTPStatus.REQUEST_TIMEOUT,
    "wrong-password": HTTPStatus.UNAUTHORIZED,
}


def status_of(refused: Refused | Refusal) -> HTTPStatus:
    """Return the status with which HTTP reports a refusal."""
    return STATUSES[refused.code]
