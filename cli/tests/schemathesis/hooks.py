"""One more check for schemathesis: valid requests are refused only for rules that no schema can say."""

import json
import re

import schemathesis

# Reasons of a refusal, each with the rule that JSON Schema has no words for. What the state of the store does not allow
# (FAILED_PRECONDITION) is another such rule.
RULES = {
    "INVALID_SESSION": "a token of this store, not any string",
    "INVALID_PAGE_TOKEN": "a token of this store and this query",
    "INVALID_FILTER": "a sentence of the filter language",
    "INVALID_ORDER_BY": "each column once",
    "DUPLICATE_WRITE": "each row once in a request",
    "CONTRADICTION": "one etag and one request id, whether as header or as parameter",
    "NO_SOFT_DELETE": "a packed row of an entity that can be undeleted",
}

# Parts of a request that speak of fields of a row: which of them may be said depends on the row.
SPEAKS_OF_A_ROW = re.compile(r"(^|\.)(update_mask|transforms\[\d+\](\.\w+)?|precondition\.\w+)$")


def depends_on_the_rest(case, violation):
    """Whether a field is wrong only because of what another part of the request says.

    What an update must set is up to its mask, and whether it may create.
    """
    if SPEAKS_OF_A_ROW.search(violation["field"]):
        return True
    if violation["field"] == "read_mask" and case.method == "POST":
        # In a body it is a FieldMask like any other; the parameter has a pattern.
        return True
    is_update = case.method == "PATCH" or case.path.endswith((":batchUpdate", ":commit"))
    return is_update and not was_sent(case, violation["field"])


def was_sent(case, field):
    """Whether the body has the field: `product.unit_price` of a PATCH, `requests[1].product.unit_price` of a batch."""
    steps = re.findall(r"\w+", field)
    place = case.body
    for step in steps[1:] if case.method == "PATCH" else steps:
        if isinstance(place, list):
            place = place[int(step)]
            continue
        camel = re.sub(r"_(\w)", lambda letter: letter[1].upper(), step)
        name = next((name for name in (step, camel) if isinstance(place, dict) and name in place), None)
        if name is None:
            return False
        place = place[name]
    # Null is the zero value, which no rule forbids to say.
    return place is not None


@schemathesis.check
def valid_requests_are_refused_for_rules_no_schema_can_say(ctx, response, case):
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code != 400:
        return None
    if any(case.headers.get(name) == "" for name in ("If-Match", "If-None-Match")):
        # An empty header, which neither the pattern nor the minimal length of these allows, is no valid request.
        return None
    error = json.loads(response.content)["error"]
    if error["status"] == "FAILED_PRECONDITION":
        return None
    details = error["details"]
    reasons = {detail["reason"] for detail in details if "reason" in detail}
    for detail in details:
        reasons.update(
            violation["reason"]
            for violation in detail.get("fieldViolations", [])
            if not depends_on_the_rest(case, violation)
        )
    reasons -= {"INVALID_FIELDS"}
    unknown = sorted(reasons - RULES.keys())
    assert not unknown, f"{', '.join(unknown)}: {response.content.decode()}"
    return None
