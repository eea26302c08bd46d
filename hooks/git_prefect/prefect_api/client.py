"""One request to a Prefect 1 API through `prefect.Client`: its data, or what is wrong in our own words."""

from __future__ import annotations

import json
import os
import threading
from typing import Any, NoReturn

import msgspec

from ..core.errors import GitPrefectError, NotAuthorised, OutOfReach, UsageError
from ..core.json_input import misfit

LARGEST_BODY = 5 * 1024 * 1024
"""Bytes of a request that Prefect Server takes (APOLLO_API_BODY_LIMIT); more is answered with HTTP 413."""


class NoAnswerInTime(OutOfReach):
    """The API was reached and did not answer in time: it may be at work on the request still."""


class ApiRefused(GitPrefectError):
    """The API understood who we are and answered with errors."""


class TooLarge(ApiRefused):
    """The request is larger than the API takes; it was not sent, or not read."""


class _Answer(msgspec.Struct):
    """What every answer of the API has."""

    data: dict[str, Any]


class Connection:
    """A Prefect 1 API, Server or Cloud, reached with the address and key that Prefect itself is set to."""

    def __init__(self) -> None:
        """Read Prefect's configuration; nothing is asked of the API yet.

        Raises:
            UsageError: Prefect's own configuration cannot be used (a tenant id that is no UUID, …).
        """
        try:
            self._client = _client()
        except ValueError as error:
            raise UsageError(
                f"Prefect's configuration: {error}", "look at ~/.prefect/config.toml and PREFECT__CLOUD__*"
            ) from error

    @property
    def address(self) -> str:
        """The API's URL."""
        return str(self._client.api_server)

    def ask(self, query: str, variables: dict[str, Any], kind: Any = dict) -> dict[str, Any]:
        """The `data` of a query or mutation, as it is, if it is of this type.

        Raises:
            OutOfReach: no connection, no answer in time, or an answer that is not the API's.
            NotAuthorised: the API refuses our key.
            ApiRefused: the API answered with errors.
        """
        if not self._client.api_key and ".prefect.io" in self.address:
            # Prefect's own default when nobody has chosen an API: it answers nobody without a key.
            raise NotAuthorised(
                f"the Prefect API at {self.address} is Prefect Cloud's, and no API key is set",
                "log in with `prefect auth login --key KEY`, or choose a server of your own with `prefect backend server`",
            )
        body = {"query": query, "variables": json.dumps(variables)}
        size = len(json.dumps(body))
        if size > LARGEST_BODY:
            raise TooLarge(
                f"the request has {size / 1024**2:.1f} MB, and the Prefect API at {self.address} takes 5 MB",
                "split the flow, or make its parameters and run config smaller",
            )
        result = self._post(body)
        errors = result.get("errors") if isinstance(result, dict) else None
        if errors:
            # An answer with errors may hold data beside them: of what else was asked, or of half of what was done.
            first = errors[0] if isinstance(errors, list) else errors
            said = first.get("message") if isinstance(first, dict) else None
            self._raise_refusal(query, str(said or first), json.dumps(errors))
        wrong = misfit(result, _Answer) or misfit(result["data"], kind)
        if wrong:
            raise self._out_of_reach(f"it answered with something that is not a Prefect API's (see {wrong})")
        data: dict[str, Any] = result["data"]
        return data

    def _post(self, body: dict[str, str]) -> Any:
        import requests
        from prefect.exceptions import AuthorizationError, ClientError

        try:
            return self._client.post(path="", server=self.address, params=body, retry_on_api_error=False)
        except AuthorizationError as error:
            raise self._not_authorised(str(error)) from error
        except ClientError as error:
            if "Malformed response" in str(error):
                raise self._out_of_reach("it answered with something that is not JSON") from error
            said = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
            self._raise_refusal(body["query"], said or "no reason given", said)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in (401, 403):
                raise self._not_authorised(f"HTTP {status}") from error
            if status == 413:
                raise TooLarge("HTTP 413: the request is larger than the API takes (5 MB)", "split the flow") from error
            raise self._out_of_reach(f"it answered HTTP {status}") from error
        except requests.Timeout as error:
            late = self._out_of_reach("it did not answer in time")
            raise NoAnswerInTime(late.message, late.hint) from error
        except (requests.RequestException, OSError) as error:
            raise self._out_of_reach("no connection") from error
        except Exception as error:
            raise self._out_of_reach(f"it answered with something that is not a Prefect API's ({error!r})") from error

    def _raise_refusal(self, query: str, said: str, whole: str) -> NoReturn:
        if "UNAUTHENTICATED" in whole or "Malformed Authorization header" in whole:
            raise self._not_authorised(said)
        if query.startswith("query"):
            # Ours are valid: when the API answers one with errors, something behind it is out of order.
            raise self._out_of_reach(f"it answered with an error ({said})")
        raise ApiRefused(f"the Prefect API at {self.address} refused it: {said}", "look at the API's log")

    def _out_of_reach(self, fact: str) -> OutOfReach:
        return OutOfReach(
            f"the Prefect API at {self.address} is out of reach: {fact}",
            f"is it the right one? It is set by `prefect backend …` and {_address_variable()}",
        )

    def _not_authorised(self, fact: str) -> NotAuthorised:
        return NotAuthorised(
            f"the Prefect API at {self.address} does not accept the API key ({fact})",
            "Prefect Server itself takes no key; for what is in front of it, set PREFECT__CLOUD__API_KEY"
            if is_server()
            else "log in with `prefect auth login --key KEY`, or set PREFECT__CLOUD__API_KEY",
        )

    def own_tenant(self, tenants: list[dict[str, Any]]) -> dict[str, Any]:
        """Which of the API's tenants is ours: the configured one, else the first, as `Client.tenant_id` decides.

        Raises:
            UsageError: there is none, or not the configured one.
        """
        configured = self._client._tenant_id
        if configured is None and self._client.api_key:
            try:
                configured = self._client.tenant_id
            except Exception as error:
                raise self._not_authorised(str(error)) from error
        found = [one for one in tenants if configured in (None, one["id"])]
        if not found:
            raise UsageError(
                f"the Prefect API at {self.address} has no tenant {configured or ''}".rstrip(),
                "correct PREFECT__CLOUD__TENANT_ID, or create one with `prefect server create-tenant --name NAME`"
                if is_server()
                else "choose one with `prefect auth switch-tenants --slug SLUG`",
            )
        return found[0]


def is_server() -> bool:
    """Whether Prefect is set to Prefect Server, and not to Prefect Cloud."""
    import prefect

    return bool(prefect.config.backend == "server")


def has_key() -> bool:
    """Whether an API key is set, or kept from `prefect auth login`; without it Prefect Cloud was not chosen, but is the default."""
    try:
        return bool(_client().api_key)
    except ValueError:
        return False


def _address_variable() -> str:
    """The variable that the address of the API comes from, or can be set with: a backend's own is less than the one for both."""
    return "PREFECT__SERVER__ENDPOINT" if is_server() and "PREFECT__CLOUD__API" not in os.environ else "PREFECT__CLOUD__API"


def _client() -> Any:
    import prefect
    import requests

    class Client(prefect.Client):  # type: ignore[misc]
        """Prefect's client over kept connections, and without its silent retries.

        Prefect retries every POST up to six times over a minute, on a refused connection and on 502 alike, and
        sleeps three minutes on 429: a person waits without a word, and a registration that was applied may be
        sent again.
        """

        _kept = threading.local()

        def _send_request(self, session: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
            if not hasattr(self._kept, "session"):
                self._kept.session = requests.Session()
            kwargs["rate_limit_counter"] = prefect.config.cloud.rate_limiting.max_retries + 1
            response: requests.Response = super()._send_request(self._kept.session, *args, **kwargs)
            return response

    return Client()
